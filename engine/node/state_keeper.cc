#include "engine/node/state_keeper.h"

#include <memory>
#include <utility>
#include <vector>

#include "projections/apply/checkpoint.h"
#include "projections/rules/sessions.h"
#include "wire/base/check.h"
#include "wire/base/mutant.h"

namespace bib::engine {

StateKeeper::StateKeeper(NodeParts& parts) : parts_(parts) {}

StateKeeper::~StateKeeper() = default;

void StateKeeper::log_snapshot_event(const std::string& text, bool is_problem) {
  if (is_problem) {
    parts_.world.logger.warn("snapshot", "{}", text);
  } else {
    parts_.world.logger.info("snapshot", "{}", text);
  }
}

void StateKeeper::step() {
  const projections::LayerSizes sizes = parts_.projector->sizes();
  if (sizes.active_bytes + sizes.frozen_bytes > parts_.world.pace.carry_bytes) carry(true);
  if (parts_.world.store_thread.is_busy()) return;
  if (wanted_checkpoint_) begin_checkpoint();
  if (wanted_exchange_ && !parts_.queries->is_reading() && !expiry_under_way_) begin_exchange();
}

void StateKeeper::on_housekeeping() {
  if (parts_.world.turns.now_ms() >= last_carry_ms_ + parts_.world.pace.carry_ms) carry(false);
  look_for_expired_sessions();
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

void StateKeeper::look_for_expired_sessions() {
  const std::uint64_t now_ms = parts_.world.turns.now_ms();
  if (expiry_under_way_ || exchanging_ || !parts_.driver->is_ready_to_decide()) return;
  if (now_ms < last_expiry_ms_ + parts_.world.pace.expiry_ms) return;
  last_expiry_ms_ = now_ms;
  auto frozen = parts_.projector->view();
  if (!frozen) return parts_.fail(frozen.error());
  auto view = std::make_shared<projections::QueryView>(std::move(*frozen));
  expiry_under_way_ = true;
  const wire::NodeConfig::Limits& configured = parts_.config.limits;
  projections::SessionLimits limits;
  limits.older_than_us = parts_.world.clock.now_us() -
                         static_cast<std::int64_t>(configured.session_retention_ms) * 1000;
  limits.records_max = configured.sessions_max;
  limits.result_max = parts_.world.pace.expire_max;
  auto found = std::make_shared<wire::Result<projections::ExpiredSessions>>();
  parts_.world.pool.run(
      [view = std::move(view), limits, found]() mutable {
        *found = projections::expired_sessions(view->state(), limits);
        view.reset();  // before anybody is told: the store may be closed then
      },
      lifetime_.guarded([found](StateKeeper& self) { self.on_expired(*found); }));
}

void StateKeeper::on_expired(const wire::Result<projections::ExpiredSessions>& found) {
  expiry_under_way_ = false;
  if (finished_) return;
  if (!found) return parts_.fail(found.error());
  if (found->records.empty()) return;
  if (found->more) last_expiry_ms_ = 0;  // the rest soon
  parts_.commands->expire_sessions(*found);
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
       outcome, opened] {
        const auto exchange = [&]() -> wire::Status {
          store.close();
          BIB_TRY_VOID(swap());
          BIB_TRY_VOID(store.reopen());
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
