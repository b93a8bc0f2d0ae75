// A log that a node writes while it is looked at.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <sstream>
#include <utility>

#include "inspect/log_source.h"
#include "inspect/run.h"
#include "inspect/survey.h"
#include "log_writer.h"
#include "support/test_support.h"
#include "wire/log/log_start.h"

namespace bib::inspect {
namespace {

constexpr std::uint64_t kBlockBytes = kAlignment;  // one small entry

// Looks at a log, and lets the node go on writing whenever the end is about to be read again.
class Onlooker final : public wire::LogVisitor {
 public:
  explicit Onlooker(std::function<void(int)> meanwhile) : meanwhile_(std::move(meanwhile)) {}

  wire::Result<wire::LogState> walk(const std::filesystem::path& log_directory) {
    return walk_log(log_directory.string(), *this, [this] { meanwhile_(++reads); });
  }
  void record(const wire::WalkedRecord& record, const wire::LogState&) override {
    if (record.record.kind == wire::RecordKind::kEntry) ++entries;
  }
  void found(const wire::LogFinding& finding) override { findings.push_back(finding); }
  bool found_damage() const {
    return std::any_of(findings.begin(), findings.end(),
                       [](const auto& finding) { return wire::is_damage(finding.flaw); });
  }

  int reads = 0;
  int entries = 0;
  std::vector<wire::LogFinding> findings;

 private:
  std::function<void(int)> meanwhile_;
};

// One segment of `blocks` blocks with an entry each.
LogWriter log_of(const std::filesystem::path& directory, int blocks) {
  LogWriter log(directory);
  for (int i = 0; i < blocks; ++i) log.noop().block();
  return log;
}

// The segment as it looks while block `missing`, counted from 0, has not reached the disk but the
// ones after it have.
std::string without_block(const std::string& bytes, const LogWriter& log, std::uint64_t missing) {
  std::string seen = bytes;
  seen.replace(log.header_size() + missing * kBlockBytes, kBlockBytes, kBlockBytes, '\0');
  return seen;
}

}  // namespace

TEST_CASE("a block that arrives after its successor is no damage") {
  support::TempDir dir;
  const LogWriter log = log_of(dir / "log", 5);
  const std::string whole = support::read_file(log.path(1));
  support::write_file(log.path(1), without_block(whole, log, 3));
  Onlooker onlooker([&](int) { support::write_file(log.path(1), whole); });
  const auto state = onlooker.walk(dir / "log");
  REQUIRE(state);
  CHECK(state->last().index == wire::LogIndex(5));
  CHECK(onlooker.entries == 5);
  CHECK(onlooker.findings.empty());
  CHECK(onlooker.reads == 1);
}

TEST_CASE("a block that never arrives is damage, after a second look") {
  support::TempDir dir;
  const LogWriter log = log_of(dir / "log", 5);
  const std::string whole = support::read_file(log.path(1));
  support::write_file(log.path(1), without_block(whole, log, 3));
  Onlooker onlooker([](int) {});
  REQUIRE(onlooker.walk(dir / "log"));
  CHECK(onlooker.entries == 3);
  CHECK(onlooker.found_damage());
  CHECK(onlooker.reads == 1);
}

TEST_CASE("an end that looks damaged elsewhere each time is given up after some looks") {
  support::TempDir dir;
  const LogWriter log = log_of(dir / "log", 40);
  const std::string whole = support::read_file(log.path(1));
  const auto show_without = [&](int block) {
    support::write_file(log.path(1), without_block(whole, log, static_cast<std::uint64_t>(block)));
  };
  show_without(0);
  Onlooker onlooker([&](int reads) { show_without(std::min(reads, 38)); });
  REQUIRE(onlooker.walk(dir / "log"));
  CHECK(onlooker.found_damage());
  CHECK(onlooker.reads > 1);
  CHECK(onlooker.reads < 20);
}

namespace {

// As a node that compacts its log does: the note of the new start, then the segments go.
void let_go_before(const LogWriter& log, std::uint64_t first) {
  const std::string bytes = support::read_file(log.path(first));
  const auto header = wire::read_segment_header(wire::as_bytes(bytes));
  REQUIRE(header);
  const auto note = wire::encode_log_start(
      {header->log_id, first, header->previous_index, header->previous_term});
  support::write_file(log.path(first).parent_path() / wire::kLogStartFileName,
                      std::string(wire::as_text(note)));
  for (std::uint64_t number = 1; number < first; ++number) {
    std::filesystem::remove(log.path(number));
  }
}

// A log of six segments with two entries each.
LogWriter log_of_segments(const std::filesystem::path& directory) {
  LogWriter log(directory);
  for (int segment = 0; segment < 6; ++segment) {
    if (segment > 0) log.roll();
    log.noop().block().noop().block();
  }
  log.watermark();
  return log;
}

// Lets the node compact when the walk has come to this segment for the first time.
class Compacting final : public wire::LogVisitor {
 public:
  Compacting(const LogWriter& log, std::uint64_t at, std::uint64_t first)
      : log_(log), at_(at), first_(first) {}
  void begin(const wire::WalkedSegment& segment, const wire::LogState&) override {
    if (segment.number == at_ && !std::exchange(done_, true)) let_go_before(log_, first_);
  }

 private:
  const LogWriter& log_;
  const std::uint64_t at_;
  const std::uint64_t first_;
  bool done_ = false;
};

// Lets the node compact as soon as something was printed.
class CompactingOutput final : public std::stringbuf {
 public:
  explicit CompactingOutput(std::function<void()> meanwhile) : meanwhile_(std::move(meanwhile)) {}

 private:
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    if (!std::exchange(done_, true)) meanwhile_();
    return std::stringbuf::xsputn(text, size);
  }

  std::function<void()> meanwhile_;
  bool done_ = false;
};

}  // namespace

TEST_CASE("a log that is compacted while it is walked is walked again, from its new beginning") {
  support::TempDir dir;
  const LogWriter log = log_of_segments(dir / "log");
  Compacting compacting(log, 2, 5);
  int walks = 0;
  const auto survey = survey_log((dir / "log").string(), [&] {
    ++walks;
    return &compacting;
  });
  REQUIRE(survey);
  CHECK(walks == 2);
  CHECK(survey->log.base().index == wire::LogIndex(8));
  CHECK(survey->log.last().index == wire::LogIndex(12));
  CHECK(is_whole(survey->findings));
}

TEST_CASE("what a node lets go of while its log is shown is named, and the rest is shown") {
  support::TempDir dir;
  const LogWriter log = log_of_segments(dir / "log");
  CompactingOutput buffer([&] { let_go_before(log, 4); });
  std::ostream out(&buffer);
  std::ostringstream err;
  const std::vector<std::string> arguments{"log", dir.path()};
  CHECK(run(arguments, {.out = out, .err = err}) == 1);
  const std::string shown = buffer.str();
  const std::string said = err.str();
  INFO(shown);
  INFO(said);
  CHECK(shown.find("\n    2 ") != std::string::npos);  // was being shown
  CHECK(shown.find("\n    3 ") == std::string::npos);
  CHECK(shown.find("\n    7 ") != std::string::npos);
  CHECK(shown.find("\n   12 ") != std::string::npos);
  CHECK(said.find("has compacted its log meanwhile") != std::string::npos);
  CHECK(said.find("entries 3 to 4") != std::string::npos);
  CHECK(said.find("entries 5 to 6") != std::string::npos);
  CHECK(said.find("No such file") == std::string::npos);
}

}  // namespace bib::inspect
