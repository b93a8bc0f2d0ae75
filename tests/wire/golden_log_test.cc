// The frozen segment of log format version 1, and the document that explains its bytes.
//
// tests/golden/log-v1 never changes: a version of the format that this code writes differently is
// another version. After a deliberate change of an unreleased format:
//   wire_tests "the golden log is rewritten"
#include <catch2/catch.hpp>

#include <sstream>

#include "support/document.h"
#include "support/test_support.h"
#include "wire/log/log_format.h"

namespace bib::wire {
namespace {

constexpr const char* kFile = "log-v1/00000000000000000001.seg";
constexpr NodeId kNode{0x1111222233334444};
constexpr std::int64_t kTime = 1'700'000'000'000'000;
constexpr std::uint64_t kLogId = 0x5eedf00d5eedf00d;

ClusterId golden_cluster() {
  ClusterId cluster;
  for (std::uint8_t i = 0; i < 16; ++i) cluster.bytes[i] = i;
  return cluster;
}

Membership golden_membership() {
  Membership membership;
  membership.voters = {kNode};
  membership.members = {{.id = kNode, .raft_address = "a:1", .api_address = "a:2"}};
  return membership;
}

SegmentHeader golden_header() {
  SegmentHeader header;
  header.number = 1;
  header.cluster = golden_cluster();
  header.node = kNode;
  header.log_id = kLogId;
  header.first_sequence = 1;
  header.hard_state = {.term = Term(1), .vote = NodeId(0)};
  header.created_us = kTime;
  header.alignment = 512;
  header.membership = encode_membership(golden_membership());
  // Not a compiled schema, so that this file does not follow the schemas' growth.
  const std::string_view schema = "forty bytes that stand for a real schema";
  header.schema.assign(schema.begin(), schema.end());
  return header;
}

EntryStamp golden_stamp(std::uint64_t index, std::uint64_t term) {
  return {.cluster = golden_cluster(),
          .term = Term(term),
          .index = LogIndex(index),
          .time_us = kTime + static_cast<std::int64_t>(index)};
}

Bytes golden_events(std::uint64_t index, std::uint64_t term,
                    const std::vector<std::string>& events) {
  EntryBuilder builder;
  for (const std::string& event : events) builder.add_event(as_bytes(event));
  return builder.seal(golden_stamp(index, term));
}

const std::vector<std::string> kTwoEvents = {"the first event", "and one more"};
const std::vector<std::string> kLongEvent = {std::string(5000, 'x')};

std::vector<std::uint8_t> golden_segment() {
  std::vector<std::uint8_t> file = encode_segment_header(golden_header());
  BlockBuilder block(512);
  std::uint64_t sequence = 1;
  const auto finish = [&](std::uint8_t flags) {
    const ByteView bytes = block.finish({.sequence = sequence,
                                         .log_id = kLogId,
                                         .segment = 1,
                                         .durable_sequence = sequence - 1,
                                         .flags = flags});
    file.insert(file.end(), bytes.begin(), bytes.end());
    ++sequence;
    block.reset();
  };
  block.add_hard_state({.term = Term(1), .vote = kNode});
  block.add_entry(make_noop_entry(golden_stamp(1, 1)).view());
  finish(0);
  block.add_entry(golden_events(2, 1, kTwoEvents).view());
  block.add_entry(golden_events(3, 1, kLongEvent).view());
  finish(0);
  block.add_hard_state({.term = Term(2), .vote = NodeId(0)});
  block.add_truncate(LogIndex(3));
  block.add_entry(make_noop_entry(golden_stamp(3, 2)).view());
  finish(0);
  finish(kBlockWatermark);
  finish(kBlockClosed);
  file.resize(file.size() + 512);
  return file;
}

std::string golden_file() {
  return support::read_file(support::golden(kFile));
}

}  // namespace

TEST_CASE("the golden log is rewritten", "[.]") {
  support::write_file(support::golden(kFile), as_text(golden_segment()));
}

TEST_CASE("the golden log is what this build writes, byte for byte") {
  const std::string file = golden_file();
  const std::vector<std::uint8_t> now = golden_segment();
  REQUIRE(file.size() == now.size());
  for (std::size_t at = 0; at < file.size(); ++at) {
    INFO("offset " << at);
    REQUIRE(static_cast<std::uint8_t>(file[at]) == now[at]);
  }
}

TEST_CASE("the golden log's header is read") {
  const std::string file = golden_file();
  const auto header = read_segment_header(as_bytes(file));
  REQUIRE(header);
  CHECK(header->number == 1);
  CHECK(to_string(header->cluster) == "000102030405060708090a0b0c0d0e0f");
  CHECK(header->node == kNode);
  CHECK(header->log_id == kLogId);
  CHECK(header->first_sequence == 1);
  CHECK(header->previous_index == LogIndex(0));
  CHECK(header->hard_state == HardState{Term(1), NodeId(0)});
  CHECK(header->created_us == kTime);
  CHECK(header->alignment == 512);
  CHECK(header->schema.size() == 40);
  const auto membership = decode_membership(header->membership);
  REQUIRE(membership);
  CHECK(*membership == golden_membership());
}

TEST_CASE("the golden log's records are read") {
  const std::string file = golden_file();
  std::vector<Record> records;
  const auto scan = scan_segment(as_bytes(file), {}, [&](const Record& record) -> Status {
    records.push_back(record);
    return {};
  });
  REQUIRE(scan);
  CHECK(scan->end == SegmentEnd::kClosed);
  CHECK(scan->end_offset == file.size() - 512);
  CHECK(scan->blocks == 5);
  CHECK(scan->next_sequence == 6);
  CHECK(scan->durable_sequence == 4);
  CHECK(scan->last_index == LogIndex(3));
  CHECK(scan->last_term == Term(2));
  CHECK(scan->hard_state == HardState{Term(2), NodeId(0)});

  REQUIRE(records.size() == 7);
  CHECK(records[0].hard_state == HardState{Term(1), kNode});
  CHECK(records[1].entry.kind == EntryKind::kNoop);
  CHECK(records[4].hard_state == HardState{Term(2), NodeId(0)});
  CHECK(records[5].truncate_from == LogIndex(3));
  CHECK(records[6].entry.term == Term(2));
  const auto events_of = [](const Record& record) {
    const auto reader = EntryReader::open(Bytes::copy_of(record.content));
    REQUIRE(reader);
    std::vector<std::string> events;
    for (std::size_t i = 0; i < reader->event_count(); ++i) {
      events.emplace_back(as_text(reader->event(i)));
    }
    return events;
  };
  CHECK(records[2].entry.codec == EntryCodec::kNone);
  CHECK(records[2].entry.time_us == kTime + 2);
  CHECK(events_of(records[2]) == kTwoEvents);
  CHECK(records[3].entry.codec == EntryCodec::kLz4);
  CHECK(events_of(records[3]) == kLongEvent);
}

// Each line of a ```hexdump block is an offset, two blanks, bytes one blank apart, and after two
// more blanks their meaning.
TEST_CASE("the hexdump in the document on the log format is the golden log") {
  const std::string file = golden_file();
  std::size_t compared = 0;
  bool inside = false;
  for (const std::string& line : support::document_lines("docs/log-format.md")) {
    if (line.starts_with("```")) {
      inside = line == "```hexdump";
      continue;
    }
    if (!inside) continue;
    INFO(line);
    REQUIRE(line.size() > 12);
    REQUIRE(line.substr(8, 2) == "  ");
    const std::size_t offset = std::stoul(line.substr(0, 8), nullptr, 16);
    std::istringstream pairs(line.substr(10, line.find("  ", 10) - 10));
    std::string bytes;
    for (std::string pair; pairs >> pair;) {
      REQUIRE(pair.size() == 2);
      bytes += static_cast<char>(std::stoul(pair, nullptr, 16));
    }
    REQUIRE_FALSE(bytes.empty());
    REQUIRE(offset + bytes.size() <= file.size());
    REQUIRE(file.substr(offset, bytes.size()) == bytes);
    compared += bytes.size();
  }
  CHECK(compared > 400);
}

}  // namespace bib::wire
