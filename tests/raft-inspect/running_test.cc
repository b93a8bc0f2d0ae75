// A log that a node writes while it is looked at.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "inspect/log_source.h"
#include "log_writer.h"
#include "support/test_support.h"

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

}  // namespace bib::inspect
