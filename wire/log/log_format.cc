#include "wire/log/log_format.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"

namespace bib::wire {
namespace {

constexpr std::string_view kSegmentMagic = "BIBSEGM1";
constexpr std::uint32_t kSegmentVersion = 1;
constexpr std::size_t kSegmentChecksumOffset = 128;
constexpr std::uint8_t kBlockVersion = 1;
constexpr std::uint8_t kBlockFlagsKnown = kBlockSealed | kBlockClosed | kBlockWatermark;
constexpr std::size_t kBlockChecksumOffset = 48;
constexpr std::align_val_t kMemoryAlignment{4096};
constexpr std::size_t kBuilderCapacityMin = 64U << 10;
constexpr std::string_view kSegmentSuffix = ".seg";
constexpr std::size_t kSegmentDigits = 20;

bool is_alignment(std::uint32_t alignment) {
  return alignment == 512 || alignment == 4096;
}

// The checksum over `bytes`, whose first `kHead` bytes hold a checksum field that counts as zero.
template <std::size_t kHead>
std::uint64_t checksum_without_field(ByteView bytes, std::size_t field) {
  std::array<std::uint8_t, kHead> head;
  std::memcpy(head.data(), bytes.data(), kHead);
  store(head.data() + field, std::uint64_t{0});
  return checksum64_of_two(head, bytes.subspan(kHead));
}

std::uint64_t membership_offset(std::uint64_t schema_size) {
  return round_up(kSegmentHeaderFixedSize + schema_size, 8);
}

template <typename... Args>
tl::unexpected<Error> bad_segment(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kCorrupt, "not a valid segment header: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
tl::unexpected<Error> bad_block(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kCorrupt, "{}", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

std::string segment_file_name(std::uint64_t number) {
  return fmt::format("{:0{}}{}", number, kSegmentDigits, kSegmentSuffix);
}

std::optional<std::uint64_t> parse_segment_file_name(std::string_view name) {
  if (name.size() != kSegmentDigits + kSegmentSuffix.size()) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : name.substr(0, kSegmentDigits)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  // Another suffix, or a number beyond 64 bits.
  if (number == 0 || segment_file_name(number) != name) return std::nullopt;
  return number;
}

std::vector<std::uint8_t> encode_segment_header(const SegmentHeader& header) {
  BIB_CHECK(is_alignment(header.alignment), "alignment {}", header.alignment);
  BIB_CHECK(header.number != 0 && header.first_sequence != 0);
  const std::uint64_t membership_at = membership_offset(header.schema.size());
  const std::uint64_t size = round_up(membership_at + header.membership.size(), header.alignment);
  BIB_CHECK(size <= kSegmentHeaderSizeMax, "a segment header of {} bytes", size);
  std::vector<std::uint8_t> bytes(size);
  std::uint8_t* at = bytes.data();
  std::memcpy(at, kSegmentMagic.data(), kSegmentMagic.size());
  store(at + 8, kSegmentVersion);
  store(at + 12, static_cast<std::uint32_t>(size));
  store(at + 16, header.number);
  std::memcpy(at + 24, header.cluster.bytes.data(), header.cluster.bytes.size());
  store(at + 40, header.node.value());
  store(at + 48, header.log_id);
  store(at + 56, header.first_sequence);
  store(at + 64, header.previous_index.value());
  store(at + 72, header.previous_term.value());
  store(at + 80, header.hard_state.term.value());
  store(at + 88, header.hard_state.vote.value());
  store(at + 96, header.created_us);
  store(at + 104, header.alignment);
  store(at + 108, static_cast<std::uint32_t>(header.schema.size()));
  store(at + 112, static_cast<std::uint32_t>(header.membership.size()));
  store(at + 120, header.membership_index.value());
  std::copy(header.schema.begin(), header.schema.end(), at + kSegmentHeaderFixedSize);
  std::copy(header.membership.begin(), header.membership.end(), at + membership_at);
  store(at + kSegmentChecksumOffset, checksum64(bytes));
  return bytes;
}

Result<SegmentHeader> read_segment_header(ByteView bytes) {
  if (bytes.size() < kSegmentHeaderFixedSize) {
    return bad_segment("{} bytes are fewer than {}", bytes.size(), kSegmentHeaderFixedSize);
  }
  const std::uint8_t* at = bytes.data();
  if (as_text(bytes.first(kSegmentMagic.size())) != kSegmentMagic) {
    return bad_segment("it does not begin with {}", kSegmentMagic);
  }
  if (load_u32(at + 8) != kSegmentVersion) {
    return fail(ErrorCode::kUnsupported,
                "a segment of version {}; this build knows version {}: use a newer build",
                load_u32(at + 8), kSegmentVersion);
  }
  SegmentHeader header;
  header.header_size = load_u32(at + 12);
  header.alignment = load_u32(at + 104);
  const std::uint32_t schema_size = load_u32(at + 108);
  const std::uint32_t membership_size = load_u32(at + 112);
  if (!is_alignment(header.alignment)) return bad_segment("alignment {}", header.alignment);
  const std::uint64_t membership_at = membership_offset(schema_size);
  if (header.header_size > kSegmentHeaderSizeMax || header.header_size > bytes.size() ||
      header.header_size != round_up(membership_at + membership_size, header.alignment)) {
    return bad_segment("size {} with a schema of {} and a membership of {} bytes, {} are there",
                       header.header_size, schema_size, membership_size, bytes.size());
  }
  const ByteView whole = bytes.first(header.header_size);
  const std::uint64_t checksum =
      checksum_without_field<kSegmentHeaderFixedSize>(whole, kSegmentChecksumOffset);
  if (checksum != load_u64(at + kSegmentChecksumOffset)) {
    return bad_segment("checksum {:016x}, its bytes give {:016x}",
                       load_u64(at + kSegmentChecksumOffset), checksum);
  }
  header.number = load_u64(at + 16);
  std::memcpy(header.cluster.bytes.data(), at + 24, header.cluster.bytes.size());
  header.node = NodeId(load_u64(at + 40));
  header.log_id = load_u64(at + 48);
  header.first_sequence = load_u64(at + 56);
  header.previous_index = LogIndex(load_u64(at + 64));
  header.previous_term = Term(load_u64(at + 72));
  header.hard_state = {.term = Term(load_u64(at + 80)), .vote = NodeId(load_u64(at + 88))};
  header.created_us = load_i64(at + 96);
  header.membership_index = LogIndex(load_u64(at + 120));
  if (header.number == 0 || header.first_sequence == 0 || load_u32(at + 116) != 0) {
    return bad_segment("number {}, first sequence {}, bytes 116 to 119: {}", header.number,
                       header.first_sequence, load_u32(at + 116));
  }
  const ByteView schema = whole.subspan(kSegmentHeaderFixedSize, schema_size);
  const ByteView membership = whole.subspan(membership_at, membership_size);
  header.schema.assign(schema.begin(), schema.end());
  header.membership.assign(membership.begin(), membership.end());
  return header;
}

BlockBuilder::BlockBuilder(std::uint32_t alignment) : alignment_(alignment) {
  BIB_CHECK(is_alignment(alignment), "alignment {}", alignment);
}

BlockBuilder::~BlockBuilder() {
  ::operator delete(data_, kMemoryAlignment);
}

// Room for `size` more bytes after size_, and for the padding after them.
std::uint8_t* BlockBuilder::grow(std::size_t size) {
  const std::size_t needed = round_up(size_ + size, alignment_);
  BIB_CHECK(needed <= kBlockSizeMax, "a block of {} bytes", needed);
  if (needed > capacity_) {
    const std::size_t capacity =
        std::max({kBuilderCapacityMin, 2 * capacity_, std::size_t{round_up(needed, 4096)}});
    auto* data = static_cast<std::uint8_t*>(::operator new(capacity, kMemoryAlignment));
    if (data_ != nullptr) std::memcpy(data, data_, size_);
    ::operator delete(data_, kMemoryAlignment);
    data_ = data;
    capacity_ = capacity;
  }
  return data_ + size_;
}

std::uint8_t* BlockBuilder::add_record(RecordKind kind, std::size_t content_size) {
  BIB_CHECK(count_ < kBlockRecordsMax);
  const std::size_t size = kRecordHeaderSize + content_size;
  const std::size_t padded = round_up(size, 8);
  std::uint8_t* at = grow(padded);
  store(at, static_cast<std::uint32_t>(size));
  store(at + 4, static_cast<std::uint32_t>(kind));
  std::memset(at + size, 0, padded - size);
  size_ += padded;
  ++count_;
  return at + kRecordHeaderSize;
}

void BlockBuilder::add_hard_state(const HardState& state) {
  std::uint8_t* at = add_record(RecordKind::kHardState, 16);
  store(at, state.term.value());
  store(at + 8, state.vote.value());
}

void BlockBuilder::add_truncate(LogIndex from) {
  BIB_CHECK(from.value() != 0);
  store(add_record(RecordKind::kTruncate, 8), from.value());
}

std::uint32_t BlockBuilder::add_entry(ByteView entry) {
  std::uint8_t* at = add_record(RecordKind::kEntry, entry.size());
  std::memcpy(at, entry.data(), entry.size());
  return static_cast<std::uint32_t>(at - data_);
}

std::size_t BlockBuilder::size() const {
  return round_up(size_, alignment_);
}

ByteView BlockBuilder::finish(const Stamp& stamp) {
  BIB_CHECK((stamp.flags & ~kBlockFlagsKnown) == 0);
  BIB_CHECK((stamp.flags & kBlockWatermark) == 0 || count_ == 0);
  BIB_CHECK(stamp.durable_sequence < stamp.sequence, "block {} claims that {} is durable",
            stamp.sequence, stamp.durable_sequence);
  const std::size_t whole = size();
  std::uint8_t* tail = grow(0);
  std::memset(tail, 0, whole - size_);
  std::memset(data_, 0, kBlockHeaderSize);
  store(data_, kBlockMagic);
  data_[4] = kBlockVersion;
  data_[5] = stamp.flags;
  store(data_ + 6, count_);
  store(data_ + 8, static_cast<std::uint32_t>(size_ - kBlockHeaderSize));
  store(data_ + 12, static_cast<std::uint32_t>(whole));
  store(data_ + 16, stamp.sequence);
  store(data_ + 24, stamp.log_id);
  store(data_ + 32, stamp.segment);
  store(data_ + 40, stamp.durable_sequence);
  store(data_ + kBlockChecksumOffset, checksum64({data_, size_}));
  return {data_, whole};
}

void BlockBuilder::reset() {
  size_ = kBlockHeaderSize;
  count_ = 0;
}

Result<BlockHeader> verify_block(ByteView bytes, std::uint32_t alignment) {
  if (bytes.size() < kBlockHeaderSize) {
    return bad_block("{} bytes are too few for a block", bytes.size());
  }
  const std::uint8_t* at = bytes.data();
  if (load_u32(at) != kBlockMagic) return bad_block("no block's magic: {:08x}", load_u32(at));
  if (at[4] != kBlockVersion) return bad_block("block version {} is unknown", at[4]);
  BlockHeader header;
  header.flags = at[5];
  header.record_count = load_u16(at + 6);
  header.payload_size = load_u32(at + 8);
  header.size = load_u32(at + 12);
  header.sequence = load_u64(at + 16);
  header.log_id = load_u64(at + 24);
  header.segment = load_u64(at + 32);
  header.durable_sequence = load_u64(at + 40);
  const std::uint64_t content = kBlockHeaderSize + std::uint64_t{header.payload_size};
  if (header.size > kBlockSizeMax || header.size != round_up(content, alignment)) {
    return bad_block("block size {} does not fit a payload of {} bytes", header.size,
                     header.payload_size);
  }
  if (header.size > bytes.size()) {
    return bad_block("a block of {} bytes is cut off: {} are there", header.size, bytes.size());
  }
  const std::uint64_t checksum =
      checksum_without_field<kBlockHeaderSize>(bytes.first(content), kBlockChecksumOffset);
  if (checksum != load_u64(at + kBlockChecksumOffset)) {
    return bad_block("block checksum {:016x}, its bytes give {:016x}",
                     load_u64(at + kBlockChecksumOffset), checksum);
  }
  if (load_u64(at + 56) != 0 || !is_zero(bytes.subspan(content, header.size - content))) {
    return bad_block("the block is not padded with zeros");
  }
  if ((header.flags & ~kBlockFlagsKnown) != 0) {
    return bad_block("block flags {:02x} are unknown", header.flags);
  }
  if ((header.flags & kBlockWatermark) != 0 && header.record_count != 0) {
    return bad_block("a watermark block with {} records", header.record_count);
  }
  if (header.durable_sequence >= header.sequence) {
    return bad_block("block {} claims that {} is durable", header.sequence,
                     header.durable_sequence);
  }
  return header;
}

}  // namespace bib::wire
