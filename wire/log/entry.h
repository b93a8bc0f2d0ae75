// Entry: a batch of events (or a no-op, or a membership) as one Raft log entry.
//
// The leader encodes it once. These bytes are the message to the peers, the record on every disk
// and the history; they are never encoded again. All integers are little-endian.
//
//   offset size  field
//        0    4  magic "BENT"
//        4    1  format version, 1
//        5    1  kind (EntryKind)
//        6    1  codec: 0 none, 1 lz4 block
//        7    1  zero
//        8    4  size: header + stored body + padding, a multiple of 8
//       12    4  count of events
//       16   16  cluster id
//       32    8  term
//       40    8  index
//       48    8  time: the leader's clock, microseconds since 1970-01-01 UTC
//       56    4  stored body size (before padding)
//       60    4  body size when decompressed
//       64    8  xxh3-64 over the whole entry with this field taken as zero
//       72   ..  body, then zeros up to a multiple of 8
//
// The body of kEvents is, for each event: u32 size, u32 zero, the event's FlatBuffers bytes
// (event.h), zeros up to a multiple of 8. The body of kMembership is encode_membership()'s. kNoop
// has no body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/limits.h"
#include "wire/base/result.h"

namespace bib::wire {

enum class EntryKind : std::uint8_t { kNoop = 1, kEvents = 2, kMembership = 3 };
enum class EntryCodec : std::uint8_t { kNone = 0, kLz4 = 1 };

inline constexpr std::size_t kEntryHeaderSize = 72;
inline constexpr std::uint32_t kEntryMagic = 0x544e4542;  // "BENT" as little-endian
inline constexpr std::uint8_t kEntryVersion = 1;
// Limits that every reader enforces; a writer stays well below.
inline constexpr std::uint32_t kEntrySizeMax = 16U << 20;
inline constexpr std::uint32_t kEntryBodySizeMax = 64U << 20;
inline constexpr std::uint32_t kEntryEventsMax = 65536;

struct EntryHeader {
  EntryKind kind = EntryKind::kNoop;
  EntryCodec codec = EntryCodec::kNone;
  std::uint32_t size = 0;
  std::uint32_t event_count = 0;
  ClusterId cluster;
  Term term;
  LogIndex index;
  std::int64_t time_us = 0;
  std::uint32_t stored_body_size = 0;
  std::uint32_t body_size = 0;
  std::uint64_t checksum = 0;
};

// The place that an entry will have, and when it was made.
struct EntryStamp {
  ClusterId cluster;
  Term term;
  LogIndex index;
  std::int64_t time_us = 0;
};

// Collects one turn's events, then seals them into an entry. Reusable: seal() leaves it empty.
class EntryBuilder {
 public:
  // Copies the event in; returns its offset in the entry, for Position.
  std::uint32_t add_event(ByteView event);

  bool empty() const { return count_ == 0; }
  std::uint32_t event_count() const { return count_; }
  std::size_t body_size() const { return body_.size(); }

  // lz4 is tried for bodies of 4 KiB and more, less often while it does not pay.
  Bytes seal(const EntryStamp& stamp);

 private:
  std::vector<std::uint8_t> body_;
  std::vector<std::uint8_t> compressed_;
  std::uint32_t count_ = 0;
  std::uint32_t lz4_failures_ = 0;
  std::uint32_t lz4_skip_ = 0;
};

Bytes make_noop_entry(const EntryStamp& stamp);
Bytes make_membership_entry(const EntryStamp& stamp, ByteView membership_bytes);

// Checks magic, version, kind, codec, sizes against each other and against `bytes.size()` (the
// entry may be followed by more bytes), but not the checksum. kInvalid says which field.
Result<EntryHeader> read_entry_header(ByteView bytes);

// read_entry_header plus the checksum over the whole entry. kCorrupt when the checksum differs.
Result<EntryHeader> verify_entry(ByteView bytes);

// A verified entry opened for reading: decompressed where needed, its events found and bounded.
// Owns what it decompressed and shares the entry's storage otherwise.
class EntryReader {
 public:
  // Verifies the entry (checksum included unless `checksum_known_good`), decompresses, and walks
  // the events' frame; each event still has to pass read_event() (event.h) before it is read.
  static Result<EntryReader> open(const Bytes& entry, bool checksum_known_good = false);

  const EntryHeader& header() const { return header_; }
  std::size_t event_count() const { return events_.size(); }
  ByteView event(std::size_t i) const { return events_[i]; }
  ByteView body() const { return body_; }  // kMembership: the membership's bytes

 private:
  EntryHeader header_;
  Bytes storage_;
  ByteView body_;
  std::vector<ByteView> events_;
};

}  // namespace bib::wire
