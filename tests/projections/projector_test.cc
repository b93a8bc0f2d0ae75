// The projector: equal logs give equal states, whichever way a node came to them.
#include "projections/apply/projector.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "machine.h"
#include "projections/rules/session_sweep.h"
#include "projections/state/keys.h"
#include "projections/state/rocks_state.h"
#include "random_commands.h"
#include "support/test_support.h"

namespace bib::projections {
namespace {

// What one seed did: the log, and the mark after each entry.
struct History {
  std::vector<wire::Bytes> log;
  std::vector<StateMark> marks;  // after entry i + 1
};

// A leader that decides several entries ahead, loses leadership now and then, expires sessions,
// gives out views and writes behind.
class RandomLeader {
 public:
  RandomLeader(Store& store, std::uint64_t seed)
      : machine_(store, {.cache_bytes = seed % 2 * 100'000}), commands_(seed) {}

  History run(int turns) {
    for (int turn = 0; turn < turns; ++turn) {
      play_turn();
      while (commands_.random().below(3) != 0 && applied_ < machine_.log.size()) apply_next();
      disturb();
    }
    machine_.seal();
    while (applied_ < machine_.log.size()) apply_next();
    machine_.write_behind();
    return {machine_.log, marks_};
  }

 private:
  void play_turn() {
    for (std::uint64_t i = commands_.random().below(8); i > 0; --i) {
      const auto next = commands_.next();
      machine_.decide(next.body, next.request);
    }
    if (commands_.random().below(20) == 0) {
      const QueryView view = must(machine_.projector->view());
      const std::uint64_t last = machine_.next_index().value();
      const std::uint64_t old = last > 20 ? last - 20 : 0;
      machine_.begin();
      must(machine_.projector->expire_sessions(must(
          sweep_.look(view.state(), {wire::LogIndex(old), machine_.next_index(), 30, 25, 40}))));
    }
    machine_.seal();
  }
  void apply_next() {
    const Applied applied = machine_.apply_next();
    REQUIRE(applied.index.value() == ++applied_);
    marks_.push_back(machine_.projector->mark());
  }
  void disturb() {
    switch (commands_.random().below(20)) {
      case 0:
        machine_.write_behind();
        break;
      case 1:
        must(machine_.projector->view());
        break;
      case 2:
        // Leadership lost; what was sealed is committed all the same, or is not.
        must(machine_.projector->drop_pending());
        if (commands_.random().below(2) == 0) {
          machine_.truncate(machine_.projector->applied_index() + 1);
        }
        while (applied_ < machine_.log.size()) apply_next();
        machine_.term = machine_.term + 1;
        machine_.add_entry(wire::make_noop_entry(
            {wire::ClusterId(), machine_.term, machine_.next_index(), machine_.now_us}));
        apply_next();
        break;
      default:
        break;
    }
  }

  Machine machine_;
  RandomCommands commands_;
  SessionSweep sweep_;
  std::size_t applied_ = 0;
  std::vector<StateMark> marks_;
};

History make_history(std::uint64_t seed, int turns) {
  MemoryStore store;
  return RandomLeader(store, seed).run(turns);
}

TEST_CASE("leader, follower, replay and a reopened store have equal digests at every index") {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    INFO("seed " << seed);
    MemoryStore leader_store;
    const History history = RandomLeader(leader_store, seed).run(150);
    REQUIRE(history.log.size() == history.marks.size());
    REQUIRE(history.log.size() > 60);

    MemoryStore follower_store;
    const auto follower = must(Projector::open(follower_store));
    for (std::size_t i = 0; i < history.log.size(); ++i) {
      REQUIRE_FALSE(must(follower->apply(history.log[i])).own);
      REQUIRE(follower->mark() == history.marks[i]);
    }
    MemoryStore replayed;
    REQUIRE(must(replay(source_of(history.log), replayed)) == history.marks.back());

    // The digest is not only carried along: it is that of the rows.
    REQUIRE(must(verify_state(*leader_store.view())) == history.marks.back());
    REQUIRE(must(verify_state(*replayed.view())) == history.marks.back());
    REQUIRE(must(Projector::open(leader_store))->mark() == history.marks.back());
  }
}

TEST_CASE("replay stops at the index that it is asked for") {
  const History history = make_history(5, 60);
  MemoryStore store;
  const wire::LogIndex middle(history.log.size() / 2);
  REQUIRE(must(replay(source_of(history.log), store, middle, 1)) ==
          history.marks[middle.value() - 1]);
  REQUIRE(must(verify_state(*store.view())).applied_index == middle);
}

TEST_CASE("a memory store that was left anywhere continues to the same state") {
  const History history = make_history(11, 120);
  MemoryStore store;
  const auto projector = must(Projector::open(store));
  for (std::size_t i = 0; i < history.log.size(); ++i) {
    must(projector->apply(history.log[i]));
    const auto deltas = projector->take_for_store();
    // Before the write, after it, and after the node heard of it: the crash.
    for (int point = 0; point < 3; ++point) {
      if (point == 1) must(store_deltas(deltas, store));
      if (point == 2) projector->written(deltas.back()->mark().applied_index);
      if (i % 7 != static_cast<std::size_t>(point)) continue;
      const auto left = store.copy();
      const auto reopened = must(Projector::open(*left));
      const std::size_t at = reopened->applied_index().value();
      REQUIRE(at == (point == 0 ? i : i + 1));
      if (at > 0) REQUIRE(reopened->mark() == history.marks[at - 1]);
      for (std::size_t k = at; k < history.log.size(); ++k) must(reopened->apply(history.log[k]));
      REQUIRE(reopened->mark() == history.marks.back());
    }
  }
}

TEST_CASE("RocksDB that crashed has one applied index and continues to the same state") {
  const History history = make_history(17, 200);
  const support::TempDir directory;
  // Tiny memtables, so that RocksDB flushes by itself in the middle.
  const RocksOptions options{.write_buffer_bytes = 64U << 10,
                             .write_buffers_total_bytes = 128U << 10};
  const auto store = must(RocksStore::open(directory / "state", options));
  const auto projector = must(Projector::open(*store));
  std::size_t flushed = 0;
  for (std::size_t i = 0; i < history.log.size(); ++i) {
    must(projector->apply(history.log[i]));
    if (i % 10 == 0) {
      const auto deltas = projector->take_for_store();
      must(store_deltas(deltas, *store));
      projector->written(deltas.back()->mark().applied_index);
    }
    if (i % 70 == 35) {
      must(store->flush());
      flushed = i / 10 * 10 + 1;
    }
    if (i % 60 != 59) continue;
    // The files as they are now are what a crash would leave: what was not flushed is lost.
    const auto crashed = directory / ("crashed" + std::to_string(i));
    must(store->flush());
    flushed = i / 10 * 10 + 1;
    std::filesystem::copy(directory / "state", crashed, std::filesystem::copy_options::recursive);
    const auto left = must(RocksStore::open(crashed, options));
    const StateMark mark = must(verify_state(*left->view()));
    REQUIRE(mark.applied_index.value() >= flushed);
    REQUIRE(mark == history.marks[mark.applied_index.value() - 1]);
    const auto reopened = must(Projector::open(*left));
    for (std::size_t k = mark.applied_index.value(); k < history.log.size(); ++k) {
      must(reopened->apply(history.log[k]));
    }
    REQUIRE(reopened->mark() == history.marks.back());
  }
}

TEST_CASE("what RocksDB has not flushed when the process dies is lost as a whole") {
  const History history = make_history(23, 80);
  const support::TempDir directory;
  const auto store = must(RocksStore::open(directory / "state"));
  const auto projector = must(Projector::open(*store));
  const std::size_t half = history.log.size() / 2;
  const auto write_to = [&](std::size_t end) {
    for (std::size_t i = projector->applied_index().value(); i < end; ++i) {
      must(projector->apply(history.log[i]));
    }
    const auto deltas = projector->take_for_store();
    must(store_deltas(deltas, *store));
    projector->written(deltas.back()->mark().applied_index);
  };
  write_to(half);
  must(store->flush());
  write_to(history.log.size());
  std::filesystem::copy(directory / "state", directory / "crashed",
                        std::filesystem::copy_options::recursive);
  const auto crashed = must(RocksStore::open(directory / "crashed"));
  REQUIRE(must(verify_state(*crashed->view())) == history.marks[half - 1]);
}

TEST_CASE("a large write is durable at once, with the small ones before it") {
  const History history = make_history(31, 120);
  const support::TempDir directory;
  const RocksOptions options{.ingest_bytes_min = 4096};
  const auto store = must(RocksStore::open(directory / "state", options));
  const auto projector = must(Projector::open(*store));
  const auto write_to = [&](std::size_t end) {
    for (std::size_t i = projector->applied_index().value(); i < end; ++i) {
      must(projector->apply(history.log[i]));
    }
    const auto deltas = projector->take_for_store();
    must(store_deltas(deltas, *store));
    projector->written(deltas.back()->mark().applied_index);
  };
  const auto left_by_a_crash = [&](const std::string& name) {
    std::filesystem::copy(directory / "state", directory / name,
                          std::filesystem::copy_options::recursive);
    const auto crashed = must(RocksStore::open(directory / name, options));
    return must(verify_state(*crashed->view()));
  };
  write_to(2);
  REQUIRE(left_by_a_crash("after two entries") == StateMark{});
  const std::size_t half = history.log.size() / 2;
  write_to(half);
  REQUIRE(left_by_a_crash("at half") == history.marks[half - 1]);
  write_to(half + 1);
  REQUIRE(left_by_a_crash("one later") == history.marks[half - 1]);
  write_to(history.log.size());
  REQUIRE(left_by_a_crash("at the end") == history.marks.back());
}

TEST_CASE("a file that a dying process left half written is no part of the state") {
  const History history = make_history(37, 60);
  const support::TempDir directory;
  const RocksOptions options{.ingest_bytes_min = 1};
  const std::string incoming = directory / "state/incoming";
  {
    const auto store = must(RocksStore::open(directory / "state", options));
    must(replay(source_of(history.log), *store));
    REQUIRE(store->memory().memtables < 64U << 10);
  }
  std::filesystem::create_directories(incoming);
  std::ofstream(incoming + "/config.sst") << "half a table";
  {
    const auto read_only = must(RocksStore::open(directory / "state", {.read_only = true}));
    REQUIRE(must(verify_state(*read_only->view())) == history.marks.back());
    REQUIRE(std::filesystem::exists(incoming + "/config.sst"));
  }
  const auto store = must(RocksStore::open(directory / "state", options));
  REQUIRE_FALSE(std::filesystem::exists(incoming));
  const std::vector<RowPtr> rows = {
      StoredRow::make(make_row_key(Family::kConfig, "k"), wire::as_bytes("v"))};
  must(store->write(rows));
  REQUIRE(must(store->find(Family::kConfig, "k")));
}

TEST_CASE("a checkpoint is a state of its own, also read-only, and a store can be removed") {
  const History history = make_history(29, 60);
  const support::TempDir directory;
  {
    const auto store = must(RocksStore::open(directory / "state"));
    must(replay(source_of(history.log), *store));
    must(store->checkpoint(directory / "checkpoint"));
    REQUIRE(store->memory().memtables > 0);
  }
  const auto checkpoint = must(RocksStore::open(directory / "checkpoint", {.read_only = true}));
  REQUIRE(must(verify_state(*checkpoint->view())) == history.marks.back());
  const std::vector<RowPtr> rows = {
      StoredRow::make(make_row_key(Family::kConfig, "k"), wire::as_bytes("v"))};
  REQUIRE_FALSE(checkpoint->write(rows));
  must(RocksStore::destroy(directory / "state"));
  const auto reopened = must(RocksStore::open(directory / "state"));
  REQUIRE(must(read_mark(*reopened)) == StateMark{});
}

TEST_CASE("rows of another projection version ask for a rebuild") {
  const History history = make_history(2, 20);
  MemoryStore store;
  must(replay(source_of(history.log), store));
  const std::string key = keys::version("topics");
  std::string value;
  keys::append_u32(value, projection_version(Family::kTopics) + 1);
  const std::vector<RowPtr> rows = {
      StoredRow::make(make_row_key(Family::kMeta, key), wire::as_bytes(value))};
  must(store.write(rows));
  const auto projector = Projector::open(store);
  REQUIRE_FALSE(projector);
  CHECK(projector.error().code == wire::ErrorCode::kUnsupported);
  CHECK(projector.error().message.find("topics") != std::string::npos);
}

TEST_CASE("a row that was changed behind the projector's back is found by its digest") {
  const History history = make_history(3, 80);
  MemoryStore store;
  must(replay(source_of(history.log), store));
  const std::vector<RowPtr> rows = {
      StoredRow::make(make_row_key(Family::kJobs, "intruder"), wire::as_bytes("v"))};
  must(store.write(rows));
  const auto verified = verify_state(*store.view());
  REQUIRE_FALSE(verified);
  CHECK(verified.error().code == wire::ErrorCode::kCorrupt);
  CHECK(verified.error().message.find("jobs") != std::string::npos);
}

wire::Bytes entry_of(const wire::Event& event, std::uint64_t index) {
  wire::EventEncoder encoder;
  wire::EntryBuilder builder;
  builder.add_event(encoder.encode(event));
  return builder.seal({wire::ClusterId(), wire::Term(1), wire::LogIndex(index), 1});
}

TEST_CASE("entries are applied in order, each once, and a fact that fits nothing is an error") {
  MemoryStore store;
  const auto projector = must(Projector::open(store));
  wire::Event event;
  event.revision = wire::Revision(1);
  event.body = wire::ConfigSet{"k", "v"};
  CHECK_FALSE(projector->apply(entry_of(event, 2)));
  must(projector->apply(entry_of(event, 1)));
  CHECK_FALSE(projector->apply(entry_of(event, 1)));
  event.body = wire::JobStateChanged{"nobody", wire::JobState::kRunning, ""};
  const auto applied = projector->apply(entry_of(event, 2));
  REQUIRE_FALSE(applied);
  CHECK(applied.error().message.find("2:0") != std::string::npos);
  CHECK(applied.error().message.find("nobody") != std::string::npos);
}

TEST_CASE("an event that cannot be read is named by its place, after those before it") {
  MemoryStore store;
  const auto projector = must(Projector::open(store));
  wire::EventEncoder encoder;
  wire::EntryBuilder builder;
  // More events than are read ahead.
  for (int i = 0; i < 40; ++i) {
    if (i == 29) builder.add_event(wire::as_bytes("not an event"));
    const std::string key = fmt::format("k{}", i);
    wire::Event event;
    event.revision = wire::Revision(1);
    event.body = wire::ConfigSet{key, "v"};
    builder.add_event(encoder.encode(event));
  }
  const auto applied =
      projector->apply(builder.seal({wire::ClusterId(), wire::Term(1), wire::LogIndex(1), 1}));
  REQUIRE_FALSE(applied);
  CHECK(applied.error().message.find("1:29") != std::string::npos);
  CHECK(projector->sizes().active_rows == 29);
}

TEST_CASE("damaged entries are errors, not aborts") {
  const History history = make_history(4, 30);
  for (std::size_t i = 0; i < history.log.size(); ++i) {
    MemoryStore store;
    const auto projector = must(Projector::open(store));
    for (std::size_t k = 0; k < i; ++k) must(projector->apply(history.log[k]));
    const wire::Bytes& entry = history.log[i];
    for (std::size_t at = 0; at < entry.size(); at += 1 + entry.size() / 40) {
      wire::Bytes::Builder damaged(entry.size());
      std::copy_n(entry.data(), entry.size(), damaged.data());
      damaged.data()[at] ^= 0x40;
      REQUIRE_FALSE(projector->apply(wire::Bytes(std::move(damaged))));
    }
    REQUIRE_FALSE(projector->apply(entry.slice(0, entry.size() / 2)));
  }
}

TEST_CASE("another leader's entry at the place of a pending one wins") {
  MemoryStore store;
  Machine machine(store);
  machine.ask(wire::SetConfig{"k", "1"});
  accepted(machine.decide(wire::SetConfig{"k", "2"}));
  machine.seal();
  accepted(machine.decide(wire::SetConfig{"k", "3"}));
  wire::Event event;
  event.revision = wire::Revision(2);
  event.body = wire::ConfigSet{"k", "theirs"};
  wire::EventEncoder encoder;
  wire::EntryBuilder builder;
  builder.add_event(encoder.encode(event));
  const auto entry =
      builder.seal({wire::ClusterId(), wire::Term(2), wire::LogIndex(2), machine.now_us});
  CHECK_FALSE(must(machine.projector->apply(entry)).own);
  CHECK_FALSE(machine.projector->has_open_batch());
  CHECK(machine.projector->sizes().pending_bytes == 0);
  CHECK(machine.row<wire::ConfigRow>(wire::QueryTable::kConfig, "k")->value == "theirs");
}

TEST_CASE("status names every projection with its rows and digest") {
  MemoryStore store;
  Machine machine(store);
  machine.ask(wire::CreateTopic{.path = "t"});
  const auto status = machine.projector->status();
  REQUIRE(status.size() == 6);
  for (const auto& projection : status) {
    INFO(projection.name);
    CHECK(projection.version >= 1);
    const bool touched = projection.name == "topics" || projection.name == "sessions";
    CHECK(projection.rows == (touched ? 1U : 0U));
    CHECK((projection.digest_low != 0) == touched);
  }
}

}  // namespace
}  // namespace bib::projections
