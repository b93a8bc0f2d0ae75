#include "wire/log/entry.h"

#include <catch2/catch.hpp>

#include <set>

#include "log_samples.h"
#include "support/test_support.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"
#include "wire/base/prng.h"

namespace bib::wire {
namespace {

const EntryStamp kStamp{.cluster = sample_cluster(),
                        .term = Term(5),
                        .index = LogIndex(77),
                        .time_us = 1'700'000'000'123'456};

std::string random_text(Prng& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

std::vector<std::string> events_of(const EntryReader& reader) {
  std::vector<std::string> events;
  for (std::size_t i = 0; i < reader.event_count(); ++i) {
    events.emplace_back(as_text(reader.event(i)));
  }
  return events;
}

// The entry with some bytes changed, and a checksum that fits.
template <typename Number>
Bytes forged(const Bytes& entry, std::size_t at, Number number) {
  Bytes::Builder bytes(entry.size());
  std::memcpy(bytes.data(), entry.data(), entry.size());
  store(bytes.data() + at, number);
  store(bytes.data() + 64, std::uint64_t{0});
  store(bytes.data() + 64, checksum64({bytes.data(), bytes.size()}));
  return Bytes(std::move(bytes));
}

std::string open_error(const Bytes& entry) {
  const auto reader = EntryReader::open(entry);
  return reader ? std::string() : reader.error().message;
}

bool mentions(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an entry gives back its stamp and its events, in order") {
  EntryBuilder builder;
  CHECK(builder.empty());
  CHECK(builder.add_event(as_bytes("first")) == 0);
  CHECK(builder.add_event(as_bytes("the second")) == 1);
  CHECK(builder.add_event(as_bytes("12345678")) == 2);
  CHECK(builder.event_count() == 3);
  const Bytes entry = builder.seal(kStamp);
  CHECK(builder.empty());
  CHECK(builder.body_size() == 0);
  CHECK(entry.size() % 8 == 0);

  const auto reader = EntryReader::open(entry);
  REQUIRE(reader);
  const EntryHeader& header = reader->header();
  CHECK(header.kind == EntryKind::kEvents);
  CHECK(header.codec == EntryCodec::kNone);
  CHECK(header.size == entry.size());
  CHECK(header.event_count == 3);
  CHECK(header.cluster == kStamp.cluster);
  CHECK(header.term == kStamp.term);
  CHECK(header.index == kStamp.index);
  CHECK(header.time_us == kStamp.time_us);
  CHECK(events_of(*reader) == std::vector<std::string>{"first", "the second", "12345678"});
}

TEST_CASE("an entry may be followed by other bytes") {
  const Bytes entry = sample_entry(1, 1, "an event");
  std::vector<std::uint8_t> longer(entry.view().begin(), entry.view().end());
  longer.resize(longer.size() + 5, 0xee);
  CHECK(verify_entry(longer));
  CHECK(EntryReader::open(Bytes::copy_of(longer)));
  CHECK_FALSE(verify_entry(ByteView(longer).first(entry.size() - 1)));
}

TEST_CASE("events are read at addresses of a multiple of eight, wherever the entry lies") {
  const Bytes entry = sample_entry(1, 1, "an event");
  std::vector<std::uint8_t> shifted(3);
  shifted.insert(shifted.end(), entry.view().begin(), entry.view().end());
  const Bytes all = Bytes::copy_of(shifted);
  const auto reader = EntryReader::open(all.slice(3, entry.size()));
  REQUIRE(reader);
  CHECK(reinterpret_cast<std::uintptr_t>(reader->event(0).data()) % 8 == 0);
  CHECK(events_of(*reader) == std::vector<std::string>{"an event"});
}

TEST_CASE("a no-op has no body, a membership has the bytes it was given") {
  const auto noop = EntryReader::open(make_noop_entry(kStamp));
  REQUIRE(noop);
  CHECK(noop->header().kind == EntryKind::kNoop);
  CHECK(noop->header().size == kEntryHeaderSize);
  CHECK(noop->body().empty());

  const std::string bytes = "stands for a membership";
  const auto membership = EntryReader::open(make_membership_entry(kStamp, as_bytes(bytes)));
  REQUIRE(membership);
  CHECK(membership->header().kind == EntryKind::kMembership);
  CHECK(as_text(membership->body()) == bytes);
  CHECK(membership->event_count() == 0);
}

TEST_CASE("a body of four KiB and more is compressed when that pays") {
  const std::string text(1000, 't');
  for (const std::size_t count : {4U, 5U}) {
    EntryBuilder builder;
    for (std::size_t i = 0; i < count; ++i) builder.add_event(as_bytes(text));
    const Bytes entry = builder.seal(kStamp);
    const auto reader = EntryReader::open(entry);
    REQUIRE(reader);
    CHECK(reader->header().body_size == count * 1008);
    CHECK((reader->header().codec == EntryCodec::kLz4) == (count * 1008 >= 4096));
    CHECK(events_of(*reader) == std::vector<std::string>(count, text));
  }
}

TEST_CASE("lz4 is tried less and less often while it does not pay, and at once when it does") {
  Prng random(5);
  EntryBuilder builder;
  const std::string good(6000, 'c');
  const auto is_tried = [&] {  // seals what would compress, and tells whether it was
    builder.add_event(as_bytes(good));
    return EntryReader::open(builder.seal(kStamp))->header().codec == EntryCodec::kLz4;
  };
  const auto fail_once = [&] {
    builder.add_event(as_bytes(random_text(random, 6000)));
    const auto reader = EntryReader::open(builder.seal(kStamp));
    REQUIRE(reader->header().codec == EntryCodec::kNone);
  };
  CHECK(is_tried());
  fail_once();
  CHECK_FALSE(is_tried());
  CHECK_FALSE(is_tried());
  CHECK(is_tried());
  CHECK(is_tried());
  // However often it failed, it is tried again within 64 seals.
  for (int i = 0; i < 500; ++i) fail_once();
  int untried = 0;
  while (!is_tried()) REQUIRE(++untried <= 64);
  CHECK(is_tried());
}

TEST_CASE("every flipped bit in an entry is seen") {
  for (const std::string& text : {std::string("an event"), std::string(5000, 'x')}) {
    const Bytes entry = sample_entry(9, 2, text);
    for (std::size_t bit = 0; bit < entry.size() * 8; ++bit) {
      std::vector<std::uint8_t> bytes(entry.view().begin(), entry.view().end());
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      REQUIRE_FALSE(verify_entry(bytes));
    }
  }
}

TEST_CASE("an entry that is cut anywhere is refused") {
  const Bytes entry = sample_entry(9, 2, "an event");
  for (std::size_t size = 0; size < entry.size(); ++size) {
    REQUIRE_FALSE(EntryReader::open(Bytes::copy_of(entry.view().first(size))));
  }
}

TEST_CASE("each field of an entry's header that is wrong is named") {
  const Bytes plain = sample_entry(9, 2, "an event");  // a body of 16 bytes
  const Bytes packed = sample_entry(9, 2, std::string(5000, 'x'));
  CHECK(open_error(forged(plain, 40, std::uint64_t{10})).empty());
  CHECK(mentions(open_error(forged(plain, 0, std::uint32_t{1})), "magic"));
  CHECK(mentions(open_error(forged(plain, 4, std::uint8_t{2})), "version"));
  CHECK(mentions(open_error(forged(plain, 5, std::uint8_t{4})), "kind"));
  CHECK(mentions(open_error(forged(plain, 6, std::uint8_t{2})), "codec"));
  CHECK(mentions(open_error(forged(plain, 7, std::uint8_t{1})), "byte 7"));
  CHECK(mentions(open_error(forged(plain, 8, kEntrySizeMax + 8)), "limit"));
  CHECK(mentions(open_error(forged(plain, 8, std::uint32_t{80})), "size 80"));
  CHECK(mentions(open_error(forged(plain, 12, std::uint32_t{0})), "0 events"));
  CHECK(mentions(open_error(forged(plain, 12, std::uint32_t{3})), "3 events"));
  CHECK(mentions(open_error(forged(plain, 56, std::uint32_t{0xfffffff8})), "size"));
  CHECK(mentions(open_error(forged(plain, 60, std::uint32_t{17})), "body size 17"));
  CHECK(mentions(open_error(forged(plain, 60, kEntryBodySizeMax + 1)), "limit"));
  CHECK(mentions(open_error(forged(plain, 5, std::uint8_t{1})), "no-op"));
  CHECK(mentions(open_error(forged(plain, 5, std::uint8_t{3})), "membership"));
  // A decompressed size that lz4 cannot reach is not even allocated; one that it misses is seen.
  CHECK(mentions(open_error(forged(packed, 60, kEntryBodySizeMax)), "cannot hold"));
  CHECK(mentions(open_error(forged(packed, 60, std::uint32_t{5016})), "decompress"));
  CHECK(mentions(open_error(forged(packed, 72, std::uint32_t{0xffffffff})), "decompress"));
}

TEST_CASE("each fault in the frame of an entry's events is named") {
  EntryBuilder builder;
  builder.add_event(as_bytes("12345"));     // at 72: head, text, three zeros
  builder.add_event(as_bytes("12345678"));  // at 88
  const Bytes entry = builder.seal(kStamp);
  CHECK(mentions(open_error(forged(entry, 72, std::uint32_t{0})), "event 0 claims 0"));
  CHECK(mentions(open_error(forged(entry, 72, std::uint32_t{25})), "event 0 claims 25"));
  CHECK(mentions(open_error(forged(entry, 72, std::uint32_t{0xffffffff})), "event 0 claims"));
  CHECK(mentions(open_error(forged(entry, 76, std::uint32_t{1})), "event 0 is not padded"));
  CHECK(mentions(open_error(forged(entry, 87, std::uint8_t{1})), "event 0 is not padded"));
  CHECK(mentions(open_error(forged(entry, 12, std::uint32_t{1})), "more than the 1"));
  CHECK(mentions(open_error(forged(entry, 72, std::uint32_t{24})), "holds 1 events, 2"));
  CHECK(mentions(open_error(forged(entry, 56, std::uint32_t{30})), "body size"));
}

TEST_CASE("the padding after an entry's body must be zero") {
  const Bytes entry = make_membership_entry(kStamp, as_bytes("12345"));
  CHECK(open_error(entry).empty());
  CHECK(mentions(open_error(forged(entry, 79, std::uint8_t{1})), "padded"));
}

TEST_CASE("what no entry can hold is our own bug, not an entry") {
  EntryBuilder builder;
  CHECK(support::aborts([&] { builder.seal(kStamp); }));
  CHECK(support::aborts([&] { builder.add_event({}); }));
  CHECK(support::aborts([&] { builder.add_event(as_bytes(std::string(kEventSizeMax + 1, 'x'))); }));
  CHECK(support::aborts([&] { make_membership_entry(kStamp, {}); }));
}

TEST_CASE("entries of any shape come back as they were sealed") {
  Prng random(11);
  EntryBuilder builder;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> events(random.between(1, 40));
    for (std::string& event : events) {
      const std::size_t size = random.between(1, 600);
      event = random.chance_ppm(500'000) ? random_text(random, size) : std::string(size, 'r');
      builder.add_event(as_bytes(event));
    }
    const auto reader = EntryReader::open(builder.seal(kStamp));
    REQUIRE(reader);
    REQUIRE(events_of(*reader) == events);
  }
}

}  // namespace bib::wire
