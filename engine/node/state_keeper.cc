#include "engine/node/state_keeper.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "projections/apply/checkpoint.h"
#include "projections/apply/rows_owner.h"
#include "wire/base/check.h"
#include "wire/base/mutant.h"

namespace bib::engine {

namespace {

constexpr std::size_t kSweepRowsMax = 20'000;  // looked at in one job: some tens of milliseconds
constexpr std::size_t kSweepFoundMax = 1000;
// Beyond the number the next look is sooner, by this factor.
constexpr std::uint64_t kHurry = 16;

// The youngest records expire only by age: room for clients that come.
std::size_t rows_to_keep(std::size_t sessions_max) {
  return sessions_max - sessions_max / 8;
}

}  // namespace

StateKeeper::StateKeeper(NodeParts& parts)
    : parts_(parts),
      retained_(parts.config.limits.session_retention_ms),
      kept_(parts.world.pace.keep_ms),
      sweep_(std::make_shared<projections::SessionSweep>()) {}

StateKeeper::~StateKeeper() = default;

void StateKeeper::log_snapshot_event(const std::string& text, bool is_problem) {
  if (is_problem) {
    parts_.world.logger.warn("snapshot", "{}", text);
  } else {
    parts_.world.logger.info("snapshot", "{}", text);
  }
}

void StateKeeper::on_state_damage(const wire::Error& error) {
  parts_.state_damage = error;
  parts_.give_way(error);
}

void StateKeeper::step() {
  expire_next();
  const std::size_t enough = std::min<std::size_t>(parts_.world.pace.carry_bytes,
                                                   parts_.config.limits.unwritten_bytes / 2);
  if (parts_.projector->sizes().unwritten_bytes() > enough) carry(true);
  if (parts_.world.store_thread.is_busy()) return;
  if (wanted_checkpoint_) begin_checkpoint();
  if (wanted_exchange_ && !parts_.queries->is_reading() && !expiry_under_way_) begin_exchange();
}

bool StateKeeper::takes_more_rows() const {
  return parts_.projector->sizes().unwritten_bytes() <= parts_.config.limits.unwritten_bytes;
}

void StateKeeper::on_housekeeping() {
  look_for_damage();
  if (parts_.world.turns.now_ms() >= last_carry_ms_ + parts_.world.pace.carry_ms) carry(false);
  flush_if_due();
  look_for_expired_sessions();
}

// The store's own threads meet it, too, and perhaps nobody asks for rows.
void StateKeeper::look_for_damage() {
  if (exchanging_) return;  // other rows come
  const auto damage = parts_.store->damage();
  if (damage) parts_.give_way(*damage);
}

bool StateKeeper::log_has_what_is_applied() const {
  return parts_.projector->applied_index() <= parts_.driver->raft().durable_index();
}

// ---- rows

void StateKeeper::carry(bool even_if_small) {
  if (parts_.world.store_thread.is_busy() || exchanging_) return;
  if (!log_has_what_is_applied() && !BIB_MUTANT(kCarriesBeyondLog)) return;
  const projections::LayerSizes sizes = parts_.projector->sizes();
  if (!even_if_small && sizes.active_rows == 0 && sizes.frozen_deltas == 0) return;
  auto deltas = parts_.projector->take_for_store();
  last_carry_ms_ = parts_.world.turns.now_ms();
  if (deltas.empty()) return;
  if (!unflushed_since_ms_) unflushed_since_ms_ = last_carry_ms_;
  auto stored = std::make_shared<wire::Status>();
  const wire::LogIndex end = deltas.back()->mark().applied_index;
  parts_.world.store_thread.run(
      [&store = *parts_.store, observer = parts_.world.observer, deltas = std::move(deltas),
       stored] {
        if (observer != nullptr) observer->on_store_write(deltas);
        *stored = projections::store_deltas(deltas, store);
      },
      [this, stored, end] {
        if (finished_) return;
        if (!*stored) return parts_.fail(stored->error());
        parts_.projector->written(end);
      });
}

void StateKeeper::flush_if_due() {
  if (!unflushed_since_ms_ || exchanging_ || parts_.world.store_thread.is_busy()) return;
  if (parts_.world.turns.now_ms() < *unflushed_since_ms_ + parts_.world.pace.flush_ms) return;
  unflushed_since_ms_.reset();
  auto flushed = std::make_shared<wire::Status>();
  parts_.world.store_thread.run([&store = *parts_.store, flushed] { *flushed = store.flush(); },
                                [this, flushed] {
                                  if (finished_ || *flushed) return;
                                  parts_.fail(flushed->error());
                                });
}

// ---- records of requests

void StateKeeper::look_for_expired_sessions() {
  const std::uint64_t now_ms = BIB_MUTANT(kAgesRecordsByWallClock)
                                   ? static_cast<std::uint64_t>(parts_.world.clock.now_us()) / 1000
                                   : parts_.world.turns.now_ms();
  retained_.note(now_ms, parts_.projector->applied_index());
  kept_.note(now_ms, parts_.projector->applied_index());
  if (expiry_under_way_ || exchanging_ || !parts_.driver->is_ready_to_decide()) return;
  if (!expiring_.is_empty()) return;
  if (parts_.world.turns.now_ms() < last_expiry_ms_ + expiry_pause_ms()) return;
  last_expiry_ms_ = parts_.world.turns.now_ms();
  auto frozen = parts_.projector->view();
  if (!frozen) return parts_.fail(frozen.error());
  auto view = std::make_shared<projections::QueryView>(std::move(*frozen));
  expiry_under_way_ = true;
  projections::SessionLimits limits;
  limits.old_to = retained_.old_to(now_ms);
  limits.spare_to = kept_.old_to(now_ms);
  limits.rows_max = rows_to_keep(parts_.config.limits.sessions_max);
  limits.found_max = kSweepFoundMax;
  limits.look_max = kSweepRowsMax;
  auto found = std::make_shared<wire::Result<projections::ExpiredSessions>>();
  parts_.world.pool.run(
      [view = std::move(view), sweep = sweep_, limits, found]() mutable {
        *found = sweep->look(view->state(), limits);
        view.reset();  // before anybody is told: the store may be closed then
      },
      lifetime_.guarded([found](StateKeeper& self) { self.on_expired(std::move(*found)); }));
}

void StateKeeper::on_expired(wire::Result<projections::ExpiredSessions> found) {
  expiry_under_way_ = false;
  if (finished_) return;
  if (!found) return parts_.give_way(found.error());
  sweep_goes_on_ = found->more;
  too_many_ = found->too_many;
  expiring_ = *std::move(found);
  expire_next();
}

std::uint64_t StateKeeper::expiry_pause_ms() const {
  if (sweep_goes_on_) return 0;
  return parts_.world.pace.expiry_ms / (too_many_ ? kHurry : 1);
}

// A few in each turn, so that no turn of any node takes long over them.
void StateKeeper::expire_next() {
  if (finished_) return;
  if (expiring_.is_empty()) {
    if (sweep_goes_on_) look_for_expired_sessions();
    return;
  }
  if (exchanging_ || !parts_.driver->is_ready_to_decide()) {
    expiring_ = {};
    return;
  }
  parts_.commands->expire_sessions(expiring_.take(parts_.world.pace.expire_max));
  parts_.world.turns.continue_soon();
}

// ---- snapshots

void StateKeeper::checkpoint(const std::string& directory,
                             std::function<void(wire::Result<projections::StateMark>)> done) {
  BIB_CHECK(!wanted_checkpoint_ && !wanted_exchange_ && !exchanging_);
  wanted_checkpoint_ = WantedCheckpoint{directory, std::move(done)};
  parts_.world.turns.continue_soon();
}

void StateKeeper::exchange_state(std::function<wire::Status()> swap,
                                 std::function<void(wire::Status)> done) {
  BIB_CHECK(!wanted_exchange_ && !exchanging_);
  wanted_exchange_ = WantedExchange{std::move(swap), std::move(done)};
  exchanging_ = true;
  parts_.queries->suspend();
  parts_.world.turns.continue_soon();
}

void StateKeeper::begin_checkpoint() {
  if (!log_has_what_is_applied() && !BIB_MUTANT(kCheckpointsBeyondLog)) return;
  WantedCheckpoint wanted = *std::exchange(wanted_checkpoint_, std::nullopt);
  auto deltas = parts_.projector->take_for_store();
  const bool has_deltas = !deltas.empty();
  auto mark = std::make_shared<wire::Result<projections::StateMark>>();
  parts_.world.store_thread.run(
      [&store = *parts_.store, deltas = std::move(deltas), directory = wanted.directory,
       mark]() mutable {
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
        if (!*mark) return parts_.fail(mark->error());
        if (has_deltas) parts_.projector->written((*mark)->applied_index);
        done(std::move(*mark));
      });
}

void StateKeeper::begin_exchange() {
  WantedExchange wanted = *std::exchange(wanted_exchange_, std::nullopt);
  auto outcome = std::make_shared<wire::Status>();
  auto opened = std::make_shared<std::unique_ptr<projections::Projector>>();
  parts_.world.store_thread.run(
      [&store = *parts_.store, swap = std::move(wanted.swap), options = parts_.projector_options,
       owner = wire::RowsOwner{parts_.cluster, parts_.log_id}, outcome, opened] {
        const auto exchange = [&]() -> wire::Status {
          store.close();
          BIB_TRY_VOID(swap());
          BIB_TRY_VOID(store.reopen());
          // Before the installation may end: after it the next start knows of no snapshot.
          BIB_TRY_VOID(projections::adopt_rows(store, owner));
          BIB_TRY(*opened, projections::Projector::open(store, options));
          return {};
        };
        *outcome = exchange();
      },
      [this, outcome, opened, done = std::move(wanted.done)] {
        if (finished_) return;
        if (*outcome) {
          if (NodeObserver* observer = parts_.world.observer) {
            observer->on_installed(parts_.projector->mark(), (*opened)->mark());
          }
          parts_.projector->replace_with(std::move(*opened));
          parts_.rows->on_rows_exchanged();
          exchanging_ = false;
          parts_.queries->resume();
          parts_.feed->on_applied(parts_.projector->applied_index());
        }
        done(*outcome);
      });
}

// ---- the end

wire::Status StateKeeper::finish(bool log_is_durable) {
  finished_ = true;
  parts_.world.store_thread.stop();
  // Its files were being exchanged: the next start completes that.
  if (!parts_.store->is_open()) return {};
  if ((log_is_durable || BIB_MUTANT(kStopStoresAhead)) && !exchanging_) {
    const auto deltas = parts_.projector->take_for_store();
    if (!deltas.empty()) {
      if (NodeObserver* observer = parts_.world.observer) observer->on_store_write(deltas);
      BIB_TRY_VOID(projections::store_deltas(deltas, *parts_.store));
    }
  }
  return parts_.store->flush();
}

}  // namespace bib::engine
