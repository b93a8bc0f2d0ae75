// The log's files: layout, encoding, and the scanner that tells a torn tail from damage.
//
// A log is a directory of segments, "00000000000000000001.seg" and so on by segment number. A
// segment is a header and then blocks. A block is what one turn of the log thread writes with one
// pwritev and one sync; it holds records. The log is append-only: an overwritten suffix is not
// erased but followed by a kTruncate record, so that the files tell what happened. All integers
// are little-endian. docs/log-format.md describes every byte.
//
// Segment header, a multiple of `alignment` bytes:
//   offset size  field
//        0    8  magic "BIBSEGM1"
//        8    4  version, 1
//       12    4  header size, with schema, membership and padding
//       16    8  segment number, from 1
//       24   16  cluster id
//       40    8  node id
//       48    8  log id: random, drawn when the log was created; tells recycled bytes apart
//       56    8  first block's sequence
//       64    8  previous index: the log's last entry before this segment
//       72    8  previous index's term
//       80    8  current term  } hard state at the start
//       88    8  vote          } of this segment
//       96    8  created, microseconds since 1970-01-01 UTC
//      104    4  alignment of blocks: 512 or 4096
//      108    4  compiled event schema's size
//      112    4  membership's size (the latest in the log before this segment; may be 0)
//      116    4  zero
//      120    8  membership's index
//      128    8  xxh3-64 over the whole header with this field taken as zero
//      136   ..  compiled schema (.bfbs), padding to 8, membership (peer.fbs), padding to the size
//
// Block, a multiple of `alignment` bytes:
//        0    4  magic "BBLK"
//        4    1  version, 1
//        5    1  flags: 1 sealed (the segment ends here), 2 closed (clean shutdown),
//                4 watermark (no records; only tells what is durable)
//        6    2  record count
//        8    4  payload size
//       12    4  block size, with header and padding
//       16    8  sequence: one more than the block before, through all segments
//       24    8  log id
//       32    8  segment number
//       40    8  durable sequence: all blocks up to it were synced before this one was written
//       48    8  xxh3-64 over header (this field as zero) and payload
//       56    8  zero
//       64   ..  payload: records; then zeros
//
// Record, a multiple of 8 bytes:
//        0    4  size, with this header, before padding
//        4    1  kind (RecordKind)
//        5    3  zero
//        8   ..  kEntry: the entry (entry.h). kHardState: u64 term, u64 vote (0: none).
//                kTruncate: u64 index; entries from it on are void
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"
#include "wire/log/entry.h"

namespace bib::wire {

inline constexpr std::size_t kBlockHeaderSize = 64;
inline constexpr std::size_t kRecordHeaderSize = 8;
inline constexpr std::uint32_t kBlockMagic = 0x4b4c4242;  // "BBLK" as little-endian
inline constexpr std::uint16_t kBlockRecordsMax = 65535;
inline constexpr std::uint32_t kSegmentHeaderFixedSize = 136;
inline constexpr std::uint32_t kSegmentHeaderSizeMax = 1U << 20;
inline constexpr std::uint32_t kBlockSizeMax = 64U << 20;
inline constexpr std::uint32_t kSegmentSizeMax = 1U << 30;
// A node makes none that is smaller; readers take any.
inline constexpr std::uint32_t kSegmentSizeMin = 64U << 10;
// A segment's file has a multiple of this size, whatever its alignment is.
inline constexpr std::uint32_t kSegmentBytesUnit = 4096;

struct SegmentHeader {
  std::uint32_t header_size = 0;  // filled when encoded or read
  std::uint64_t number = 0;
  ClusterId cluster;
  NodeId node;
  std::uint64_t log_id = 0;
  std::uint64_t first_sequence = 0;
  LogIndex previous_index;
  Term previous_term;
  HardState hard_state;
  std::int64_t created_us = 0;
  std::uint32_t alignment = 4096;
  LogIndex membership_index;
  std::vector<std::uint8_t> membership;  // encode_membership's bytes; may be empty
  std::vector<std::uint8_t> schema;
};

std::string segment_file_name(std::uint64_t number);
std::optional<std::uint64_t> parse_segment_file_name(std::string_view name);

std::vector<std::uint8_t> encode_segment_header(const SegmentHeader& header);
// kUnsupported: not a segment of a version that we know; kCorrupt: checksum or fields. `bytes` may
// be longer than the header.
Result<SegmentHeader> read_segment_header(ByteView bytes);

enum class RecordKind : std::uint8_t { kEntry = 1, kHardState = 2, kTruncate = 3 };
enum BlockFlags : std::uint8_t { kBlockSealed = 1, kBlockClosed = 2, kBlockWatermark = 4 };

// Lays out one block in a buffer that is aligned for O_DIRECT (4096). Entries are copied once.
class BlockBuilder {
 public:
  explicit BlockBuilder(std::uint32_t alignment);
  ~BlockBuilder();
  BlockBuilder(const BlockBuilder&) = delete;
  BlockBuilder& operator=(const BlockBuilder&) = delete;

  void add_hard_state(const HardState& state);
  void add_truncate(LogIndex from);
  // Returns the entry's offset from the block's start.
  std::uint32_t add_entry(ByteView entry);

  std::uint16_t record_count() const { return count_; }
  // The block's size if it were finished now.
  std::size_t size() const;

  struct Stamp {
    std::uint64_t sequence;
    std::uint64_t log_id;
    std::uint64_t segment;
    std::uint64_t durable_sequence;
    std::uint8_t flags = 0;
  };
  // The whole block, aligned in memory and in size; valid until reset().
  ByteView finish(const Stamp& stamp);
  void reset();

 private:
  std::uint8_t* grow(std::size_t size);
  // The place to write the record's content to.
  std::uint8_t* add_record(RecordKind kind, std::size_t content_size);

  std::uint32_t alignment_;
  std::uint8_t* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t size_ = kBlockHeaderSize;
  std::uint16_t count_ = 0;
};

struct BlockHeader {
  std::uint8_t flags = 0;
  std::uint16_t record_count = 0;
  std::uint32_t payload_size = 0;
  std::uint32_t size = 0;
  std::uint64_t sequence = 0;
  std::uint64_t log_id = 0;
  std::uint64_t segment = 0;
  std::uint64_t durable_sequence = 0;
};

// Checks magic, version, sizes, checksum; `bytes` starts at the block and may be longer. The error
// says which check failed.
Result<BlockHeader> verify_block(ByteView bytes, std::uint32_t alignment);

struct Record {
  RecordKind kind = RecordKind::kEntry;
  std::uint64_t file_offset = 0;  // of the record's content (the entry, after the record header)
  ByteView content;
  // kEntry
  EntryHeader entry;
  // kHardState
  HardState hard_state;
  // kTruncate
  LogIndex truncate_from;
};

enum class SegmentEnd : std::uint8_t {
  kSealed,  // the last block says that the segment is complete
  kTail,    // ends in bytes that were never written; nothing is missing
  kClosed,  // like kTail, and the last block says that the node stopped cleanly
  kTorn,    // the last write did not complete; nothing that was durable is missing
  kDamaged  // something that was durable is not there any more
};

struct SegmentScan {
  SegmentHeader header;
  SegmentEnd end = SegmentEnd::kTail;
  std::uint64_t end_offset = 0;     // after the last valid block: where appending continues
  std::uint64_t next_sequence = 0;  // of the block to be written next
  std::uint64_t blocks = 0;
  std::uint64_t durable_sequence = 0;  // the highest claim of any valid block in the segment
  LogIndex last_index;                 // of the log after this segment
  Term last_term;  // 0 with last_index > 0: the term is in an earlier segment (term_of)
  HardState hard_state;
  // kTorn, kDamaged: where and why. kTorn: nothing that was durable is missing.
  std::uint64_t problem_offset = 0;
  LogIndex problem_index;  // the first entry index that is affected
  std::string problem;     // without the place
};

struct ScanOptions {
  bool is_last = true;         // the newest segment; an older one must be sealed
  bool verify_entries = true;  // entries' own checksums too
  // From there on all bytes are known to be zeros, and are not looked at again.
  std::uint64_t zeros_from = UINT64_MAX;
  // The term of an entry of an earlier segment, for kTruncate records that reach back before this
  // one's start. Where it is empty or answers nothing, last_term is 0 until the next entry.
  std::function<std::optional<Term>(LogIndex)> term_of = {};
};

// Walks a whole segment (its file's bytes, possibly with recycled or zero bytes after the end).
// Each record of each valid block is given to `visit` in order (may be empty); an error from
// `visit` ends the scan and is returned.
//
// The rule: at the first block that does not verify, with sequence N, the segment is damaged if and
// only if (1) it is not the last segment, or (2) any later aligned offset holds a valid block of
// this log and segment whose durable sequence is at least N. Otherwise the rest was never durable:
// torn if anything but zeros or bytes of older logs, segments or sequences is there, else tail.
// A block that verifies but breaks continuity (sequence, entry index, term, cluster) is damage.
//
// After kTorn the file must be zeroed from end_offset on, and synced, before anything is appended:
// else a block that the torn write left behind could follow the new ones and pass for one of them.
Result<SegmentScan> scan_segment(ByteView file, const ScanOptions& options,
                                 const std::function<Status(const Record&)>& visit);

}  // namespace bib::wire
