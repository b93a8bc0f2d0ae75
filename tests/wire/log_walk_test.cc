// LogWalk: each thing that a log can be found with, under both policies.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "log_samples.h"
#include "wire/base/membership.h"
#include "wire/base/prng.h"
#include "wire/log/log_walk.h"

namespace bib::wire {
namespace {

std::vector<std::uint8_t> membership_of(std::uint64_t voter) {
  Membership membership;
  membership.voters = {NodeId(voter)};
  membership.members = {
      {.id = NodeId(voter), .raft_address = "127.0.0.1:4002", .api_address = "127.0.0.1:4000"}};
  return encode_membership(membership);
}

Bytes membership_entry(std::uint64_t index, std::uint64_t voter) {
  const EntryStamp stamp{
      .cluster = sample_cluster(), .term = Term(3), .index = LogIndex(index), .time_us = 1};
  return make_membership_entry(stamp, membership_of(voter));
}

// A log in memory: three segments, each sealed but the last, with entries 1 to 12. Entry 3 is a
// membership. Headers are made when all is known, so that a test can change them.
struct Log {
  std::map<std::uint64_t, SegmentHeader> headers;
  std::map<std::uint64_t, std::vector<std::uint8_t>> files;
  std::optional<LogStart> start;

  Log() {
    for (std::uint64_t number = 1; number <= 3; ++number) {
      SegmentHeader header = sample_segment_header();
      header.number = number;
      header.first_sequence = (number - 1) * 3 + 1;
      header.previous_index = LogIndex((number - 1) * 4);
      header.previous_term = Term(number == 1 ? 0 : 3);
      if (number > 1) {
        header.membership_index = LogIndex(3);
        header.membership = membership_of(1);
      }
      headers[number] = header;
      write(number);
    }
  }

  // Two entries a block, and a block that seals; the last one has a watermark instead.
  void write(std::uint64_t number) {
    SegmentWriter writer(headers.at(number));
    const std::uint64_t first = (number - 1) * 4 + 1;
    for (const std::uint64_t index : {first, first + 2}) {
      writer.block([&](BlockBuilder& block) {
        block.add_entry(index == 3 ? membership_entry(3, 1).view()
                                   : sample_entry(index, 3, "event").view());
        block.add_entry(sample_entry(index + 1, 3, "event").view());
      });
    }
    writer.block({}, number == 3 ? kBlockWatermark : kBlockSealed);
    files[number] = padded(std::move(writer.bytes));
  }

  // As large as a segment must be.
  static std::vector<std::uint8_t> padded(std::vector<std::uint8_t> bytes) {
    bytes.resize((bytes.size() / kSegmentBytesUnit + 2) * kSegmentBytesUnit);
    return bytes;
  }

  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    for (const auto& [number, bytes] : files) all.push_back(number);
    return all;
  }
};

struct Walked final : LogVisitor {
  // `hints`: what is zero to the end of a file is said to be, in whole KiB.
  explicit Walked(const Log& log, LogWalk::Policy policy = LogWalk::Policy::kGoOn,
                  bool hints = false) {
    LogWalk walk(policy, *this);
    walk.begin(log.start, log.numbers());
    while (const auto number = walk.next()) {
      const ByteView bytes(log.files.at(*number));
      std::size_t end = bytes.size();
      while (end >= 1024 && is_zero(bytes.subspan(end - 1024))) end -= 1024;
      walk.take(bytes, hints ? end : UINT64_MAX);
    }
    walk.end();
    state = walk.state();
  }
  void record(const WalkedRecord& place, const LogState&) override {
    if (place.record.kind == RecordKind::kEntry)
      entries.push_back(place.record.entry.index.value());
  }
  void end(const WalkedSegment& segment) override { segments.push_back(segment); }
  void found(const LogFinding& finding) override { findings.push_back(finding); }

  std::size_t damages() const {
    std::size_t count = 0;
    for (const LogFinding& finding : findings) count += is_damage(finding.flaw) ? 1 : 0;
    return count;
  }

  std::vector<std::uint64_t> entries;
  std::vector<WalkedSegment> segments;
  std::vector<LogFinding> findings;
  LogState state;
};

// What both policies find first, and that kStopAtDamage ends there.
LogFinding only_damage(const Log& log) {
  const Walked all(log);
  const Walked stopped(log, LogWalk::Policy::kStopAtDamage);
  for (const LogFinding& finding : all.findings) UNSCOPED_INFO(finding.what);
  REQUIRE(all.damages() == 1);
  REQUIRE(stopped.damages() == 1);
  CHECK(stopped.findings.back().what == all.findings.back().what);
  CHECK(stopped.entries.size() <= all.entries.size());
  return all.findings.back();
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a whole log has no flaw, and the walk knows where it ends") {
  const Walked walked((Log()));
  CHECK(walked.findings.empty());
  CHECK(walked.entries.size() == 12);
  CHECK(walked.state.base() == LogPosition{});
  CHECK(walked.state.last() == LogPosition{LogIndex(12), Term(3)});
  CHECK(walked.state.next_sequence == 10);
  CHECK(walked.state.hard_state == HardState{Term(3), NodeId(0xabc)});
  REQUIRE(walked.state.memberships.size() == 1);
  CHECK(walked.state.memberships.front().index == LogIndex(3));
  CHECK(walked.state.memberships.front().bytes == membership_of(1));
  REQUIRE(walked.state.identity);
  CHECK(walked.state.identity->log_id == 0x1d1d);
  CHECK(walked.segments.size() == 3);
  CHECK(walked.segments[0].begins_log);
  CHECK_FALSE(walked.segments[1].begins_log);
}

TEST_CASE("a segment whose header names another membership than the latest is damage") {
  Log log;
  SECTION("an older one") {
    log.headers[2].membership_index = LogIndex(2);
  }
  SECTION("one that the log does not hold") {
    log.headers[2].membership_index = LogIndex(4);
  }
  SECTION("none") {
    log.headers[2].membership_index = LogIndex(0);
    log.headers[2].membership.clear();
  }
  log.write(2);
  const Walked stopped(log, LogWalk::Policy::kStopAtDamage);
  REQUIRE(stopped.findings.size() == 1);
  const LogFinding& finding = stopped.findings.front();
  CHECK(finding.flaw == LogFlaw::kDamaged);
  CHECK(finding.segment == 2);
  CHECK(finding.index == LogIndex(5));
  CHECK(mentions(finding.what, "its membership is of entry"));
  CHECK(Walked(log).damages() >= 1);
}

TEST_CASE("a header that does not continue the log is damage") {
  Log log;
  std::string expected;
  SECTION("another sequence") {
    log.headers[2].first_sequence = 5;
    expected = "its first block is 5, but the segment before ends before 4";
  }
  SECTION("another vote") {
    log.headers[2].hard_state.vote = NodeId(9);
    expected = "its term and vote are not those";
  }
  log.write(2);
  const Walked stopped(log, LogWalk::Policy::kStopAtDamage);
  REQUIRE(stopped.findings.size() == 1);
  CHECK(stopped.findings.front().segment == 2);
  CHECK(mentions(stopped.findings.front().what, expected));
  CHECK(stopped.entries.size() == 4);
  CHECK(Walked(log).damages() >= 1);
}

TEST_CASE("a file in another's place is foreign, and the walk continues after it") {
  Log log;
  std::string expected;
  SECTION("of another number") {
    log.files[2] = log.files[1];
    expected = "the file holds segment 1";
  }
  SECTION("of another node") {
    log.headers[2].node = NodeId(5);
    log.write(2);
    expected = "another log";
  }
  const LogFinding finding = only_damage(log);
  CHECK(finding.flaw == LogFlaw::kForeign);
  CHECK(finding.segment == 2);
  CHECK(mentions(finding.what, expected));
  CHECK(Walked(log).entries.size() == 8);
}

TEST_CASE("missing files are one finding, with the entries that are gone") {
  Log log;
  SECTION("in the middle") {
    log.files.erase(2);
    const LogFinding finding = only_damage(log);
    CHECK(finding.flaw == LogFlaw::kMissing);
    CHECK(finding.segment == 2);
    CHECK(finding.index == LogIndex(5));
    CHECK(mentions(finding.what, "entries 5 to 8 are gone"));
  }
  SECTION("two at the beginning") {
    log.files.erase(1);
    log.files.erase(2);
    const LogFinding finding = only_damage(log);
    CHECK(finding.segment == 1);
    CHECK(mentions(finding.what, "2 files are missing"));
    CHECK(Walked(log).state.last().index == LogIndex(12));
  }
  SECTION("after a sealed one") {
    log.files.erase(3);
    const LogFinding finding = only_damage(log);
    CHECK(finding.segment == 3);
    CHECK(finding.index == LogIndex(9));
  }
  SECTION("all, though a note says that there was a log") {
    log.files.clear();
    log.start = LogStart{0x1d1d, 2, LogIndex(4), Term(3)};
    CHECK(only_damage(log).segment == 2);
  }
}

TEST_CASE("a file that cannot be read is a finding in its turn") {
  const Log log;
  struct : LogVisitor {
    void found(const LogFinding& finding) override { findings.push_back(finding); }
    std::vector<LogFinding> findings;
  } visitor;
  LogWalk walk(LogWalk::Policy::kGoOn, visitor);
  walk.begin(std::optional<LogStart>(), log.numbers());
  while (const auto number = walk.next()) {
    if (*number == 2) {
      walk.take(fail(ErrorCode::kIo, "no permission"));
    } else {
      walk.take(ByteView(log.files.at(*number)));
    }
  }
  walk.end();
  REQUIRE(visitor.findings.size() == 1);
  CHECK(visitor.findings.front().flaw == LogFlaw::kUnreadable);
  CHECK(visitor.findings.front().segment == 2);
  CHECK(visitor.findings.front().what == "no permission");
  CHECK(walk.state().last().index == LogIndex(12));
}

TEST_CASE("what a crash leaves is no damage") {
  Log log;
  LogFlaw expected{};
  SECTION("a last write that did not complete") {
    log.files[3][log.files[3].size() - kSegmentBytesUnit - 1] = 7;
    expected = LogFlaw::kTorn;
  }
  SECTION("a segment that was being created") {
    SegmentHeader header = log.headers[3];
    header.number = 4;
    log.files[4] = Log::padded(encode_segment_header(header));
    expected = LogFlaw::kBlank;
  }
  SECTION("a segment that was being removed") {
    log.start = LogStart{0x1d1d, 2, LogIndex(4), Term(3)};
    expected = LogFlaw::kRetired;
  }
  for (const auto policy : {LogWalk::Policy::kGoOn, LogWalk::Policy::kStopAtDamage}) {
    const Walked walked(log, policy);
    REQUIRE(walked.findings.size() == 1);
    CHECK(walked.findings.front().flaw == expected);
    CHECK(walked.state.last() == LogPosition{LogIndex(12), Term(3)});
  }
}

TEST_CASE("a blank segment after a sealed one, or after a gap, is judged as any other") {
  Log log;
  SegmentHeader header = log.headers[3];
  header.first_sequence = 7;
  SECTION("after a sealed one it is the log's last") {
    log.files[3] = Log::padded(encode_segment_header(header));
    const Walked walked(log);
    CHECK(walked.findings.empty());
    CHECK(walked.state.last().index == LogIndex(8));
    CHECK(walked.segments.size() == 3);
  }
  SECTION("after a gap a file is missing") {
    header.number = 5;
    log.files[5] = Log::padded(encode_segment_header(header));
    const Walked stopped(log, LogWalk::Policy::kStopAtDamage);
    REQUIRE(stopped.damages() == 1);
    CHECK(stopped.findings.back().flaw == LogFlaw::kMissing);
    CHECK(stopped.findings.back().segment == 4);
    CHECK(Walked(log).damages() >= 1);
  }
}

TEST_CASE("the note of the log's start and the first segment must agree") {
  Log log;
  log.files.erase(1);
  log.start = LogStart{0x1d1d, 2, LogIndex(4), Term(3)};
  CHECK(Walked(log).findings.empty());
  CHECK(Walked(log).state.base() == LogPosition{LogIndex(4), Term(3)});
  SECTION("another position") {
    log.start->previous_index = LogIndex(3);
  }
  SECTION("another log") {
    log.start->log_id = 5;
  }
  const LogFinding finding = only_damage(log);
  CHECK(finding.segment == 2);
  CHECK(mentions(finding.what, "says that log"));
}

TEST_CASE("a note that cannot be read is damage, and the walk begins with what is there") {
  Log log;
  log.files.erase(1);
  struct : LogVisitor {
    void found(const LogFinding& finding) override { findings.push_back(finding); }
    std::vector<LogFinding> findings;
  } visitor;
  const auto code = GENERATE(ErrorCode::kCorrupt, ErrorCode::kUnsupported);
  LogWalk walk(LogWalk::Policy::kGoOn, visitor);
  walk.begin(fail(code, "not a note"), log.numbers());
  while (const auto number = walk.next()) walk.take(ByteView(log.files.at(*number)));
  walk.end();
  REQUIRE(visitor.findings.size() == 1);
  CHECK(visitor.findings.front().segment == 0);
  CHECK(visitor.findings.front().flaw ==
        (code == ErrorCode::kCorrupt ? LogFlaw::kDamaged : LogFlaw::kUnsupported));
  CHECK(walk.state().last().index == LogIndex(12));
}

TEST_CASE("a segment after an installed snapshot begins the log again") {
  Log log;
  log.headers[3].previous_index = LogIndex(20);
  log.headers[3].previous_term = Term(3);
  log.headers[3].membership_index = LogIndex(18);
  log.headers[3].membership = membership_of(2);
  SegmentWriter writer(log.headers[3]);
  writer.entries(21, 2, 3);
  log.files[3] = Log::padded(writer.bytes);
  const Walked walked(log);
  CHECK(walked.findings.empty());
  CHECK(walked.segments.back().begins_log);
  CHECK(walked.state.base() == LogPosition{LogIndex(20), Term(3)});
  CHECK(walked.state.last().index == LogIndex(22));
  REQUIRE(walked.state.memberships.size() == 1);
  CHECK(walked.state.memberships.front().index == LogIndex(18));
}

TEST_CASE("a truncation at or below the log's start is damage, and the log continues after it") {
  Log log;
  log.files.erase(1);
  log.files.erase(3);
  log.start = LogStart{0x1d1d, 2, LogIndex(4), Term(3)};
  SegmentWriter writer(log.headers[2]);
  writer.entries(5, 2, 3);
  writer.block([](BlockBuilder& block) { block.add_truncate(LogIndex(3)); });
  writer.entries(3, 2, 3);
  log.files[2] = Log::padded(writer.bytes);
  const LogFinding finding = only_damage(log);
  CHECK(mentions(finding.what, "a truncation from 3 of a log that starts after 4 and ends at 6"));
  CHECK(Walked(log).state.last().index == LogIndex(4));
  CHECK(Walked(log, LogWalk::Policy::kStopAtDamage).entries.size() == 2);
}

TEST_CASE("an invalid membership is damage once, not again in the next header") {
  Log log;
  SegmentWriter writer(log.headers[1]);
  writer.entries(1, 2, 3);
  writer.block([](BlockBuilder& block) {
    const EntryStamp stamp{
        .cluster = sample_cluster(), .term = Term(3), .index = LogIndex(3), .time_us = 1};
    block.add_entry(make_membership_entry(stamp, as_bytes("rubbish")).view());
    block.add_entry(sample_entry(4, 3).view());
  });
  writer.block({}, kBlockSealed);
  log.files[1] = Log::padded(writer.bytes);
  const LogFinding finding = only_damage(log);
  CHECK(finding.segment == 1);
  CHECK(finding.index == LogIndex(3));
  CHECK(mentions(finding.what, "an invalid membership"));
}

TEST_CASE("damage inside a segment is reported with what is readable after it") {
  Log log;
  SegmentWriter writer(log.headers[2]);
  for (std::uint64_t index = 5; index <= 8; ++index) writer.entries(index, 1, 3);
  writer.bytes[writer.offsets[1] + 100] ^= 1;
  writer.block({}, kBlockSealed);
  log.files[2] = Log::padded(writer.bytes);
  log.files.erase(3);
  const Walked stopped(log, LogWalk::Policy::kStopAtDamage);
  REQUIRE(stopped.findings.size() == 1);
  CHECK(stopped.findings.front().offset == writer.offsets[1]);
  CHECK(stopped.findings.front().index == LogIndex(6));
  CHECK(mentions(stopped.findings.front().what,
                 "readable again at offset " + std::to_string(writer.offsets[2])));
}

TEST_CASE("what is known to be zero changes nothing of what is found") {
  Prng prng(5);
  std::size_t damages = 0;
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    Log log;
    auto& bytes = log.files[1 + prng.below(3)];
    for (std::uint64_t n = prng.below(3); n > 0; --n) {
      bytes[prng.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << prng.below(8));
    }
    if (prng.below(3) == 0) std::fill(bytes.begin() + prng.below(bytes.size()), bytes.end(), 0);
    if (prng.below(4) == 0) bytes.resize(prng.below(bytes.size()));
    const Walked whole(log);
    const Walked hinted(log, LogWalk::Policy::kGoOn, true);
    CHECK(hinted.entries == whole.entries);
    REQUIRE(hinted.findings.size() == whole.findings.size());
    for (std::size_t i = 0; i < whole.findings.size(); ++i) {
      CHECK(hinted.findings[i].what == whole.findings[i].what);
      CHECK(hinted.findings[i].offset == whole.findings[i].offset);
    }
    REQUIRE(hinted.segments.size() == whole.segments.size());
    for (std::size_t i = 0; i < whole.segments.size(); ++i) {
      CHECK(hinted.segments[i].end == whole.segments[i].end);
      CHECK(hinted.segments[i].debris_end == whole.segments[i].debris_end);
    }
    damages += whole.damages();
  }
  CHECK(damages > 30);
}

TEST_CASE("a log's end that looks damaged is shown to the caller before it is judged") {
  Log log;
  SegmentWriter writer(log.headers[3]);
  for (std::uint64_t index = 9; index <= 12; ++index) writer.entries(index, 1, 3);
  const std::vector<std::uint8_t> whole = Log::padded(writer.bytes);
  writer.bytes[writer.offsets[1] + 100] ^= 1;
  const std::vector<std::uint8_t> broken = Log::padded(writer.bytes);
  Walked unused(log);
  LogWalk walk(LogWalk::Policy::kGoOn, unused);
  walk.begin(std::optional<LogStart>(), log.numbers());
  walk.take(ByteView(log.files.at(*walk.next())));  // the last one, to see whether it is blank
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(walk.damage_in_last(broken));  // it is not its turn
    walk.take(ByteView(log.files.at(*walk.next())));
  }
  CHECK(walk.next() == 3);
  CHECK(walk.damage_in_last(broken) == writer.offsets[1]);
  CHECK_FALSE(walk.damage_in_last(whole));
  walk.take(ByteView(whole));
  walk.end();
  CHECK(unused.findings.empty());
}

}  // namespace bib::wire
