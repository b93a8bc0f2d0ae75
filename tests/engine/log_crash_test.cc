// What a power failure may do to the log: lose and tear whatever was not synced, at every moment.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "faulty_file_system.h"
#include "log_model.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::Term;

struct Run {
  LogModel durable;                  // what append() returned for
  std::vector<LogStoreWrite> doubt;  // the writes of the append that failed
};

// Random appends until the disk crashes or the turns are over.
Run run_until_crash(FaultyFileSystem& files, LogStore::Recovered& log, LogModel model,
                    wire::Prng& prng, int turns) {
  Run run{std::move(model), {}};
  const Appetite appetite{.entry_bytes_max = 12000, .reset_ppm = 40000, .truncate_ppm = 150000};
  for (int turn = 0; turn < turns && !files.crashed(); ++turn) {
    LogModel next = run.durable;
    std::vector<LogStoreWrite> writes;
    for (std::uint64_t n = 1 + prng.below(3); n > 0; --n) {
      writes.push_back(random_write(next, prng, appetite));
      next.apply(writes.back());
    }
    if (!log.store->append(writes)) {
      run.doubt = std::move(writes);
      break;
    }
    run.durable = std::move(next);
    if (prng.below(3) == 0) static_cast<void>(log.store->write_watermark());
  }
  if (!files.crashed() && prng.below(2) == 0) static_cast<void>(log.store->close());
  return run;
}

// The log must be what was durable, or that and a prefix of what was in doubt. Returns which.
std::optional<LogModel> find_outcome(const Run& run, const std::string& found) {
  LogModel model = run.durable;
  if (model.describe() == found) return model;
  for (const LogStoreWrite& write : run.doubt) {
    for (const LogStoreWrite& part : LogModel::split(write)) {
      model.apply(part);
      if (model.describe() == found) return model;
    }
  }
  return std::nullopt;
}

// One life after another on one disk, each ended by a crash after so many changes to the disk.
void live_and_crash(std::uint64_t seed, const std::vector<std::uint64_t>& crashes) {
  wire::Prng prng(seed);
  auto disk = std::make_unique<FaultyFileSystem>(seed % 2 == 0 ? 512 : 4096);
  LogModel model;
  for (const std::uint64_t crash_after : crashes) {
    disk->crash_after(crash_after);
    auto opened = LogStore::open(*disk, kLogDirectory, test_options());
    Run run{model, {}};
    if (opened) {
      REQUIRE(LogModel::describe(*disk, *opened) == model.describe());
      run = run_until_crash(*disk, *opened, model, prng, 30);
      opened->store.reset();
    } else {
      REQUIRE(disk->crashed());
    }
    disk = disk->survivor(prng);

    auto reopened = LogStore::open(*disk, kLogDirectory, test_options());
    INFO((reopened ? std::string("opened") : reopened.error().message));
    REQUIRE(reopened);
    const auto outcome = find_outcome(run, LogModel::describe(*disk, *reopened));
    INFO("durable: " << run.durable.describe());
    INFO("found: " << LogModel::describe(*disk, *reopened));
    REQUIRE(outcome);
    model = *outcome;
  }
  auto log = LogStore::open(*disk, kLogDirectory, test_options());
  REQUIRE(log);
  CHECK(LogModel::describe(*disk, *log) == model.describe());
}

TEST_CASE("a crash at any moment loses nothing durable and is never taken for damage") {
  for (std::uint64_t crash_after = 1; crash_after <= 110; ++crash_after) {
    for (std::uint64_t variant = 0; variant < 6; ++variant) {
      CAPTURE(crash_after, variant);
      live_and_crash(crash_after * 1000 + variant, {crash_after});
    }
  }
}

TEST_CASE("crash after crash loses nothing durable, also while the last one is repaired") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    wire::Prng prng(seed);
    std::vector<std::uint64_t> crashes;
    // Short lives end within recovery's own repairs.
    for (int life = 0; life < 8; ++life) crashes.push_back(1 + prng.below(life % 2 == 0 ? 80 : 8));
    live_and_crash(seed, crashes);
  }
}

LogStoreWrite one_entry(std::uint64_t index, std::size_t size) {
  LogStoreWrite write;
  write.entries = {make_entry(index, 1, size)};
  return write;
}

TEST_CASE("what a killed process wrote and had not synced is made durable by the next one") {
  for (std::uint64_t crash_after = 1; crash_after <= 12; ++crash_after) {
    for (std::uint64_t variant = 0; variant < 8; ++variant) {
      CAPTURE(crash_after, variant);
      FaultyFileSystem files;
      files.crash_after(crash_after);
      static_cast<void>(LogStore::open(files, kLogDirectory, test_options()));
      files.restart_process();  // the files are there, their names perhaps not for long
      auto log = LogStore::open(files, kLogDirectory, test_options());
      REQUIRE(log);
      const LogStoreWrite write = one_entry(1, 100);
      REQUIRE(log->store->append({&write, 1}));

      wire::Prng prng(crash_after * 100 + variant);
      const auto disk = files.survivor(prng);
      const auto recovered = LogStore::open(*disk, kLogDirectory, test_options());
      REQUIRE(recovered);
      CHECK(recovered->log.last_index().value() == 1);
    }
  }
}

TEST_CASE(
    "a log that continues after a killed process keeps what it found, also when the power fails") {
  for (std::uint64_t crash_after = 1; crash_after <= 60; ++crash_after) {
    for (std::uint64_t variant = 0; variant < 8; ++variant) {
      CAPTURE(crash_after, variant);
      FaultyFileSystem files;
      files.crash_after(crash_after);
      if (auto log = LogStore::open(files, kLogDirectory, test_options())) {
        LogStoreWrite write;
        for (std::uint64_t index = 1; index <= 60; ++index) {  // several segments
          write = one_entry(index, 12000);
          if (!log->store->append({&write, 1})) break;
        }
      }
      files.restart_process();
      auto log = LogStore::open(files, kLogDirectory, test_options());
      REQUIRE(log);
      const LogIndex next = log->log.last_index() + 1;
      const LogStoreWrite write = one_entry(next.value(), 100);
      REQUIRE(log->store->append({&write, 1}));

      wire::Prng prng(crash_after * 100 + variant);
      const auto disk = files.survivor(prng);
      const auto recovered = LogStore::open(*disk, kLogDirectory, test_options());
      INFO((recovered ? std::string("opened") : recovered.error().message));
      REQUIRE(recovered);
      CHECK(recovered->log.last_index().value() == next.value());
    }
  }
}

TEST_CASE("a stale block after a torn one does not come back when the gap is filled") {
  FaultyFileSystem files(512);
  LogStoreOptions options = test_options();
  options.block_bytes_max = 1024;
  auto log = LogStore::open(files, kLogDirectory, options);
  REQUIRE(log);
  const LogStoreWrite first = one_entry(1, 700);
  REQUIRE(log->store->append({&first, 1}));

  // Two blocks of one append; the first is lost, the second survives.
  const std::string path = join_path(kLogDirectory, wire::segment_file_name(1));
  files.crash_after(2);
  const std::vector<LogStoreWrite> lost = {one_entry(2, 700), one_entry(3, 700)};
  REQUIRE_FALSE(log->store->append(lost));
  std::uint64_t lowest = UINT64_MAX;
  static_cast<void>(files.survivor([&](const std::string&, std::uint64_t offset, std::size_t n) {
    lowest = std::min(lowest, offset);
    return n;
  }));
  REQUIRE(lowest != UINT64_MAX);
  const auto disk =
      files.survivor([&](const std::string&, std::uint64_t offset, std::size_t n) -> std::size_t {
        return offset < lowest + 1024 ? 0 : n;
      });

  auto recovered = LogStore::open(*disk, kLogDirectory, options);
  REQUIRE(recovered);
  CHECK(recovered->log.last_index() == LogIndex(1));
  CHECK_FALSE(recovered->torn.empty());
  // Exactly as long as the lost block: its successor's place is where the stale block stood.
  const LogStoreWrite other = one_entry(2, 700);
  REQUIRE(recovered->store->append({&other, 1}));
  recovered->store.reset();
  const auto again = LogStore::open(*disk, kLogDirectory, options);
  REQUIRE(again);
  CHECK(again->log.last_index() == LogIndex(2));
}

TEST_CASE("a watermark that a torn block has partly overwritten does no harm") {
  for (std::uint64_t survivors = 0; survivors < 256; ++survivors) {
    FaultyFileSystem files(4096);
    auto log = LogStore::open(files, kLogDirectory, test_options());
    REQUIRE(log);
    const LogStoreWrite first = one_entry(1, 100);
    REQUIRE(log->store->append({&first, 1}));
    REQUIRE(log->store->write_watermark());
    files.crash_after(1);
    const LogStoreWrite second = one_entry(2, 3800);
    REQUIRE_FALSE(log->store->append({&second, 1}));
    // Each sector holds the old zeros, the watermark or the block.
    const auto disk =
        files.survivor([&](const std::string&, std::uint64_t offset, std::size_t n) -> std::size_t {
          const std::uint64_t sector = offset / 512 % 8;
          return (survivors >> sector & 1) != 0 ? n : n - 1;
        });
    const auto recovered = LogStore::open(*disk, kLogDirectory, test_options());
    CAPTURE(survivors);
    REQUIRE(recovered);
    CHECK(recovered->log.last_index() == LogIndex(survivors == 255 ? 2 : 1));
  }
}

TEST_CASE("files that a crash left unfinished are removed") {
  FaultyFileSystem files;
  LogModel model;
  {
    auto log = LogStore::open(files, kLogDirectory, test_options());
    const LogStoreWrite write = one_entry(1, 100);
    REQUIRE(log->store->append({&write, 1}));
    model.apply(write);
  }
  files.set_content(join_path(kLogDirectory, "prepared.tmp"), std::vector<std::uint8_t>(70000));
  files.set_content(join_path(kLogDirectory, "segment.tmp"), {1, 2, 3});
  auto log = LogStore::open(files, kLogDirectory, test_options());
  REQUIRE(log);
  CHECK(LogModel::describe(files, *log) == model.describe());
  CHECK(files.paths().size() == 1);
}

}  // namespace
}  // namespace bib::engine
