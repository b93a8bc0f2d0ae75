// A snapshot on its way from one node to another: over a network that loses and repeats, with
// sources that vanish and disks that fail.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "engine/node/snapshot_fetcher.h"
#include "engine/node/snapshot_sender.h"
#include "engine/node/snapshot_store.h"
#include "snapshot_fixture.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::NodeId;
using wire::SnapshotPart;
using wire::SnapshotPartStatus;
using wire::SnapshotRequest;
using wire::SnapshotRequestKind;
using wire::Term;

const NodeId kSource(1);
const NodeId kTarget(2);

// One node's side of the network: what it sends waits in the other's inbox, through its encoding.
class Port final : public SnapshotPort {
 public:
  explicit Port(NodeId self) : self_(self) {}
  void send(const SnapshotRequest& sent) override {
    SnapshotRequest request = sent;
    request.from = self_;
    requests.push_back(must(wire::decode_snapshot_request(wire::encode_snapshot_request(request))));
  }
  void send(const SnapshotPart& sent) override {
    SnapshotPart part = sent;
    part.from = self_;
    std::vector<std::uint8_t> body = wire::encode_snapshot_part_head(part);
    body.insert(body.end(), part.bytes.view().begin(), part.bytes.view().end());
    parts.push_back(must(wire::decode_snapshot_part(wire::Bytes::copy_of(body))));
  }

  std::deque<SnapshotRequest> requests;
  std::deque<SnapshotPart> parts;

 private:
  NodeId self_;
};

class Transfer {
 public:
  explicit Transfer(std::uint64_t entries = 40, SnapshotFetcherOptions options = {})
      : log(log_of(entries)), manifest(make_snapshot(source_files, kSnapshotRoot, log, entries)) {
    store = std::make_unique<SnapshotStore>(source_files, source_jobs, kSnapshotRoot,
                                            FoundSnapshots{{manifest}, {}, {}}, 1U,
                                            [](const wire::Error& error) { FAIL(error.message); });
    sender = std::make_unique<SnapshotSender>(
        SnapshotSenderOptions{.reads_max = 4, .peers_max = 8, .silent_ticks = 50}, *store,
        source_jobs, source_port, [this](NodeId, bool ok) { sent = ok; },
        [this](const SnapshotPtr&, const SnapshotDoubt& doubt) { doubts.push_back(doubt); });
    options.root = kSnapshotRoot;
    options.cluster = test_options().cluster;
    options.chunk_bytes = 1000;
    options.retry_ticks = 5;
    options.give_up_ticks = 40;
    options.still_busy_ticks = 10;
    env = make_rocks_env(target_files);
    options.verify_rows = [this](const std::string& directory, const wire::ClusterId& cluster) {
      projections::RocksOptions rocks;
      rocks.env = env.get();
      return projections::verify_checkpoint(directory, rocks, cluster);
    };
    fetcher = std::make_unique<SnapshotFetcher>(
        options, target_files, target_jobs, target_port,
        [this](wire::Result<wire::SnapshotManifest> result) { ended = std::move(result); });
  }

  void begin() {
    sender->offered(kTarget, store->newest());
    REQUIRE(fetcher->begin(kSource, {manifest.index, manifest.term}));
  }

  // One message each way, one job on each side, and now and then a tick.
  void turn() {
    if (!target_port.requests.empty()) {
      const SnapshotRequest request = target_port.requests.front();
      target_port.requests.pop_front();
      ++requests_by_kind[static_cast<std::size_t>(request.kind)];
      if (!lose(request.kind)) sender->on_request(request);
    }
    source_jobs.step();
    most_parts = std::max(most_parts, source_port.parts.size());
    if (!source_port.parts.empty()) {
      SnapshotPart part = source_port.parts.front();
      if (random.chance_ppm(repeat_ppm)) {
        source_port.parts.push_back(part);
      }
      source_port.parts.pop_front();
      if (!random.chance_ppm(loss_ppm)) fetcher->on_part(std::move(part));
    }
    target_jobs.step();
    if (++turns % 4 == 0) {
      sender->on_tick();
      fetcher->on_tick();
    }
  }
  void run(std::uint64_t turns_max = 20000) {
    while (!ended && turns_max-- > 0) turn();
    for (int i = 0; i < 50; ++i) turn();
  }

  bool lose(SnapshotRequestKind kind) {
    if (kind == SnapshotRequestKind::kGivenUp || kind == SnapshotRequestKind::kInstalled) {
      return false;
    }
    return random.chance_ppm(loss_ppm);
  }

  FaultyFileSystem source_files;
  FaultyFileSystem target_files;
  std::vector<wire::Bytes> log;
  wire::SnapshotManifest manifest;
  ManualExecutor source_jobs;
  ManualExecutor target_jobs;
  Port source_port{kSource};
  Port target_port{kTarget};
  std::unique_ptr<rocksdb::Env> env;
  std::unique_ptr<SnapshotStore> store;
  std::unique_ptr<SnapshotSender> sender;
  std::unique_ptr<SnapshotFetcher> fetcher;
  wire::Prng random{1};
  std::uint32_t loss_ppm = 0;
  std::uint32_t repeat_ppm = 0;
  std::uint64_t turns = 0;
  std::size_t most_parts = 0;
  std::array<std::size_t, 8> requests_by_kind{};
  std::optional<wire::Result<wire::SnapshotManifest>> ended;
  std::optional<bool> sent;
  std::vector<SnapshotDoubt> doubts;  // of the source
};

void check_arrived(Transfer& transfer) {
  REQUIRE(transfer.ended);
  INFO((*transfer.ended ? std::string() : transfer.ended->error().message));
  REQUIRE(*transfer.ended);
  CHECK(**transfer.ended == transfer.manifest);
  must(verify_snapshot_files(transfer.target_files, kSnapshotRoot, transfer.manifest));
  const auto found =
      must(find_snapshots(transfer.target_files, kSnapshotRoot, test_options().cluster));
  REQUIRE(found.snapshots.size() == 1);
  CHECK(found.snapshots[0] == transfer.manifest);
}

std::string failure_of(const Transfer& transfer) {
  REQUIRE(transfer.ended);
  REQUIRE_FALSE(*transfer.ended);
  return transfer.ended->error().message;
}

// Nothing of a fetch that failed is left.
void check_nothing_left(Transfer& transfer) {
  CHECK(must(transfer.target_files.list(kSnapshotRoot)).empty());
}

}  // namespace

TEST_CASE("a snapshot is fetched part by part, checked, and there under its name") {
  Transfer transfer;
  transfer.begin();
  transfer.run();
  check_arrived(transfer);
  CHECK(transfer.fetcher->bytes_received() > transfer.manifest.bytes());
  CHECK_FALSE(transfer.fetcher->is_busy());
}

TEST_CASE("a snapshot is fetched through a network that loses and repeats messages") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Transfer transfer;
    transfer.random = wire::Prng(seed);
    transfer.loss_ppm = 200'000;
    transfer.repeat_ppm = 200'000;
    transfer.begin();
    transfer.run();
    check_arrived(transfer);
  }
}

TEST_CASE("a slow disk slows the other side down: no more than a few parts are ever under way") {
  SnapshotFetcherOptions options;
  options.chunks_ahead = 3;
  Transfer transfer(40, options);
  transfer.begin();
  // The target's disk does nothing for a long time.
  for (int i = 0; i < 400; ++i) {
    if (!transfer.target_port.requests.empty()) {
      transfer.sender->on_request(transfer.target_port.requests.front());
      transfer.target_port.requests.pop_front();
    }
    transfer.source_jobs.step();
    if (!transfer.source_port.parts.empty()) {
      transfer.fetcher->on_part(std::move(transfer.source_port.parts.front()));
      transfer.source_port.parts.pop_front();
    }
    if (i < 4) transfer.target_jobs.step();
  }
  CHECK(transfer.fetcher->bytes_received() < 3 * 1000 + 16384);
  transfer.run();
  check_arrived(transfer);
}

TEST_CASE("a snapshot for which there is no room is not fetched") {
  SnapshotFetcherOptions options;
  options.reserve_bytes = 5000;
  Transfer transfer(40, options);
  const std::uint64_t enough = transfer.manifest.bytes() + options.reserve_bytes;
  transfer.target_files.limit_space(enough - 1);
  transfer.begin();
  transfer.run();
  REQUIRE(transfer.ended);
  REQUIRE_FALSE(*transfer.ended);
  CHECK(transfer.ended->error().code == wire::ErrorCode::kOverloaded);
  CHECK(failure_of(transfer).find(fmt::format("{} bytes are free in /data/snapshots, and it needs "
                                              "{} and limits.disk_reserve (5000 bytes)",
                                              enough - 1, transfer.manifest.bytes())) !=
        std::string::npos);
  CHECK(transfer.requests_by_kind[static_cast<std::size_t>(SnapshotRequestKind::kChunk)] == 0);
  CHECK(transfer.sent == false);
  check_nothing_left(transfer);

  transfer.ended.reset();
  transfer.target_files.limit_space(UINT64_MAX);
  transfer.begin();
  transfer.run();
  check_arrived(transfer);
}

TEST_CASE("a fetch says that there is no room also when it has gone meanwhile") {
  Transfer transfer;
  transfer.begin();
  for (int i = 0; i < 12; ++i) transfer.turn();
  REQUIRE_FALSE(transfer.ended);
  transfer.target_files.limit_space(0);
  transfer.run();
  CHECK(failure_of(transfer).find("there is no room for it") != std::string::npos);
  CHECK(failure_of(transfer).find("start the node again") == std::string::npos);
}

TEST_CASE("a fetch ends when the source no longer has the snapshot") {
  Transfer transfer;
  transfer.begin();
  for (int i = 0; i < 12; ++i) transfer.turn();
  REQUIRE_FALSE(transfer.ended);
  must(transfer.source_files.rename("/data/snapshots/40-1", "/data/away"));
  transfer.run();
  CHECK(failure_of(transfer).find("cannot read its snapshot 40-1") != std::string::npos);
  CHECK(transfer.sent == false);
  REQUIRE_FALSE(transfer.doubts.empty());
  CHECK(transfer.doubts.front().by == NodeId());
  check_nothing_left(transfer);

  SECTION("and another may be begun") {
    transfer.ended.reset();
    must(transfer.source_files.rename("/data/away", "/data/snapshots/40-1"));
    transfer.begin();
    transfer.run();
    check_arrived(transfer);
  }
}

TEST_CASE("a fetch ends when the source is gone or falls silent") {
  Transfer transfer;
  transfer.begin();
  for (int i = 0; i < 12; ++i) transfer.turn();
  SECTION("gone") {
    transfer.fetcher->on_peer_disconnected(NodeId(9));  // somebody else
    CHECK(transfer.fetcher->is_busy());
    transfer.fetcher->on_peer_disconnected(kSource);
    CHECK(failure_of(transfer).find("connection") != std::string::npos);
  }
  SECTION("silent") {
    transfer.loss_ppm = 1'000'000;
    transfer.run();
    CHECK(failure_of(transfer).find("no longer answers") != std::string::npos);
  }
  transfer.target_jobs.run_all();
  CHECK_FALSE(transfer.fetcher->is_busy());
  check_nothing_left(transfer);
}

TEST_CASE("a sender releases a snapshot that is no longer fetched") {
  Transfer transfer;
  transfer.sender->offered(kTarget, transfer.store->newest());
  REQUIRE(transfer.sender->lowest_under_way() == LogIndex(40));
  for (int i = 0; i < 49; ++i) transfer.sender->on_tick();
  CHECK_FALSE(transfer.sent);
  transfer.sender->on_tick();
  CHECK(transfer.sent == false);
  CHECK_FALSE(transfer.sender->lowest_under_way());
}

TEST_CASE("files that are not what the manifest says are not taken") {
  Transfer transfer;
  const auto& file = transfer.manifest.files.front();
  transfer.source_files.flip_bit(
      join_path(snapshot_state_directory(kSnapshotRoot, "40-1"), file.name), 3, 2);
  transfer.begin();
  transfer.run();
  CHECK(failure_of(transfer).find(file.name) != std::string::npos);
  CHECK(transfer.sent == false);
  check_nothing_left(transfer);
  // The source is told what came, and looks for itself.
  REQUIRE(transfer.doubts.size() == 1);
  CHECK(transfer.doubts[0].by == kTarget);
  CHECK(transfer.doubts[0].problem == wire::SnapshotProblem::kFile);
  CHECK(transfer.doubts[0].file == 0);
  CHECK(transfer.doubts[0].checksum != file.checksum);
}

TEST_CASE("rows that are not what the manifest says are not taken, though the files are") {
  Transfer transfer;
  // Somebody has sealed other files under this manifest's digests.
  wire::SnapshotManifest lying = transfer.manifest;
  lying.projections.back().digest_low ^= 1;
  must(remove_tree(transfer.source_files, "/data/snapshots/making.tmp"));
  must(transfer.source_files.rename("/data/snapshots/40-1", "/data/snapshots/making.tmp"));
  transfer.source_files.forget("/data/snapshots/making.tmp/manifest");
  must(seal_snapshot(transfer.source_files, kSnapshotRoot, kMakingName, lying));
  transfer.begin();
  transfer.run();
  CHECK(failure_of(transfer).find("digests") != std::string::npos);
  check_nothing_left(transfer);
  REQUIRE(transfer.doubts.size() == 1);
  CHECK(transfer.doubts[0].problem == wire::SnapshotProblem::kRows);
}

TEST_CASE("a manifest of another snapshot or cluster is not taken") {
  Transfer transfer;
  transfer.begin();
  wire::SnapshotManifest other = transfer.manifest;
  SECTION("cluster") {
    other.cluster.bytes.fill(1);
  }
  SECTION("snapshot") {
    other.index = LogIndex(41);
  }
  SnapshotPart part;
  part.from = kSource;
  part.id = transfer.target_port.requests.front().id;
  part.index = transfer.manifest.index;
  part.term = transfer.manifest.term;
  part.bytes = wire::Bytes::copy_of(wire::encode_snapshot_manifest(other));
  transfer.fetcher->on_part(std::move(part));
  CHECK(failure_of(transfer).find("manifest of snapshot") != std::string::npos);
}

TEST_CASE("a manifest that came damaged is told to its source") {
  Transfer transfer;
  transfer.source_files.flip_bit("/data/snapshots/40-1/manifest", 60, 1);
  transfer.begin();
  transfer.run();
  CHECK(failure_of(transfer).find("checksum") != std::string::npos);
  REQUIRE(transfer.doubts.size() == 1);
  CHECK(transfer.doubts[0].problem == wire::SnapshotProblem::kManifest);
}

TEST_CASE("a file that was cut short is noticed where it is read, and ends the fetch") {
  Transfer transfer;
  const auto& file = transfer.manifest.files.back();
  const std::string path = join_path(snapshot_state_directory(kSnapshotRoot, "40-1"), file.name);
  auto content = transfer.source_files.content(path);
  content.pop_back();
  transfer.source_files.set_content(path, content);
  transfer.begin();
  transfer.run();
  CHECK(failure_of(transfer).find("cannot read its snapshot") != std::string::npos);
  REQUIRE_FALSE(transfer.doubts.empty());
  CHECK(transfer.doubts.front().file == transfer.manifest.files.size() - 1);
}

TEST_CASE("a full or failing disk ends a fetch and leaves the node as it was") {
  for (const std::uint64_t succeed : {0, 1, 3, 4, 5}) {
    CAPTURE(succeed);
    Transfer transfer;
    transfer.begin();
    if (succeed % 2 == 0) {
      transfer.target_files.limit_space(100 + succeed * 400);
    } else {
      transfer.target_files.fail_sync_after(succeed);
    }
    transfer.run();
    CHECK_FALSE(failure_of(transfer).empty());
    CHECK(transfer.sent == false);
    CHECK(must(find_snapshots(transfer.target_files, kSnapshotRoot, test_options().cluster))
              .snapshots.empty());
  }
}

TEST_CASE("an abandoned fetch lets another begin once its last job has ended") {
  Transfer transfer;
  transfer.begin();
  for (int i = 0; i < 3; ++i) transfer.turn();
  REQUIRE(transfer.fetcher->is_busy());
  transfer.fetcher->abandon();
  CHECK_FALSE(transfer.fetcher->is_busy());
  transfer.target_jobs.run_all();
  transfer.begin();
  transfer.run();
  check_arrived(transfer);
}

TEST_CASE(
    "questions about a snapshot that is not here, or a file that it has not, are answered so") {
  Transfer transfer;
  SnapshotRequest request;
  request.from = kTarget;
  request.to = kSource;
  request.index = LogIndex(39);
  request.term = Term(1);
  transfer.sender->on_request(request);
  REQUIRE(transfer.source_port.parts.size() == 1);
  CHECK(transfer.source_port.parts.front().status == SnapshotPartStatus::kGone);
  transfer.source_port.parts.clear();
  request.index = LogIndex(40);
  request.kind = SnapshotRequestKind::kChunk;
  request.file = 100'000;
  request.length = 10;
  transfer.sender->on_request(request);
  REQUIRE(transfer.source_port.parts.size() == 1);
  CHECK(transfer.source_port.parts.front().status == SnapshotPartStatus::kGone);
}

TEST_CASE("a sender reads a few parts at a time, and says that it is busy beyond") {
  Transfer transfer;
  SnapshotRequest request;
  request.from = kTarget;
  request.to = kSource;
  request.index = LogIndex(40);
  request.term = Term(1);
  for (int i = 0; i < 10; ++i) transfer.sender->on_request(request);
  CHECK(transfer.source_jobs.waiting() == 4);
  CHECK(transfer.source_port.parts.size() == 6);
  for (const SnapshotPart& part : transfer.source_port.parts) {
    CHECK(part.status == SnapshotPartStatus::kBusy);
  }
}

TEST_CASE("the newest snapshots are kept, and those that somebody fetches") {
  FaultyFileSystem files;
  const auto log = log_of(60);
  std::vector<wire::SnapshotManifest> made;
  for (const std::uint64_t index : {10, 20, 30, 40, 50}) {
    made.push_back(make_snapshot(files, kSnapshotRoot, log, index));
  }
  ManualExecutor jobs;
  SnapshotStore store(files, jobs, kSnapshotRoot, FoundSnapshots{made, {}, {}}, 2,
                      [](const wire::Error& error) { FAIL(error.message); });
  const auto indices = [&] {
    std::vector<std::uint64_t> result;
    for (const SnapshotPtr& snapshot : store.list()) result.push_back(snapshot->index.value());
    return result;
  };
  const auto on_disk = [&] {
    jobs.run_all();
    return must(find_snapshots(files, kSnapshotRoot, test_options().cluster)).snapshots.size();
  };
  auto pin = store.pin(store.list().front());
  auto second = store.pin(store.list().front());
  const SnapshotPtr newest = store.add(make_snapshot(files, kSnapshotRoot, log, 60));
  CHECK(store.newest() == newest);
  CHECK(indices() == std::vector<std::uint64_t>{10, 50, 60});
  CHECK(on_disk() == 3);
  pin = SnapshotStore::Pin();
  CHECK(indices() == std::vector<std::uint64_t>{10, 50, 60});
  second = SnapshotStore::Pin();
  CHECK(indices() == std::vector<std::uint64_t>{50, 60});
  CHECK(on_disk() == 2);
  CHECK(store.find({LogIndex(50), Term(1)}) != nullptr);
  CHECK(store.find({LogIndex(50), Term(2)}) == nullptr);
}

}  // namespace bib::engine
