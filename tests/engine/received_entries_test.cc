// Entries that a node could not apply do not get as far as its log.
#include "engine/node/received_entries.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "wire/base/checksum.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

using namespace bib;
using namespace bib::engine;

namespace {

const wire::EntryStamp kStamp{{{1, 2, 3}}, wire::Term(2), wire::LogIndex(7), 1};

wire::PeerMessage append_of(std::vector<wire::Bytes> entries) {
  wire::PeerMessage message;
  message.kind = wire::MessageKind::kAppend;
  for (wire::Bytes& entry : entries) {
    const auto header = wire::verify_entry(entry.view());
    REQUIRE(header);
    message.entries.push_back({header->index, header->term, header->size, std::nullopt});
    message.payload.push_back(std::move(entry));
  }
  return message;
}

wire::Bytes entry_with(wire::ByteView event) {
  wire::EntryBuilder builder;
  builder.add_event(event);
  return builder.seal(kStamp);
}

wire::Status check_all(const wire::PeerMessage& message) {
  return check_entries(message, message.entries.size());
}

wire::Bytes good_entry(const std::string& value) {
  wire::EventEncoder encoder;
  return entry_with(encoder.encode({.body = wire::ConfigSet{.key = "k", .value = value}}));
}

// The same entry with one byte of its stored body changed, and a checksum that fits again.
wire::Bytes damaged(const wire::Bytes& entry, std::size_t at) {
  std::vector<std::uint8_t> bytes(entry.view().begin(), entry.view().end());
  bytes[at] ^= 0xff;
  std::fill_n(bytes.begin() + 64, 8, std::uint8_t{0});
  const std::uint64_t checksum = wire::checksum64(bytes);
  std::memcpy(bytes.data() + 64, &checksum, sizeof checksum);
  return wire::Bytes::copy_of(bytes);
}

}  // namespace

TEST_CASE("entries that can be applied are taken") {
  CHECK(check_all(append_of({})));
  CHECK(check_all(append_of({wire::make_noop_entry(kStamp)})));
  CHECK(check_all(append_of({good_entry("v"), good_entry(std::string(100'000, 'x'))})));
}

TEST_CASE("an entry whose event is rubbish is refused, though its checksum is right") {
  const auto refused =
      check_all(append_of({good_entry("v"), entry_with(wire::as_bytes("no event"))}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == wire::ErrorCode::kCorrupt);
  CHECK(refused.error().message.find("entry 7") != std::string::npos);
}

TEST_CASE("an entry that cannot be decompressed is refused, though its checksum is right") {
  const wire::Bytes entry = good_entry(std::string(100'000, 'x'));
  REQUIRE(wire::verify_entry(entry.view())->codec == wire::EntryCodec::kLz4);
  CHECK_FALSE(check_all(append_of({damaged(entry, wire::kEntryHeaderSize)})));
}

TEST_CASE("only the entries that may enter the log are read") {
  const wire::PeerMessage message =
      append_of({entry_with(wire::as_bytes("no event")), good_entry("v"), good_entry("w")});
  CHECK(check_entries(message, 0));
  CHECK(check_entries(message, 2));
  CHECK_FALSE(check_entries(message, 3));
}

TEST_CASE("an append that would be too much when decompressed is refused before it is") {
  // 600 KiB in some three, each.
  const std::string value(600U << 10, 'x');
  const std::size_t allowed = kAppendDecodedBytesMax / (600U << 10) + 1;
  std::vector<wire::Bytes> entries(allowed, good_entry(value));
  CHECK(entries_in_one_append(entries) == allowed);
  CHECK(check_all(append_of(entries)));
  entries.push_back(entry_with(wire::as_bytes("no event")));
  CHECK(entries_in_one_append(entries) == allowed);
  const auto refused = check_all(append_of(entries));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == wire::ErrorCode::kInvalid);  // not kCorrupt: it was not looked at
  CHECK(refused.error().message.find("decompressed") != std::string::npos);
  // Where most of it is in the log already, the rest is read.
  CHECK(check_entries(append_of(entries), 1).error().code == wire::ErrorCode::kCorrupt);
}
