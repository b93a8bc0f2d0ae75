#include "snapshot_fixture.h"

#include "engine/storage/data_directory.h"
#include "projections/apply/rows_owner.h"
#include "wire/client/client_message.h"
#include "wire/log/entry.h"

namespace bib::engine {

using projections::Projector;
using projections::RocksOptions;
using projections::RocksStore;
using projections::StateMark;

std::vector<wire::Bytes> log_of(std::uint64_t count) {
  projections::MemoryStore store;
  const auto projector = must(Projector::open(store));
  std::vector<wire::Bytes> log;
  wire::Prng prng(count);
  for (std::uint64_t index = 1; index <= count; ++index) {
    projector->begin_turn(wire::LogIndex(index), static_cast<std::int64_t>(1000 * index));
    const std::string key = fmt::format("key.{}", index);
    const std::string value = fmt::format("{:016x}{:016x}", prng.next(), prng.next());
    const auto decision = projector->decide_own(wire::SetConfig{key, value}, 0);
    REQUIRE(decision);
    log.push_back(projector->seal(test_options().cluster, wire::Term(1)));
    REQUIRE(projector->apply(log.back()));
  }
  return log;
}

namespace {

RocksOptions small_store(rocksdb::Env& env) {
  RocksOptions options;
  options.env = &env;
  options.write_buffer_bytes = 256U << 10;
  options.write_buffers_total_bytes = 1U << 20;
  options.block_cache_bytes = 1U << 20;
  return options;
}

wire::RowsOwner owner_of(std::uint64_t log_id) {
  return {test_options().cluster, log_id};
}

StateMark apply_to(RocksStore& store, const std::vector<wire::Bytes>& log, std::uint64_t up_to) {
  const auto projector = must(Projector::open(store));
  for (std::uint64_t i = projector->applied_index().value(); i < up_to; ++i) {
    REQUIRE(projector->apply(log[i]));
  }
  const auto deltas = projector->take_for_store();
  if (!deltas.empty()) must(projections::store_deltas(deltas, store));
  must(store.flush());
  return projector->mark();
}

}  // namespace

StateMark fill_state(FileSystem& files, const std::string& directory,
                     const std::vector<wire::Bytes>& log, std::uint64_t up_to) {
  const auto env = make_rocks_env(files);
  const auto store = must(RocksStore::open(directory, small_store(*env)));
  return apply_to(*store, log, up_to);
}

StateMark verified_state(FileSystem& files, const std::string& directory) {
  const auto env = make_rocks_env(files);
  return must(projections::verify_checkpoint(directory, small_store(*env)));
}

wire::SnapshotManifest make_snapshot(FileSystem& files, const std::string& root,
                                     const std::vector<wire::Bytes>& log, std::uint64_t index) {
  const auto env = make_rocks_env(files);
  const auto store = must(RocksStore::open("/scratch", small_store(*env)));
  must(projections::write_owner(owner_of(kMakersLog), *store));
  apply_to(*store, log, index);
  must(begin_partial_snapshot(files, root, kMakingName));
  const StateMark mark =
      must(projections::create_checkpoint(*store, snapshot_state_directory(root, kMakingName)));
  wire::SnapshotManifest manifest;
  manifest.cluster = test_options().cluster;
  manifest.node = wire::NodeId(0xfeed);
  manifest.index = mark.applied_index;
  manifest.term = mark.applied_term;
  manifest.created_us = 1'700'000'000'000'000;
  manifest.membership_index = wire::LogIndex(1);
  manifest.membership = must(wire::decode_membership(membership_of(0xfeed)));
  manifest.projections = projections::snapshot_projections(mark);
  return must(seal_snapshot(files, root, kMakingName, manifest));
}

Scene::Scene() {
  auto store = must(LogStore::open(files, kLogDirectory, test_options()));
  LogStoreWrite write;
  write.hard_state = wire::HardState{wire::Term(1), wire::NodeId()};
  write.entries.assign(log.begin(), log.begin() + 8);
  must(store.store->append({&write, 1}));
  fill_state(files, "/data/state", log, 5);
  snapshot = make_snapshot(files, kSnapshotRoot, log, 30);
}

wire::Result<Started> start(FileSystem& files) {
  Started started;
  started.env = make_rocks_env(files);
  BIB_TRY(started.log, LogStore::open(files, kLogDirectory, test_options()));
  StateRecoveryOptions options;
  options.data_directory = kDataDirectory;
  options.cluster = test_options().cluster;
  options.open_store = [env = started.env.get()](const std::string& directory) {
    projections::RocksOptions rocks;
    rocks.env = env;
    return projections::RocksStore::open(directory, rocks);
  };
  options.verify_rows = [env = started.env.get()](const std::string& directory) {
    projections::RocksOptions rocks;
    rocks.env = env;
    return projections::verify_checkpoint(directory, rocks);
  };
  options.on_news = [&started](const std::string& news) { started.news += news + "\n"; };
  BIB_TRY(started.state, recover_state(files, options, started.log));
  return started;
}

void join_from_empty_directory(FileSystem& files) {
  must(files.rename(kDataDirectory, "/moved-away"));
  const auto standing =
      wire::judge_directory(must(look_at_directory(files, kDataDirectory)), {.founds = false});
  CHECK(standing.state == wire::DirectoryState::kEmpty);
  CHECK(standing.verdict == wire::DirectoryVerdict::kJoin);
  const auto started = must(start(files));
  CHECK(started.log.log.last_index() == wire::LogIndex());
  CHECK(started.state.projector->applied_index() == wire::LogIndex());
}

}  // namespace bib::engine
