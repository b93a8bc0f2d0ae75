#include "engine/uv/log_thread.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "engine/storage/log_reader.h"
#include "faulty_file_system.h"
#include "log_model.h"
#include "support/test_support.h"

namespace bib::engine {
namespace {

using namespace std::chrono_literals;
using wire::LogIndex;

// Holds every sync at the door until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    opened_.wait(lock, [this] { return open_; });
    --waiting_;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  int waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  int waiting_ = 0;
};

// What the log thread has reported.
class Reports {
 public:
  LogThreadOptions options() {
    LogThreadOptions options;
    options.watermark_after = 1h;
    options.on_durable = [this](const LogDurable& durable) {
      const std::lock_guard lock(mutex_);
      durable_.push_back(durable);
    };
    options.on_failed = [this](const wire::Error& error) {
      const std::lock_guard lock(mutex_);
      failed_.push_back(error);
    };
    return options;
  }
  std::vector<LogDurable> durable() {
    const std::lock_guard lock(mutex_);
    return durable_;
  }
  std::vector<wire::Error> failed() {
    const std::lock_guard lock(mutex_);
    return failed_;
  }
  bool durable_to(std::uint64_t sequence) {
    const auto reports = durable();
    return !reports.empty() && reports.back().append_sequence >= sequence;
  }

 private:
  std::mutex mutex_;
  std::vector<LogDurable> durable_;
  std::vector<wire::Error> failed_;
};

std::unique_ptr<LogStore> open_store(FileSystem& files) {
  auto log = LogStore::open(files, kLogDirectory, test_options());
  REQUIRE(log);
  return std::move(log->store);
}

LogStoreWrite write_number(std::uint64_t number, std::size_t size = 100) {
  LogStoreWrite write;
  write.append_sequence = number;
  write.entries = {make_entry(number, 1, size)};
  return write;
}

// A file is being made ahead as long as the thread runs: its sync must not wait at a gate.
void wait_for_prepared(FaultyFileSystem& files, std::uint64_t syncs_before) {
  REQUIRE(support::wait_until([&] { return files.syncs() > syncs_before; }, 10s));
}

TEST_CASE("what is submitted during a sync goes into the next one together") {
  FaultyFileSystem files;
  Reports reports;
  auto store = open_store(files);
  const std::uint64_t syncs = files.syncs();
  LogThread thread(std::move(store), reports.options());
  wait_for_prepared(files, syncs);
  Gate gate;
  files.before_sync([&] { gate.pass(); });
  REQUIRE(thread.submit(write_number(1)));
  REQUIRE(support::wait_until([&] { return gate.waiting() == 1; }, 10s));
  for (std::uint64_t i = 2; i <= 50; ++i) REQUIRE(thread.submit(write_number(i)));
  CHECK(reports.durable().empty());
  CHECK(thread.metrics().queued_writes == 49);
  // Somebody who waits for this disk can see for how long.
  CHECK(support::wait_until([&] { return thread.metrics().append_running > 2ms; }, 10s));
  gate.open();
  REQUIRE(support::wait_until([&] { return reports.durable_to(50); }, 10s));
  const auto durable = reports.durable();
  REQUIRE(durable.size() == 2);
  CHECK(durable[0].append_sequence == 1);
  CHECK(durable[0].end == wire::LogPosition{LogIndex(1), wire::Term(1)});
  CHECK(durable[1].end == wire::LogPosition{LogIndex(50), wire::Term(1)});
  const LogThreadMetrics metrics = thread.metrics();
  CHECK(metrics.batches == 2);
  CHECK(metrics.writes == 50);
  CHECK(metrics.entries == 50);
  CHECK(metrics.append_max > 2ms);
  CHECK(metrics.append_running == 0us);
  CHECK(thread.stop());
}

TEST_CASE("a full queue pushes back and takes more when there is room") {
  FaultyFileSystem files;
  Reports reports;
  LogThreadOptions options = reports.options();
  options.queue_writes_max = 3;
  auto store = open_store(files);
  const std::uint64_t syncs = files.syncs();
  LogThread thread(std::move(store), std::move(options));
  wait_for_prepared(files, syncs);
  Gate gate;
  files.before_sync([&] { gate.pass(); });
  REQUIRE(thread.submit(write_number(1)));
  REQUIRE(support::wait_until([&] { return gate.waiting() == 1; }, 10s));
  for (std::uint64_t i = 2; i <= 4; ++i) REQUIRE(thread.submit(write_number(i)));
  LogStoreWrite kept = write_number(5);
  CHECK_FALSE(thread.submit(std::move(kept)));
  CHECK(kept.entries.size() == 1);
  gate.open();
  REQUIRE(support::wait_until([&] { return reports.durable_to(4); }, 10s));
  CHECK(thread.submit(std::move(kept)));
  CHECK(thread.stop());
  CHECK(reports.durable_to(5));
}

TEST_CASE("a queue limited in bytes takes one write of any size") {
  FaultyFileSystem files;
  Reports reports;
  LogThreadOptions options = reports.options();
  options.queue_bytes_max = 1000;
  auto store = open_store(files);
  const std::uint64_t syncs = files.syncs();
  LogThread thread(std::move(store), std::move(options));
  wait_for_prepared(files, syncs);
  Gate gate;
  files.before_sync([&] { gate.pass(); });
  REQUIRE(thread.submit(write_number(1, 5000)));
  REQUIRE(support::wait_until([&] { return gate.waiting() == 1; }, 10s));
  CHECK(thread.submit(write_number(2, 5000)));
  CHECK_FALSE(thread.submit(write_number(3, 10)));
  gate.open();
  CHECK(thread.stop());
  CHECK(reports.durable_to(2));
}

TEST_CASE("stopping makes everything durable that was taken, and closes the log") {
  FaultyFileSystem files;
  Reports reports;
  {
    LogThread thread(open_store(files), reports.options());
    for (std::uint64_t i = 1; i <= 300; ++i) REQUIRE(thread.submit(write_number(i, 1000)));
    CHECK(thread.stop());
    CHECK(reports.durable_to(300));
    CHECK_FALSE(thread.submit(write_number(301)));
    CHECK(thread.stop());
  }
  for (const std::string& path : files.paths()) CHECK_FALSE(path.ends_with(wire::kTemporarySuffix));
  const auto log = LogStore::open(files, kLogDirectory, test_options());
  REQUIRE(log);
  CHECK(log->closed_cleanly);
  CHECK(log->log.last_index() == LogIndex(300));
}

TEST_CASE("a failed sync is reported once, and nothing is taken or durable after it") {
  FaultyFileSystem files;
  Reports reports;
  auto store = open_store(files);
  const std::uint64_t syncs = files.syncs();
  LogThread thread(std::move(store), reports.options());
  wait_for_prepared(files, syncs);
  REQUIRE(thread.submit(write_number(1)));
  REQUIRE(support::wait_until([&] { return reports.durable_to(1); }, 10s));
  files.fail_sync_after(0);
  REQUIRE(thread.submit(write_number(2)));
  REQUIRE(support::wait_until([&] { return !reports.failed().empty(); }, 10s));
  CHECK_FALSE(thread.submit(write_number(3)));
  const auto outcome = thread.stop();
  REQUIRE_FALSE(outcome);
  CHECK(reports.failed().size() == 1);
  CHECK(reports.failed().front().message == outcome.error().message);
  CHECK(reports.durable().size() == 1);
}

TEST_CASE("an idle log writes its watermark, so that damage to its end is recognised") {
  FaultyFileSystem files;
  Reports reports;
  LogThreadOptions options = reports.options();
  options.watermark_after = 1ms;
  const std::string path = join_path(kLogDirectory, wire::segment_file_name(1));
  LogThread thread(open_store(files), std::move(options));
  REQUIRE(thread.submit(write_number(1)));
  REQUIRE(support::wait_until([&] { return reports.durable_to(1); }, 10s));
  CHECK(support::wait_until(
      [&] {
        bool found = false;
        const auto bytes = files.content(path);
        const auto header = wire::read_segment_header(bytes);
        for (std::size_t at = header->header_size; at < bytes.size();) {
          const auto block =
              wire::verify_block(wire::ByteView(bytes).subspan(at), header->alignment);
          if (!block) break;
          found = (block->flags & wire::kBlockWatermark) != 0 && block->durable_sequence >= 1;
          at += block->size;
        }
        return found && reports.durable_to(1);
      },
      10s));
  CHECK(thread.stop());
}

TEST_CASE("an idle log prepares its next segment ahead") {
  FaultyFileSystem files;
  Reports reports;
  LogThread thread(open_store(files), reports.options());
  std::uint64_t number = 0;
  const std::string prepared = join_path(kLogDirectory, "prepared.tmp");
  const auto has_prepared = [&] {
    const auto paths = files.paths();
    return std::find(paths.begin(), paths.end(), prepared) != paths.end() &&
           files.content(prepared).size() == wire::kSegmentSizeMin;
  };
  REQUIRE(support::wait_until(has_prepared, 10s));
  const std::uint64_t syncs = files.syncs();
  while (files.paths().size() < 3) {
    REQUIRE(thread.submit(write_number(++number, 3000)));
    REQUIRE(support::wait_until([&] { return reports.durable_to(number); }, 10s));
  }
  CHECK(files.syncs() > syncs);
  CHECK(thread.stop());
}

}  // namespace
}  // namespace bib::engine
