// The node's recovery and `raft-inspect verify` read the same files and must call the same things
// damage: a log that the node refuses to start on is exit code 3, any other is clean.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "engine/ports/file.h"
#include "engine/storage/log_recovery.h"
#include "engine/storage/log_store.h"
#include "engine/uv/file_posix.h"
#include "inspect/run.h"
#include "support/test_support.h"
#include "wire/base/membership.h"
#include "wire/base/prng.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

namespace bib::inspect {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using wire::LogIndex;
using wire::Term;

struct Outcome {
  int code = 0;
  std::string text;
};

Outcome verify_log(const fs::path& directory) {
  std::ostringstream out;
  const std::vector<std::string> args = {"verify", directory};
  const int code = run(args, {.out = out, .err = out});
  return {code, out.str()};
}

engine::LogStoreOptions store_options() {
  engine::LogStoreOptions options;
  options.cluster.bytes.fill(0xc1);
  options.node = wire::NodeId(0xa1);
  options.segment_bytes = 64U << 10;
  options.alignment = 512;
  options.block_bytes_max = 4096;
  options.schema = wire::event_schema();
  options.random = [] { return 7; };
  options.now_us = [] { return std::int64_t{0}; };
  return options;
}

std::vector<std::uint8_t> membership() {
  wire::Membership membership;
  membership.voters = {wire::NodeId(0xa1)};
  membership.members = {{wire::NodeId(0xa1), "127.0.0.1:4002", "127.0.0.1:4000", true}};
  return wire::encode_membership(membership);
}

// Does to a log what a node may do to it: appends, overwrites, votes, installs snapshots.
class Writer {
 public:
  Writer(const fs::path& directory, std::uint64_t seed) : directory_(directory), prng_(seed) {
    auto opened = engine::LogStore::open(engine::posix_file_system(), directory, store_options());
    REQUIRE(opened);
    store_ = std::move(opened->store);
  }

  void write() { REQUIRE(try_write()); }

  // Without assertions, for a thread of its own.
  bool try_write() {
    engine::LogStoreWrite write;
    if (prng_.below(6) == 0) {
      term_ += 1;
      write.hard_state = wire::HardState{Term(term_), wire::NodeId(prng_.below(3))};
    }
    if (prng_.below(40) == 0) {
      write.reset = engine::LogReset{
          {LogIndex(terms_.size() + 9), Term(term_)}, LogIndex(terms_.size() + 3), membership()};
      base_ = terms_.size() + 9;
      terms_.resize(base_, term_);
    } else if (prng_.below(8) == 0 && terms_.size() > base_ + 1) {
      const std::uint64_t from = base_ + 1 + prng_.below(terms_.size() - base_);
      write.truncate_from = LogIndex(from);
      terms_.resize(from - 1);
    }
    for (std::uint64_t n = prng_.below(4); n > 0; --n) write.entries.push_back(entry());
    if (!store_->append({&write, 1})) return false;
    return prng_.below(5) != 0 || store_->write_watermark();
  }

  void reopen(bool cleanly) {
    if (cleanly) REQUIRE(store_->close());
    store_.reset();
    auto opened = engine::LogStore::open(engine::posix_file_system(), directory_, store_options());
    REQUIRE(opened);
    store_ = std::move(opened->store);
  }

  engine::LogStore& store() { return *store_; }

 private:
  wire::Bytes entry() {
    terms_.push_back(term_);
    const wire::EntryStamp stamp{store_options().cluster, Term(term_), LogIndex(terms_.size()), 0};
    if (prng_.below(10) == 0) return wire::make_membership_entry(stamp, membership());
    wire::EntryBuilder builder;
    wire::EventEncoder encoder;
    const std::string value(prng_.below(2000), 'v');
    builder.add_event(encoder.encode(
        {.revision = wire::Revision(1), .origin = {}, .body = wire::ConfigSet{"key", value}}));
    return builder.seal(stamp);
  }

  const fs::path directory_;
  wire::Prng prng_;
  std::unique_ptr<engine::LogStore> store_;
  std::uint64_t term_ = 1;
  std::uint64_t base_ = 0;
  std::vector<std::uint64_t> terms_;
};

// True when both start, or would.
bool agree(const fs::path& directory) {
  const auto contents = engine::recover_log(engine::posix_file_system(), directory);
  const Outcome outcome = verify_log(directory);
  INFO((contents ? "the node starts" : contents.error().message));
  INFO(outcome.text);
  CHECK(outcome.code == (contents ? 0 : 3));
  return contents.has_value();
}

fs::path some_segment(const fs::path& directory, wire::Prng& prng) {
  std::vector<fs::path> segments;
  for (const auto& file : fs::directory_iterator(directory)) {
    if (file.path().extension() == ".seg") segments.push_back(file.path());
  }
  std::sort(segments.begin(), segments.end());
  return segments[prng.below(segments.size())];
}

// What the two readers might see differently. What the bytes mean is one judge's to say, which
// tests/engine/log_judge_test.cc tries with more kinds of damage.
void damage(const fs::path& file, wire::Prng& prng) {
  std::string bytes = support::read_file(file);
  switch (prng.below(4)) {
    case 0:
      bytes[prng.below(bytes.size())] ^= 4;
      return support::write_file(file, bytes);
    case 1:
      return support::write_file(file, bytes.substr(0, prng.below(bytes.size())));
    case 2:
      return support::write_file(file, {});
    default:
      fs::remove(file);
  }
}

TEST_CASE("the tool reads what the node reads, and calls the same things damage") {
  wire::Prng prng(3);
  std::uint64_t started = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    support::TempDir dir;
    Writer writer(dir / "log", seed);
    for (std::uint64_t n = 60; n > 0; --n) writer.write();
    for (int round = 0; round < 20; ++round) {
      CAPTURE(seed, round);
      writer.write();
      if (prng.below(20) == 0) writer.reopen(prng.below(2) == 0);
      REQUIRE(agree(dir / "log"));
      fs::remove_all(dir / "copy");
      fs::copy(dir / "log", dir / "copy");
      damage(some_segment(dir / "copy", prng), prng);
      if (fs::is_empty(dir / "copy")) continue;
      ++(agree(dir / "copy") ? started : refused);
    }
  }
  // Both happened, so that the test can fail either way.
  CHECK(started > 3);
  CHECK(refused > 15);
}

TEST_CASE("a log that a node writes to while it is read is never called damaged") {
  support::TempDir dir;
  Writer writer(dir / "log", 4);
  // Until it has gone through several segments, and was looked at several times meanwhile. A slow
  // reader is waited for, or the log would grow faster than it can be read.
  constexpr std::uint64_t kWrites = 600;
  constexpr std::uint64_t kLooks = 6;
  constexpr std::uint64_t kWritesPerLook = 400;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> writes = 0;
  std::atomic<std::uint64_t> looks = 0;
  std::thread node([&] {
    while (!stop && writer.try_write()) {
      ++writes;
      const std::uint64_t seen = looks;
      if (writes > (seen + 1) * kWritesPerLook) looks.wait(seen);
    }
  });
  Outcome outcome;
  const auto seen = support::wait_until(
      [&] {
        outcome = verify_log(dir / "log");
        ++looks;
        looks.notify_one();
        return outcome.code != 0 || (writes >= kWrites && looks >= kLooks);
      },
      30s);
  stop = true;
  ++looks;
  looks.notify_one();
  node.join();
  INFO(outcome.text);
  CHECK(seen);
  CHECK(outcome.code == 0);
  CHECK(verify_log(dir / "log").code == 0);
}

}  // namespace
}  // namespace bib::inspect
