// scan_segment: LevelDB's ladder, the line between a torn tail and damage, continuity, truncation.
#include <catch2/catch.hpp>

#include <algorithm>

#include "log_samples.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"

namespace bib::wire {
namespace {

SegmentScan scan(const std::vector<std::uint8_t>& bytes, const ScanOptions& options = {}) {
  const auto scan = scan_segment(bytes, options, {});
  REQUIRE(scan.has_value());
  return *scan;
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr std::size_t kHeader = 512;

}  // namespace

TEST_CASE("a segment of a header only ends where the header ends") {
  const SegmentScan result = scan(SegmentWriter().bytes);
  CHECK(result.end == SegmentEnd::kTail);
  CHECK(result.end_offset == kHeader);
  CHECK(result.next_sequence == 100);
  CHECK(result.blocks == 0);
  CHECK(result.last_index == LogIndex(40));
  CHECK(result.last_term == Term(3));
  CHECK(result.hard_state == HardState{Term(3), NodeId(0xabc)});
}

TEST_CASE("the scan gives every record in order and the state after them") {
  SegmentWriter writer;
  writer.block([](BlockBuilder& block) {
    block.add_hard_state({.term = Term(4), .vote = NodeId(9)});
    block.add_entry(sample_entry(41, 4, "one").view());
    block.add_entry(sample_entry(42, 4, "two").view());
  });
  writer.block([](BlockBuilder& block) {
    block.add_truncate(LogIndex(42));
    block.add_entry(sample_entry(42, 5).view());
  });
  writer.zeros(4096);
  std::vector<Record> records;
  const auto result = scan_segment(writer.bytes, {}, [&](const Record& record) -> Status {
    records.push_back(record);
    return {};
  });
  REQUIRE(result);
  CHECK(result->end == SegmentEnd::kTail);
  CHECK(result->end_offset == writer.bytes.size() - 4096);
  CHECK(result->next_sequence == 102);
  CHECK(result->blocks == 2);
  CHECK(result->durable_sequence == 100);
  CHECK(result->last_index == LogIndex(42));
  CHECK(result->last_term == Term(5));
  CHECK(result->hard_state == HardState{Term(4), NodeId(9)});

  REQUIRE(records.size() == 5);
  CHECK(records[0].kind == RecordKind::kHardState);
  CHECK(records[0].hard_state == HardState{Term(4), NodeId(9)});
  CHECK(records[1].kind == RecordKind::kEntry);
  CHECK(records[1].entry.index == LogIndex(41));
  CHECK(records[2].entry.index == LogIndex(42));
  CHECK(records[3].kind == RecordKind::kTruncate);
  CHECK(records[3].truncate_from == LogIndex(42));
  CHECK(records[4].entry.term == Term(5));
  for (const Record& record : records) {
    CHECK(record.content.data() == writer.bytes.data() + record.file_offset);
  }
}

TEST_CASE("a file that ends exactly after its last block is whole") {
  SegmentWriter writer;
  writer.entries(41, 2, 3).entries(43, 1, 3);
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kTail);
  CHECK(result.end_offset == writer.bytes.size());
  CHECK(result.last_index == LogIndex(43));
}

TEST_CASE("a file that is cut anywhere in its last block ends before that block, torn") {
  SegmentWriter writer;
  writer.entries(41, 2, 3).entries(43, 9, 3, std::string(100, 'x'));
  const std::size_t last = writer.offsets[1];
  for (std::size_t size = last; size < writer.bytes.size(); ++size) {
    std::vector<std::uint8_t> cut(writer.bytes.begin(),
                                  writer.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    cut.shrink_to_fit();
    const SegmentScan result = scan(cut);
    INFO("cut to " << size);
    REQUIRE(result.end == (size == last ? SegmentEnd::kTail : SegmentEnd::kTorn));
    REQUIRE(result.end_offset == last);
    REQUIRE(result.last_index == LogIndex(42));
    REQUIRE(scan(cut, {.is_last = false}).end == SegmentEnd::kDamaged);
  }
}

TEST_CASE("a file that is cut in its header is refused") {
  const std::vector<std::uint8_t> bytes = SegmentWriter().bytes;
  for (std::size_t size = 0; size < kHeader; ++size) {
    const std::vector<std::uint8_t> cut(bytes.begin(),
                                        bytes.begin() + static_cast<std::ptrdiff_t>(size));
    REQUIRE_FALSE(scan_segment(cut, {}, {}));
  }
}

TEST_CASE("a sealed segment ends with its sealed block, whatever follows") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).block({}, kBlockSealed);
  const std::size_t end = writer.bytes.size();
  writer.entries(42, 1, 3);
  for (const bool is_last : {true, false}) {
    const SegmentScan result = scan(writer.bytes, {.is_last = is_last});
    CHECK(result.end == SegmentEnd::kSealed);
    CHECK(result.end_offset == end);
    CHECK(result.last_index == LogIndex(41));
  }
}

TEST_CASE("a closed block at the end tells of a clean shutdown, one before the end does not") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).block({}, kBlockClosed).zeros(1024);
  CHECK(scan(writer.bytes).end == SegmentEnd::kClosed);

  SegmentWriter reopened;
  reopened.block({}, kBlockClosed).entries(41, 1, 3).zeros(1024);
  CHECK(scan(reopened.bytes).end == SegmentEnd::kTail);
}

TEST_CASE("a segment that is not the last one must be sealed") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).zeros(2048);
  const SegmentScan result = scan(writer.bytes, {.is_last = false});
  CHECK(result.end == SegmentEnd::kDamaged);
  CHECK(result.problem_offset == writer.offsets[0] + 512);
  CHECK(result.problem_index == LogIndex(42));
}

TEST_CASE("a last write with a false checksum is torn while nobody says that it was durable") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).entries(42, 1, 3);
  writer.bytes[writer.offsets[1] + 100] ^= 1;
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kTorn);
  CHECK(result.end_offset == writer.offsets[1]);
  CHECK(result.problem_offset == writer.offsets[1]);
  CHECK(result.problem_index == LogIndex(42));
  CHECK(mentions(result.problem, "block 101, did not complete"));
}

TEST_CASE("a last write whose first sector was lost is torn") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).entries(42, 20, 3, "some text");
  std::fill_n(writer.bytes.begin() + static_cast<std::ptrdiff_t>(writer.offsets[1]), 512,
              std::uint8_t{0});
  writer.zeros(4096);
  CHECK(scan(writer.bytes).end == SegmentEnd::kTorn);
}

TEST_CASE("a block that a later one calls durable is damage when it does not verify") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).entries(42, 3, 3).watermark().zeros(1024);
  writer.bytes[writer.offsets[1] + 70] ^= 0x80;
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kDamaged);
  CHECK(result.end_offset == writer.offsets[1]);
  CHECK(result.problem_offset == writer.offsets[1]);
  CHECK(result.problem_index == LogIndex(42));
  CHECK(result.durable_sequence == 101);
  CHECK(result.last_index == LogIndex(41));
  CHECK(mentions(result.problem, "offset " + std::to_string(writer.offsets[2])));
}

TEST_CASE("a block after the first bad one proves nothing without a claim to it") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).entries(42, 1, 3);
  writer.block([](BlockBuilder& block) { block.add_entry(sample_entry(43, 3).view()); }, 0, 100);
  writer.bytes[writer.offsets[1] + 70] ^= 0x80;
  CHECK(scan(writer.bytes).end == SegmentEnd::kTorn);
}

TEST_CASE("a lost write over a recycled block is damage once a later block was durable") {
  SegmentWriter old(sample_segment_header());
  old.log_id = 0x0dd;
  old.entries(41, 1, 3).entries(42, 1, 3).entries(43, 1, 3);
  SegmentWriter writer;
  writer.entries(41, 1, 3).entries(42, 1, 3).watermark();
  // The second write went nowhere, though its sync said that all was well.
  std::copy_n(old.bytes.begin() + static_cast<std::ptrdiff_t>(old.offsets[1]), 512,
              writer.bytes.begin() + static_cast<std::ptrdiff_t>(writer.offsets[1]));
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kDamaged);
  CHECK(result.problem_index == LogIndex(42));
}

TEST_CASE("older bytes after the end of a recycled segment are its tail") {
  SegmentWriter writer;
  writer.entries(41, 1, 3);
  const std::size_t end = writer.bytes.size();
  SECTION("of another log") {
    writer.log_id = 0x0dd;
  }
  SECTION("of an older segment") {
    writer.segment = 3;
  }
  SECTION("of older blocks of this segment") {
    writer.sequence = 50;
  }
  writer.entries(42, 2, 3).entries(44, 1, 3).zeros(512);
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kTail);
  CHECK(result.end_offset == end);
  CHECK(result.next_sequence == 101);
}

TEST_CASE("the inside of an older block is a tail too when older blocks follow it") {
  SegmentWriter writer;
  writer.entries(41, 1, 3);
  const std::size_t end = writer.bytes.size();
  writer.segment = 3;
  writer.entries(1, 30, 1, std::string(50, 'x')).entries(31, 1, 1);
  // Our block was written over the beginning of the large older one.
  writer.bytes.erase(writer.bytes.begin() + static_cast<std::ptrdiff_t>(end),
                     writer.bytes.begin() + static_cast<std::ptrdiff_t>(end + 512));
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kTail);
  CHECK(result.end_offset == end);
}

TEST_CASE("a torn write over older blocks is torn") {
  SegmentWriter writer;
  writer.entries(41, 1, 3).entries(42, 20, 3, std::string(40, 'y'));
  const std::size_t torn = writer.offsets[1];
  writer.segment = 3;
  writer.entries(1, 1, 1).entries(2, 1, 1);
  writer.bytes[torn + 1000] ^= 1;
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kTorn);
  CHECK(result.end_offset == torn);
}

TEST_CASE("a block that verifies but does not continue the log is damage") {
  SegmentWriter writer;
  writer.entries(41, 2, 3);
  std::string expected;
  SECTION("its sequence leaves one out") {
    writer.sequence += 1;
    writer.entries(43, 1, 3);
    expected = "block 102 is where block 101 belongs";
  }
  SECTION("its entry leaves an index out") {
    writer.entries(44, 1, 3);
    expected = "entry 44 follows entry 42";
  }
  SECTION("its entry repeats an index") {
    writer.entries(42, 1, 3);
    expected = "entry 42 follows entry 42";
  }
  SECTION("its entry's term falls") {
    writer.entries(43, 1, 2);
    expected = "entry 43 of term 2 follows an entry of term 3";
  }
  SECTION("its entry is of another cluster") {
    writer.block([](BlockBuilder& block) {
      block.add_entry(make_noop_entry({.cluster = sample_cluster(0x77),
                                       .term = Term(3),
                                       .index = LogIndex(43),
                                       .time_us = 0})
                          .view());
    });
    expected = "is of cluster 7777";
  }
  SECTION("the current term falls") {
    writer.block(
        [](BlockBuilder& block) { block.add_hard_state({.term = Term(2), .vote = NodeId(0)}); });
    expected = "the current term falls from 3 to 2";
  }
  SECTION("it truncates what is not there") {
    writer.block([](BlockBuilder& block) { block.add_truncate(LogIndex(43)); });
    expected = "a truncation from 43 of a log that ends at 42";
  }
  SECTION("its entry's own checksum is false") {
    writer.block([](BlockBuilder& block) {
      std::vector<std::uint8_t> entry(72);
      const Bytes good = sample_entry(43, 3);
      std::copy_n(good.data(), 72, entry.begin());
      entry[48] ^= 1;
      block.add_entry(entry);
    });
    expected = "checksum";
  }
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kDamaged);
  CHECK(result.end_offset == writer.offsets[1]);
  CHECK(result.problem_offset == writer.offsets[1]);
  CHECK(result.problem_index == LogIndex(43));
  CHECK(result.last_index == LogIndex(42));
  INFO(result.problem);
  CHECK(mentions(result.problem, expected));
}

namespace {

// Changes a block in place and gives it a checksum that fits.
void forge(SegmentWriter& writer, std::size_t i, const std::function<void(std::uint8_t*)>& change) {
  std::uint8_t* at = writer.bytes.data() + writer.offsets[i];
  change(at);
  store(at + 48, std::uint64_t{0});
  store(at + 48, checksum64({at, kBlockHeaderSize + load_u32(at + 8)}));
}

}  // namespace

TEST_CASE("a record that does not fit its block is damage though the checksum is right") {
  SegmentWriter writer;
  writer.entries(41, 1, 3);
  const std::size_t record = kBlockHeaderSize;
  std::string expected;
  SECTION("of an unknown kind") {
    forge(writer, 0, [](std::uint8_t* at) { at[record + 4] = 4; });
    expected = "unknown kind 4";
  }
  SECTION("with bytes after its kind that are not zero") {
    forge(writer, 0, [](std::uint8_t* at) { at[record + 6] = 1; });
    expected = "unknown kind";
  }
  SECTION("longer than the block") {
    forge(writer, 0, [](std::uint8_t* at) { store(at + record, std::uint32_t{0xfffffff9}); });
    expected = "record 0 claims";
  }
  SECTION("shorter than its own header") {
    forge(writer, 0, [](std::uint8_t* at) { store(at + record, std::uint32_t{7}); });
    expected = "record 0 claims";
  }
  SECTION("one record fewer than the header says") {
    forge(writer, 0, [](std::uint8_t* at) { at[6] = 2; });
    expected = "holds 1 records, its header says 2";
  }
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kDamaged);
  INFO(result.problem);
  CHECK(mentions(result.problem, expected));
}

TEST_CASE("a truncation finds the term of the entry before it") {
  SegmentWriter writer;
  writer.entries(41, 2, 3).entries(43, 2, 5).entries(45, 1, 6);
  LogIndex from;
  Term term;
  SECTION("in the latest term") {
    from = LogIndex(45), term = Term(5);
  }
  SECTION("at the end of a term") {
    from = LogIndex(43), term = Term(3);
  }
  SECTION("inside a term") {
    from = LogIndex(44), term = Term(5);
  }
  SECTION("at the segment's start") {
    from = LogIndex(41), term = Term(3);
  }
  writer.block([&](BlockBuilder& block) { block.add_truncate(from); });
  const SegmentScan result = scan(writer.bytes);
  CHECK(result.end == SegmentEnd::kTail);
  CHECK(result.last_index == from - 1);
  CHECK(result.last_term == term);
}

TEST_CASE("a truncation from before the segment's start asks for the term and is no damage") {
  SegmentWriter writer;
  writer.entries(41, 1, 3);
  writer.block([](BlockBuilder& block) { block.add_truncate(LogIndex(30)); });
  LogIndex asked;
  ScanOptions options;
  options.term_of = [&](LogIndex index) {
    asked = index;
    return std::optional(Term(2));
  };
  CHECK(scan(writer.bytes).last_term == Term(0));
  CHECK(scan(writer.bytes, options).last_term == Term(2));
  CHECK(asked == LogIndex(29));

  writer.entries(30, 2, 4);
  for (const ScanOptions& each : {ScanOptions{}, options}) {
    const SegmentScan result = scan(writer.bytes, each);
    CHECK(result.end == SegmentEnd::kTail);
    CHECK(result.last_index == LogIndex(31));
    CHECK(result.last_term == Term(4));
  }
  writer.block([](BlockBuilder& block) { block.add_truncate(LogIndex(1)); });
  const SegmentScan empty = scan(writer.bytes, options);
  CHECK(empty.last_index == LogIndex(0));
  CHECK(empty.last_term == Term(0));
}

TEST_CASE("the visitor's error ends the scan, and it sees nothing of a damaged block") {
  SegmentWriter writer;
  writer.entries(41, 1, 3);
  writer.block([](BlockBuilder& block) {
    block.add_entry(sample_entry(42, 3).view());
    block.add_entry(sample_entry(44, 3).view());
  });
  std::vector<std::uint64_t> seen;
  const auto visit = [&](const Record& record) -> Status {
    seen.push_back(record.entry.index.value());
    return {};
  };
  REQUIRE(scan_segment(writer.bytes, {}, visit));
  CHECK(seen == std::vector<std::uint64_t>{41});

  const auto refused = scan_segment(
      writer.bytes, {}, [](const Record&) -> Status { return fail(ErrorCode::kIo, "enough"); });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "enough");
}

}  // namespace bib::wire
