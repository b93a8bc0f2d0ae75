// The judge of a log against the model of one: whatever is done to the files, either the log is
// refused, or it holds what was written. Both policies of the walk say the same.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "engine/storage/log_recovery.h"
#include "engine/storage/log_store.h"
#include "faulty_file_system.h"
#include "log_model.h"
#include "wire/log/log_walk.h"

namespace bib::engine {
namespace {

// How many of the newest states a log may go back to by damage that looks like a last write that
// did not complete: a block each, of at least a sector.
constexpr std::size_t kZeroedSectorsMax = 8;
constexpr std::size_t kStatesBackMax = 3 * kZeroedSectorsMax;

LogStoreOptions small_blocks() {
  LogStoreOptions options = test_options();
  options.alignment = 512;
  options.block_bytes_max = 4096;
  return options;
}

// A log and the model of it, with each state that the log was in, oldest first.
class History {
 public:
  explicit History(std::uint64_t seed, std::uint64_t segment_bytes = 0) : prng_(seed) {
    if (segment_bytes > 0) options_.segment_bytes = segment_bytes;
    open();
  }

  void write() {
    const LogStoreWrite write = random_write(model_, prng_);
    REQUIRE(store_->append({&write, 1}));
    for (const LogStoreWrite& part : LogModel::split(write)) {
      model_.apply(part);
      states.push_back(model_.describe());
    }
    if (prng_.below(5) == 0) watermark();
    if (prng_.below(20) == 0) {
      if (prng_.below(2) == 0) close();
      open();
    }
  }
  void watermark() { REQUIRE(store_->write_watermark()); }
  void close() { REQUIRE(store_->close()); }

  FaultyFileSystem files;
  std::vector<std::string> states = {LogModel().describe()};

 private:
  void open() {
    store_.reset();
    auto opened = LogStore::open(files, kLogDirectory, options_);
    REQUIRE(opened);
    store_ = std::move(opened->store);
  }

  LogStoreOptions options_ = small_blocks();
  wire::Prng prng_;
  LogModel model_;
  std::unique_ptr<LogStore> store_;
};

// What the walk finds that goes on after damage.
struct Report final : wire::LogVisitor {
  explicit Report(const FaultyFileSystem& files) {
    std::vector<std::uint64_t> numbers;
    for (const std::string& path : files.paths()) {
      const auto number = wire::parse_segment_file_name(path.substr(path.find_last_of('/') + 1));
      if (number) numbers.push_back(*number);
    }
    std::sort(numbers.begin(), numbers.end());
    wire::LogWalk walk(wire::LogWalk::Policy::kGoOn, *this);
    walk.begin(std::optional<wire::LogStart>(), numbers);
    while (const auto number = walk.next()) {
      const auto bytes = files.content(join_path(kLogDirectory, wire::segment_file_name(*number)));
      walk.take(wire::ByteView(bytes));
    }
    walk.end();
    last = walk.state().last();
    memberships = walk.state().memberships.size();
  }
  void found(const wire::LogFinding& finding) override {
    if (wire::is_damage(finding.flaw)) damage.push_back(finding);
  }

  std::vector<wire::LogFinding> damage;
  wire::LogPosition last;
  std::size_t memberships = 0;
};

// True when the node starts; then what it starts with is what was written.
bool judge(FaultyFileSystem& files, const std::vector<std::string>& states, std::size_t back_max) {
  const Report report(files);
  const auto contents = recover_log(files, kLogDirectory);
  INFO((contents ? "the node starts" : contents.error().message));
  REQUIRE(contents.has_value() == report.damage.empty());
  if (!contents) {
    // The first damage is the same for both.
    const wire::LogFinding& first = report.damage.front();
    CHECK(contents.error().message.find(first.what) != std::string::npos);
    return false;
  }
  CHECK(contents->locations->last() == report.last);
  CHECK(contents->memberships.size() == report.memberships);
  auto opened = LogStore::open(files, kLogDirectory, small_blocks());
  REQUIRE(opened);
  const std::string found = LogModel::describe(files, *opened);
  const auto newest = std::find(states.rbegin(), states.rend(), found);
  INFO(found);
  REQUIRE(newest != states.rend());
  CHECK(static_cast<std::size_t>(newest - states.rbegin()) <= back_max);
  return true;
}

std::vector<std::string> segments_of(const FaultyFileSystem& files) {
  std::vector<std::string> segments;
  for (const std::string& path : files.paths()) {
    if (path.ends_with(".seg")) segments.push_back(path);
  }
  return segments;
}

std::string some_segment(const FaultyFileSystem& files, wire::Prng& prng) {
  const std::vector<std::string> segments = segments_of(files);
  return segments[prng.below(segments.size())];
}

void flip_bits(FaultyFileSystem& files, const std::string& path, wire::Prng& prng) {
  const std::uint64_t size = files.content(path).size();
  for (std::uint64_t n = 1 + prng.below(3); n > 0; --n) {
    files.flip_bit(path, prng.below(size), static_cast<unsigned>(prng.below(8)));
  }
}

void damage(FaultyFileSystem& log, const FaultyFileSystem& foreign, wire::Prng& prng) {
  const std::string path = some_segment(log, prng);
  std::vector<std::uint8_t> bytes = log.content(path);
  switch (prng.below(7)) {
    case 0:
    case 1:
      return flip_bits(log, path, prng);
    case 2:
      bytes.resize(prng.below(bytes.size()));
      return log.set_content(path, std::move(bytes));
    case 3:
      return log.forget(path);
    case 4:
      return log.set_content(some_segment(log, prng), std::move(bytes));
    case 5: {
      const auto paths = foreign.paths();
      if (std::find(paths.begin(), paths.end(), path) == paths.end()) return;
      return log.set_content(path, foreign.content(path));
    }
    default: {
      // A range of zeros, as a disk returns what it lost.
      const std::uint64_t begin = prng.below(bytes.size() / 512) * 512;
      const std::uint64_t size = (1 + prng.below(kZeroedSectorsMax)) * 512;
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                bytes.begin() + static_cast<std::ptrdiff_t>(
                                    std::min<std::uint64_t>(bytes.size(), begin + size)),
                std::uint8_t{0});
      return log.set_content(path, std::move(bytes));
    }
  }
}

}  // namespace

TEST_CASE("whatever a node writes is without damage, and all of it, at every moment") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    History history(seed);
    for (int round = 0; round < 80; ++round) {
      CAPTURE(seed, round);
      history.write();
      const auto disk = history.files.copy();
      REQUIRE(judge(*disk, history.states, 0));
    }
  }
}

TEST_CASE("whatever is done to a log's files, it is refused or holds what was written") {
  wire::Prng prng(3);
  std::uint64_t started = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    History foreign(seed + 100);
    foreign.write();
    History history(seed);
    for (std::uint64_t n = 40 + prng.below(100); n > 0; --n) history.write();
    if (prng.below(2) == 0) {
      history.close();
    } else {
      history.watermark();
    }
    for (int round = 0; round < 60; ++round) {
      CAPTURE(seed, round);
      const auto disk = history.files.copy();
      damage(*disk, foreign.files, prng);
      const auto paths = disk->paths();
      if (paths.empty()) continue;
      ++(judge(*disk, history.states, kStatesBackMax) ? started : refused);
    }
  }
  // Both happened, so that the test can fail either way.
  CHECK(started > 10);
  CHECK(refused > 100);
}

TEST_CASE(
    "megabytes of zeros after a log's end are judged as a whole: what lies in them is found") {
  constexpr std::uint64_t kSize = 12U << 20;
  History history(1, kSize);
  for (int n = 0; n < 30; ++n) history.write();
  const auto offset = GENERATE(as<std::uint64_t>(), kSize / 2, (4U << 20) - 1, 4U << 20,
                               (8U << 20) - 1, 8U << 20, kSize - 4096, kSize - 1);
  const auto disk = history.files.copy();
  const std::string last = segments_of(*disk).back();
  REQUIRE(disk->content(last).size() == kSize);
  REQUIRE(disk->content(last)[offset] == 0);
  disk->flip_bit(last, offset, 3);
  const auto contents = recover_log(*disk, kLogDirectory);
  REQUIRE(contents);
  CHECK(contents->debris_end == offset + 1);
  CHECK(judge(*disk, history.states, 0));
  // It was cleared.
  const auto again = recover_log(*disk, kLogDirectory);
  REQUIRE(again);
  CHECK(again->debris_end == again->end_offset);
}

}  // namespace bib::engine
