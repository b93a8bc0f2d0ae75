// Snapshots that somebody could not use: what their source makes of it, and what becomes of those
// that are damaged.
#include "engine/node/snapshot_audit.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/snapshot_store.h"
#include "snapshot_fixture.h"

namespace bib::engine {
namespace {

using Catch::Matchers::Contains;
using wire::LogIndex;
using wire::LogPosition;
using wire::NodeId;
using wire::SnapshotManifest;
using wire::SnapshotProblem;
using wire::Term;

const NodeId kPeer(2);

// A node with a snapshot at 10 and one at 20.
struct Source {
  explicit Source(unsigned pause_ticks = 5) {
    env = make_rocks_env(files);
    SnapshotAuditOptions options;
    options.pause_ticks = pause_ticks;
    options.verify_rows = [this](const std::string& directory) {
      ++rows_read;
      projections::RocksOptions rocks;
      rocks.env = env.get();
      return projections::verify_checkpoint(directory, rocks);
    };
    audit = std::make_unique<SnapshotAudit>(
        options, store, jobs, [this](const SnapshotPtr&, bool whole) { looked.push_back(whole); },
        [this](const std::string& said) { news.push_back(said); });
  }

  std::string state_file(std::size_t number) const {
    return join_path(snapshot_state_directory(kSnapshotRoot, "20-1"), newest.files[number].name);
  }
  void doubt(const SnapshotDoubt& doubt) {
    audit->doubt(store.newest(), doubt);
    jobs.run_all();
  }
  bool has(const std::string& name) { return must(has_name(files, kSnapshotRoot, name)); }

  std::vector<wire::Bytes> log = log_of(60);
  FaultyFileSystem files;
  SnapshotManifest older = make_snapshot(files, kSnapshotRoot, log, 10);
  SnapshotManifest newest = make_snapshot(files, kSnapshotRoot, log, 20);
  ManualExecutor jobs;
  SnapshotStore store{files,
                      jobs,
                      kSnapshotRoot,
                      FoundSnapshots{{older, newest}, {}, {}},
                      3,
                      [](const wire::Error& error) { FAIL(error.message); }};
  std::unique_ptr<rocksdb::Env> env;
  std::unique_ptr<SnapshotAudit> audit;
  std::vector<bool> looked;
  std::vector<std::string> news;
  int rows_read = 0;
};

SnapshotDoubt of_file(std::uint32_t file) {
  return {kPeer, SnapshotProblem::kFile, file, 0x1234};
}

}  // namespace

TEST_CASE("a snapshot that is whole stays, whatever another node says of it") {
  Source source;
  source.doubt(of_file(0));
  CHECK(source.looked == std::vector{true});
  CHECK(source.store.list().size() == 2);
  REQUIRE(source.news.size() == 1);
  CHECK_THAT(source.news[0], Contains("0000000000000002 could not use snapshot 20-1") &&
                                 Contains("its file " + source.newest.files[0].name) &&
                                 Contains("0000000000001234") && Contains("It is whole here"));
  CHECK(source.rows_read == 0);
  // It is not read again for every word, and nothing is said twice.
  source.doubt({kPeer, SnapshotProblem::kRows, 0, 0});
  CHECK(source.looked.size() == 1);
  for (int i = 0; i < 5; ++i) source.audit->on_tick();
  source.doubt({kPeer, SnapshotProblem::kRows, 0, 0});
  CHECK(source.looked == std::vector{true, true});
  CHECK(source.rows_read == 1);
  CHECK(source.news.size() == 1);
  CHECK(source.store.list().size() == 2);
}

TEST_CASE("a snapshot that is damaged is set aside under a name that says so, and that is said") {
  Source source;
  SnapshotDoubt doubt = of_file(1);
  SECTION("a bit has flipped") {
    source.files.flip_bit(source.state_file(1), 3, 2);
  }
  SECTION("a file is gone") {
    source.files.forget(source.state_file(1));
    doubt.by = NodeId();
  }
  SECTION("its manifest is damaged") {
    source.files.flip_bit("/data/snapshots/20-1/manifest", 60, 1);
    doubt = {kPeer, SnapshotProblem::kManifest, 0, 0};
  }
  SECTION("its manifest was exchanged") {
    SnapshotManifest other = source.newest;
    other.created_us += 1;
    source.files.set_content("/data/snapshots/20-1/manifest",
                             wire::encode_snapshot_manifest(other));
    doubt = {kPeer, SnapshotProblem::kRows, 0, 0};
  }
  source.doubt(doubt);
  CHECK(source.looked == std::vector{false});
  REQUIRE(source.store.list().size() == 1);
  CHECK(source.store.newest()->index == LogIndex(10));
  REQUIRE(source.news.size() == 1);
  CHECK_THAT(source.news[0], Contains("snapshot 20-1") && Contains("set aside as 20-1.damaged"));
  CHECK_FALSE(source.has("20-1"));
  CHECK(source.has("20-1.damaged"));
  // It is known after a start, counts for nothing, and its place can be taken.
  const auto found = must(find_snapshots(source.files, kSnapshotRoot, test_options().cluster));
  CHECK(found.snapshots.size() == 1);
  CHECK(found.set_aside == std::vector{LogPosition{LogIndex(20), Term(1)}});
}

TEST_CASE("a snapshot that is being looked at is offered to nobody, and one is looked at a time") {
  Source source;
  source.audit->doubt(source.store.newest(), of_file(0));
  CHECK(source.audit->is_looking_at(source.store.newest()));
  CHECK_FALSE(source.audit->is_looking_at(source.store.list().front()));
  source.audit->doubt(source.store.newest(), of_file(1));
  source.audit->doubt(source.store.list().front(), of_file(1));
  CHECK(source.jobs.waiting() == 1);
  source.jobs.run_all();
  CHECK_FALSE(source.audit->is_looking_at(source.store.newest()));
}

TEST_CASE("what was set aside goes when a newer snapshot is whole, and is never more than a few") {
  Source source;
  source.files.forget(source.state_file(0));
  source.doubt(of_file(0));
  CHECK(source.has("20-1.damaged"));
  SECTION("an older one, fetched from elsewhere, is no reason") {
    SnapshotManifest older = source.older;
    older.index = LogIndex(15);
    source.store.add(older);
    source.jobs.run_all();
    CHECK(source.has("20-1.damaged"));
  }
  SECTION("a newer one is") {
    source.store.add(make_snapshot(source.files, kSnapshotRoot, source.log, 30));
    source.jobs.run_all();
    CHECK_FALSE(source.has("20-1.damaged"));
    CHECK(source.store.set_aside().empty());
    CHECK(source.has("10-1"));
  }
  SECTION("the bound holds without any") {
    for (const std::uint64_t index : {30, 40, 50}) {
      const SnapshotManifest made = make_snapshot(source.files, kSnapshotRoot, source.log, index);
      const SnapshotPtr held = std::make_shared<const SnapshotManifest>(made);
      source.store.set_aside(held, [](const wire::Status& status) { must(status); });
      source.jobs.run_all();
    }
    CHECK_FALSE(source.has("20-1.damaged"));
    CHECK_FALSE(source.has("30-1.damaged"));
    CHECK(source.has("40-1.damaged"));
    CHECK(source.has("50-1.damaged"));
  }
}

TEST_CASE("of the snapshots that were set aside a start removes none, and the node all but a few") {
  FaultyFileSystem files;
  const auto log = log_of(30);
  SnapshotManifest made;
  for (const std::uint64_t index : {10, 20, 30}) {
    made = make_snapshot(files, kSnapshotRoot, log, index);
    must(set_snapshot_aside(files, kSnapshotRoot, made.position()));
  }
  const auto found = must(find_snapshots(files, kSnapshotRoot, test_options().cluster));
  REQUIRE(found.set_aside.size() == 3);
  CHECK(found.set_aside.back() == LogPosition{LogIndex(30), Term(1)});
  ManualExecutor jobs;
  SnapshotStore store(files, jobs, kSnapshotRoot, found, 3,
                      [](const wire::Error& error) { FAIL(error.message); });
  made.index = LogIndex(5);
  store.add(made);
  jobs.run_all();
  CHECK_FALSE(must(has_name(files, kSnapshotRoot, "10-1.damaged")));
  CHECK(must(has_name(files, kSnapshotRoot, "30-1.damaged")));
  CHECK(store.set_aside().size() == 2);
}

}  // namespace bib::engine
