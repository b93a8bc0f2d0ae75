// Node as the owner of the state that snapshots are made of and exchanged for.
#include <utility>

#include "engine/node/node.h"
#include "projections/apply/checkpoint.h"
#include "wire/base/check.h"

namespace bib::engine {
namespace {

class Pool final : public Executor {
 public:
  explicit Pool(EventLoop& loop) : loop_(loop) {}
  void run(std::function<void()> work, std::function<void()> done) override {
    run_on_pool(loop_, std::move(work), std::move(done));
  }

 private:
  EventLoop& loop_;
};

}  // namespace

void Node::make_snapshots(std::vector<wire::SnapshotManifest> found) {
  pool_ = std::make_unique<Pool>(world_.loop);
  SnapshotsOptions options;
  options.data_directory = config_.data_dir;
  options.cluster = cluster_;
  options.node = config_.node_id;
  options.threshold = config_.snapshot.threshold;
  options.interval_ticks = std::max<std::uint64_t>(config_.snapshot.interval_ms / kTickMs, 1);
  options.trailing_logs = config_.raft.trailing_logs;
  options.retain_count = config_.snapshot.retain_count;
  snapshots_ = std::make_unique<Snapshots>(std::move(options), std::move(found), world_.files,
                                           *pool_, *this, *this, world_.clock);
}

void Node::on_snapshot_news(const std::string& text, bool is_problem) {
  if (is_problem) {
    world_.logger.warn("snapshot", "{}", text);
  } else {
    world_.logger.info("snapshot", "{}", text);
  }
}

// ---- what clients ask

void Node::on_snapshots(ClientServer::Asker asker, const wire::Snapshots& request) {
  if (!request.create) return list_snapshots(asker, false);
  const SnapshotPtr before = snapshots_->store().newest();
  snapshots_->make([this, asker, before](const wire::Result<SnapshotPtr>& made) {
    if (made) return list_snapshots(asker, *made != before);
    wire::ErrorReply reply;
    reply.code = made.error().code;
    reply.message = made.error().message;
    wire::ClientEncoder encoder;
    clients_->answer(asker, wire::FrameKind::kErrorReply, encoder.encode(reply));
  });
}

void Node::list_snapshots(ClientServer::Asker asker, bool made) {
  wire::SnapshotsReply reply;
  reply.node = config_.node_id;
  reply.first = driver_->raft().log().first_index();
  reply.made = made;
  for (const SnapshotPtr& snapshot : snapshots_->store().list()) {
    std::uint64_t rows = 0;
    for (const wire::SnapshotProjection& projection : snapshot->projections) {
      rows += projection.rows;
    }
    reply.snapshots.push_back({.index = snapshot->index,
                               .term = snapshot->term,
                               .created_us = snapshot->created_us,
                               .bytes = snapshot->bytes(),
                               .files = static_cast<std::uint32_t>(snapshot->files.size()),
                               .rows = rows,
                               .node = snapshot->node});
  }
  wire::ClientEncoder encoder;
  clients_->answer(asker, wire::FrameKind::kSnapshotsReply, encoder.encode(reply));
}

// ---- the state

void Node::checkpoint(const std::string& directory,
                      std::function<void(wire::Result<projections::StateMark>)> done) {
  BIB_CHECK(!wanted_checkpoint_ && !wanted_exchange_ && !exchanging_);
  wanted_checkpoint_ = WantedCheckpoint{directory, std::move(done)};
  world_.loop.continue_soon();
}

void Node::exchange_state(std::function<wire::Status()> swap,
                          std::function<void(wire::Status)> done) {
  BIB_CHECK(!wanted_exchange_ && !exchanging_);
  wanted_exchange_ = WantedExchange{std::move(swap), std::move(done)};
  exchanging_ = true;
  queries_->suspend();
  world_.loop.continue_soon();
}

// Once per turn: whether the store thread, and whoever reads the store, are done with it.
void Node::continue_snapshots() {
  if (finished_ || writer_->is_busy()) return;
  if (wanted_checkpoint_) begin_checkpoint();
  if (wanted_exchange_ && !queries_->is_reading() && !expiry_under_way_) begin_exchange();
}

// Rows may only go to RocksDB once the log has what they come from; a leader applies sooner.
void Node::begin_checkpoint() {
  if (projector_->applied_index() > driver_->raft().durable_index()) return;
  WantedCheckpoint wanted = *std::exchange(wanted_checkpoint_, std::nullopt);
  auto deltas = projector_->take_for_store();
  const bool has_deltas = !deltas.empty();
  auto mark = std::make_shared<wire::Result<projections::StateMark>>();
  writer_->run(
      [&store = *store_, deltas = std::move(deltas), directory = wanted.directory, mark]() mutable {
        if (!deltas.empty()) {
          if (const auto status = projections::store_deltas(deltas, store); !status) {
            *mark = tl::unexpected(status.error());
            return;
          }
        }
        *mark = projections::create_checkpoint(store, directory);
      },
      [this, mark, has_deltas, done = std::move(wanted.done)] {
        if (finished_) return;
        // A store that failed is not asked again.
        if (!*mark) return fail(mark->error());
        if (has_deltas) projector_->written((*mark)->applied_index);
        done(std::move(*mark));
      });
}

void Node::begin_exchange() {
  WantedExchange wanted = *std::exchange(wanted_exchange_, std::nullopt);
  auto outcome = std::make_shared<wire::Status>();
  auto opened = std::make_shared<std::unique_ptr<projections::Projector>>();
  writer_->run(
      [&store = *store_, swap = std::move(wanted.swap), outcome, opened] {
        const auto exchange = [&]() -> wire::Status {
          store.close();
          BIB_TRY_VOID(swap());
          BIB_TRY_VOID(store.reopen());
          BIB_TRY(*opened, projections::Projector::open(store));
          return {};
        };
        *outcome = exchange();
      },
      [this, outcome, opened, done = std::move(wanted.done)] {
        if (finished_) return;
        if (*outcome) {
          projector_->replace_with(std::move(*opened));
          exchanging_ = false;
          queries_->resume();
          feed_->on_applied(projector_->applied_index());
        }
        done(*outcome);
      });
}

}  // namespace bib::engine
