// What RocksDB's threads tell: merges and ingestions exclude each other, and damage is noted.
#include "projections/state/rocks_events.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bib::projections {

namespace {

using namespace std::chrono_literals;

class Merge {
 public:
  explicit Merge(RocksEvents& events, int job) : events_(events) {
    whole_.job_id = job;
    part_.job_id = job;
  }
  void begin() { events_.OnCompactionBegin(nullptr, whole_); }
  void begin_part() { events_.OnSubcompactionBegin(part_); }
  void end_part() { events_.OnSubcompactionCompleted(part_); }
  void end(const rocksdb::Status& status = {}) {
    whole_.status = status;
    events_.OnCompactionCompleted(nullptr, whole_);
  }

 private:
  RocksEvents& events_;
  rocksdb::CompactionJobInfo whole_;
  rocksdb::SubcompactionJobInfo part_;
};

bool may_ingest(RocksEvents& events) {
  const bool may = events.begin_ingestion(0ms);
  if (may) events.end_ingestion();
  return may;
}

// What happens in which order, noted by two threads.
class Order {
 public:
  void note(const std::string& what) {
    const std::scoped_lock lock(mutex_);
    notes_.push_back(what);
  }
  std::vector<std::string> notes() const {
    const std::scoped_lock lock(mutex_);
    return notes_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> notes_;
};

// `step` is begun while files are taken in. It may come back as soon as they are, not before.
void check_waits(RocksEvents& events, const std::function<void()>& step) {
  Order order;
  REQUIRE(events.begin_ingestion(0ms));
  std::thread thread([&] {
    order.note("asks");
    step();
    order.note("in place");
  });
  while (order.notes().empty()) std::this_thread::yield();
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  order.note("taken in");
  events.end_ingestion();
  thread.join();
  CHECK(order.notes() == std::vector<std::string>{"asks", "taken in", "in place"});
}

}  // namespace

TEST_CASE("no files are taken in while a merge is put in place") {
  RocksEvents events("/state");
  Merge merge(events, 4);
  CHECK(may_ingest(events));
  merge.begin();  // it may only move a file, at once
  CHECK_FALSE(may_ingest(events));
  merge.begin_part();
  CHECK(may_ingest(events));  // it takes as long as it takes
  merge.end_part();
  CHECK_FALSE(may_ingest(events));
  CHECK_FALSE(events.begin_ingestion(1ms));
  merge.end();
  CHECK(may_ingest(events));

  SECTION("one that moves files has no parts") {
    merge.begin();
    merge.end();
    CHECK(may_ingest(events));
  }
  SECTION("of two, both are waited for") {
    Merge other(events, 5);
    merge.begin();
    other.begin();
    merge.end();
    CHECK_FALSE(may_ingest(events));
    other.end();
    CHECK(may_ingest(events));
  }
  SECTION("the store's own merges are not: they and files come from one thread") {
    Merge own(events, 6);
    own.begin_part();
    own.end_part();
    CHECK(may_ingest(events));
  }
  SECTION("nor those of a database that was closed, whose end nobody tells") {
    merge.begin();
    events.forget();
    CHECK(may_ingest(events));
  }
}

TEST_CASE("no merge is put in place while files are taken in") {
  RocksEvents events("/state");
  Merge merge(events, 4);
  SECTION("one that moves files, before it begins") {
    check_waits(events, [&] { merge.begin(); });
    CHECK_FALSE(may_ingest(events));
  }
  SECTION("any other, once its files are written") {
    merge.begin();
    merge.begin_part();
    check_waits(events, [&] { merge.end_part(); });
    CHECK_FALSE(may_ingest(events));
  }
}

TEST_CASE("RocksDB's thread pauses after a merge that found no room, until the store closes") {
  RocksEvents events("/state");
  Merge merge(events, 4);
  merge.begin();
  merge.begin_part();
  merge.end_part();
  std::thread thread([&] { merge.end(rocksdb::Status::NoSpace("no room")); });
  while (!events.lacks_room()) std::this_thread::yield();
  CHECK(may_ingest(events));  // nothing is put in place
  events.closes();
  thread.join();
  CHECK(events.lacks_room());
  merge.end(rocksdb::Status::IOError("it failed"));
  CHECK(events.lacks_room());
  merge.end();
  CHECK_FALSE(events.lacks_room());
}

TEST_CASE("what RocksDB's threads meet is judged: damage is noted, want of room is no error") {
  RocksEvents events("/state");
  using Reason = rocksdb::BackgroundErrorReason;
  rocksdb::Status status = rocksdb::Status::NoSpace("no room");
  events.OnBackgroundError(Reason::kCompaction, &status);
  CHECK(status.ok());
  // Rows that could not be written are another matter.
  status = rocksdb::Status::NoSpace("no room");
  events.OnBackgroundError(Reason::kFlush, &status);
  CHECK(status.IsNoSpace());
  status = rocksdb::Status::IOError("While appending: Disk quota exceeded");
  events.OnBackgroundError(Reason::kCompaction, &status);
  CHECK(status.ok());
  status = rocksdb::Status::IOError("it failed");
  events.OnBackgroundError(Reason::kCompaction, &status);
  CHECK(status.IsIOError());
  CHECK_FALSE(events.damage());
  status = rocksdb::Status::Corruption("block checksum mismatch in 000012.sst");
  events.OnBackgroundError(Reason::kCompaction, &status);
  CHECK(status.IsCorruption());
  REQUIRE(events.damage());
  CHECK_THAT(events.damage()->message,
             Catch::Matchers::Contains("/state") && Catch::Matchers::Contains("000012.sst"));
  bool recovers = true;
  events.OnErrorRecoveryBegin(Reason::kFlush, status, &recovers);
  CHECK_FALSE(recovers);
  events.forget();
  CHECK_FALSE(events.damage());
}

}  // namespace bib::projections
