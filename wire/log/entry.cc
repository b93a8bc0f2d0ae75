#include "wire/log/entry.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/base/compress.h"
#include "wire/base/little_endian.h"

namespace bib::wire {
namespace {

constexpr std::size_t kEventHeadSize = 8;
constexpr std::size_t kChecksumOffset = 64;
constexpr std::size_t kCompressFrom = 4096;
// After n tries that did not pay, 2^n seals are not tried.
constexpr std::uint32_t kFailuresMax = 6;
// lz4 cannot shrink by more than about this factor; a larger claim is a lie.
constexpr std::uint64_t kLz4RatioMax = 256;

struct Body {
  EntryKind kind;
  EntryCodec codec;
  std::uint32_t event_count;
  ByteView stored;
  std::size_t size;  // decompressed
};

// The one place where an entry's bytes are written.
Bytes write_entry(const EntryStamp& stamp, const Body& body) {
  const std::size_t end = kEntryHeaderSize + body.stored.size();
  const std::size_t size = round_up(end, 8);
  BIB_CHECK(size <= kEntrySizeMax, "an entry of {} bytes", size);
  Bytes::Builder builder(size);
  std::uint8_t* at = builder.data();
  store(at, kEntryMagic);
  at[4] = kEntryVersion;
  at[5] = static_cast<std::uint8_t>(body.kind);
  at[6] = static_cast<std::uint8_t>(body.codec);
  at[7] = 0;
  store(at + 8, static_cast<std::uint32_t>(size));
  store(at + 12, body.event_count);
  std::memcpy(at + 16, stamp.cluster.bytes.data(), stamp.cluster.bytes.size());
  store(at + 32, stamp.term.value());
  store(at + 40, stamp.index.value());
  store(at + 48, stamp.time_us);
  store(at + 56, static_cast<std::uint32_t>(body.stored.size()));
  store(at + 60, static_cast<std::uint32_t>(body.size));
  store(at + kChecksumOffset, std::uint64_t{0});
  if (!body.stored.empty()) {
    std::memcpy(at + kEntryHeaderSize, body.stored.data(), body.stored.size());
  }
  std::memset(at + end, 0, size - end);
  store(at + kChecksumOffset, checksum64({at, size}));
  return Bytes(std::move(builder));
}

template <typename... Args>
tl::unexpected<Error> bad_entry(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalid, "not a valid entry: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

EntryHeader load_header(const std::uint8_t* at) {
  EntryHeader header;
  header.kind = static_cast<EntryKind>(at[5]);
  header.codec = static_cast<EntryCodec>(at[6]);
  header.size = load_u32(at + 8);
  header.event_count = load_u32(at + 12);
  std::memcpy(header.cluster.bytes.data(), at + 16, header.cluster.bytes.size());
  header.term = Term(load_u64(at + 32));
  header.index = LogIndex(load_u64(at + 40));
  header.time_us = load_i64(at + 48);
  header.stored_body_size = load_u32(at + 56);
  header.body_size = load_u32(at + 60);
  header.checksum = load_u64(at + kChecksumOffset);
  return header;
}

Status check_sizes(const EntryHeader& header, std::size_t available) {
  if (header.size > kEntrySizeMax) {
    return bad_entry("size {} is above the limit of {}", header.size, kEntrySizeMax);
  }
  if (header.size != round_up(std::uint64_t{kEntryHeaderSize} + header.stored_body_size, 8)) {
    return bad_entry("size {} does not fit a stored body of {} bytes", header.size,
                     header.stored_body_size);
  }
  if (header.body_size > kEntryBodySizeMax) {
    return bad_entry("body size {} is above the limit of {}", header.body_size, kEntryBodySizeMax);
  }
  if (header.size > available) {
    return bad_entry("size {}, but only {} bytes are there", header.size, available);
  }
  return {};
}

Status check_codec(const EntryHeader& header) {
  if (header.codec == EntryCodec::kNone) {
    if (header.body_size == header.stored_body_size) return {};
    return bad_entry("body size {} differs from the stored size {} without compression",
                     header.body_size, header.stored_body_size);
  }
  if (header.codec != EntryCodec::kLz4) {
    return bad_entry("codec {} is unknown", static_cast<unsigned>(header.codec));
  }
  if (header.stored_body_size == 0 || header.body_size <= header.stored_body_size ||
      header.body_size > header.stored_body_size * kLz4RatioMax) {
    return bad_entry("{} bytes of lz4 cannot hold a body of {}", header.stored_body_size,
                     header.body_size);
  }
  return {};
}

Status check_kind(const EntryHeader& header) {
  const bool plain = header.event_count == 0 && header.codec == EntryCodec::kNone;
  switch (header.kind) {
    case EntryKind::kNoop:
      if (plain && header.body_size == 0) return {};
      return bad_entry("a no-op has a body or events");
    case EntryKind::kMembership:
      if (plain && header.body_size != 0) return {};
      return bad_entry("a membership has events, compression or no body");
    case EntryKind::kEvents:
      if (header.event_count == 0 || header.event_count > kEntryEventsMax ||
          header.body_size / kEventHeadSize < header.event_count) {
        return bad_entry("{} events in a body of {} bytes", header.event_count, header.body_size);
      }
      return {};
  }
  return bad_entry("kind {} is unknown", static_cast<unsigned>(header.kind));
}

// Finds the events in a body. They are bounded here; what is in them is event.h's.
Result<std::vector<ByteView>> walk_events(ByteView body, std::uint32_t count) {
  std::vector<ByteView> events;
  events.reserve(count);
  std::size_t at = 0;
  while (at < body.size()) {
    const std::size_t left = body.size() - at;
    if (left < kEventHeadSize) {
      return fail(ErrorCode::kCorrupt, "event {} is cut off: {} bytes left", events.size(), left);
    }
    const std::uint32_t size = load_u32(body.data() + at);
    const std::uint64_t padded = round_up(kEventHeadSize + std::uint64_t{size}, 8);
    if (size == 0 || size > kEventSizeMax || padded > left) {
      return fail(ErrorCode::kCorrupt, "event {} claims {} bytes; {} are left, the limit is {}",
                  events.size(), size, left - kEventHeadSize, kEventSizeMax);
    }
    const ByteView padding =
        body.subspan(at + kEventHeadSize + size, padded - kEventHeadSize - size);
    if (load_u32(body.data() + at + 4) != 0 || !is_zero(padding)) {
      return fail(ErrorCode::kCorrupt, "event {} is not padded with zeros", events.size());
    }
    if (events.size() == count) {
      return fail(ErrorCode::kCorrupt, "the body holds more than the {} events announced", count);
    }
    events.push_back(body.subspan(at + kEventHeadSize, size));
    at += padded;
  }
  if (events.size() != count) {
    return fail(ErrorCode::kCorrupt, "the body holds {} events, {} were announced", events.size(),
                count);
  }
  return events;
}

}  // namespace

std::uint32_t EntryBuilder::add_event(ByteView event) {
  BIB_CHECK(!event.empty() && event.size() <= kEventSizeMax, "an event of {} bytes", event.size());
  BIB_CHECK(count_ < kEntryEventsMax);
  const std::size_t begin = body_.size();
  const std::size_t end = begin + round_up(kEventHeadSize + event.size(), 8);
  BIB_CHECK(end <= kEntryBodySizeMax, "a body of {} bytes", end);
  body_.resize(end);
  store(body_.data() + begin, static_cast<std::uint32_t>(event.size()));
  std::memcpy(body_.data() + begin + kEventHeadSize, event.data(), event.size());
  return count_++;
}

Bytes EntryBuilder::seal(const EntryStamp& stamp) {
  BIB_CHECK(!empty());
  Body body{.kind = EntryKind::kEvents,
            .codec = EntryCodec::kNone,
            .event_count = count_,
            .stored = body_,
            .size = body_.size()};
  if (body_.size() >= kCompressFrom) {
    compressed_.clear();
    if (lz4_skip_ > 0) {
      --lz4_skip_;
    } else if (lz4_compress_if_it_pays(body_, compressed_) != 0) {
      body.codec = EntryCodec::kLz4;
      body.stored = compressed_;
      lz4_failures_ = 0;
    } else {
      lz4_failures_ = std::min(lz4_failures_ + 1, kFailuresMax);
      lz4_skip_ = 1U << lz4_failures_;
    }
  }
  Bytes entry = write_entry(stamp, body);
  body_.clear();
  count_ = 0;
  return entry;
}

Bytes make_noop_entry(const EntryStamp& stamp) {
  return write_entry(stamp, {.kind = EntryKind::kNoop,
                             .codec = EntryCodec::kNone,
                             .event_count = 0,
                             .stored = {},
                             .size = 0});
}

Bytes make_membership_entry(const EntryStamp& stamp, ByteView membership_bytes) {
  BIB_CHECK(!membership_bytes.empty());
  return write_entry(stamp, {.kind = EntryKind::kMembership,
                             .codec = EntryCodec::kNone,
                             .event_count = 0,
                             .stored = membership_bytes,
                             .size = membership_bytes.size()});
}

Result<EntryHeader> read_entry_header(ByteView bytes) {
  if (bytes.size() < kEntryHeaderSize) {
    return bad_entry("{} bytes are fewer than the header's {}", bytes.size(), kEntryHeaderSize);
  }
  const std::uint8_t* at = bytes.data();
  if (load_u32(at) != kEntryMagic) return bad_entry("magic {:08x}", load_u32(at));
  if (at[4] != kEntryVersion) return bad_entry("version {} is unknown", at[4]);
  if (at[7] != 0) return bad_entry("byte 7 is not zero");
  const EntryHeader header = load_header(at);
  BIB_TRY_VOID(check_sizes(header, bytes.size()));
  BIB_TRY_VOID(check_codec(header));
  BIB_TRY_VOID(check_kind(header));
  return header;
}

Result<EntryHeader> verify_entry(ByteView bytes) {
  BIB_TRY(const EntryHeader header, read_entry_header(bytes));
  std::array<std::uint8_t, kEntryHeaderSize> head;
  std::memcpy(head.data(), bytes.data(), head.size());
  store(head.data() + kChecksumOffset, std::uint64_t{0});
  const ByteView rest = bytes.subspan(kEntryHeaderSize, header.size - kEntryHeaderSize);
  const std::uint64_t checksum = checksum64_of_two(head, rest);
  if (checksum != header.checksum) {
    return fail(ErrorCode::kCorrupt,
                "entry {} of term {}: checksum {:016x}, its bytes give {:016x}",
                header.index.value(), header.term.value(), header.checksum, checksum);
  }
  if (!is_zero(rest.subspan(header.stored_body_size))) {
    return fail(ErrorCode::kCorrupt, "entry {} of term {} is not padded with zeros",
                header.index.value(), header.term.value());
  }
  return header;
}

Result<EntryReader> EntryReader::open(const Bytes& entry, bool checksum_known_good) {
  EntryReader reader;
  BIB_TRY(reader.header_,
          checksum_known_good ? read_entry_header(entry.view()) : verify_entry(entry.view()));
  const EntryHeader& header = reader.header_;
  const ByteView stored = entry.view().subspan(kEntryHeaderSize, header.stored_body_size);
  if (header.codec == EntryCodec::kLz4) {
    Bytes::Builder body(header.body_size);
    BIB_TRY_VOID(lz4_decompress(stored, body.data(), body.size()));
    reader.storage_ = Bytes(std::move(body));
    reader.body_ = reader.storage_.view();
  } else if (reinterpret_cast<std::uintptr_t>(stored.data()) % 8 != 0) {
    reader.storage_ = Bytes::copy_of(stored);  // events are read by 8-byte loads
    reader.body_ = reader.storage_.view();
  } else {
    reader.storage_ = entry;
    reader.body_ = stored;
  }
  if (header.kind == EntryKind::kEvents) {
    BIB_TRY(reader.events_, walk_events(reader.body_, header.event_count));
  }
  return reader;
}

}  // namespace bib::wire
