// What is asked of a simulated node: commands and reads of its clients, and of the people who run
// it.
#include "sim_node.h"

#include <utility>

#include "projections/rules/sessions.h"
#include "sim_process.h"
#include "violation.h"
#include "wire/model/row.h"

namespace bib::sim {

using wire::ErrorCode;

void SimNode::on_command(engine::Asker asker, wire::ByteView body) {
  const auto command = wire::decode_command(body);
  if (!command) violated("wire", "a command cannot be read: {}", command.error().message);
  process_->commands->on_command(asker, *command);
  input();
}

// As Node::look_for_expired_sessions(). Not while the cluster heals: then requests are
// repeated for ever.
void SimNode::look_for_expired_sessions() {
  Process& process = *process_;
  const Time retention = world_.plan.work.session_retention;
  if (retention == 0 || !world_.faults_are_on || process.expired || process.exchanging) return;
  if (!process.driver->is_ready_to_decide() || world_.queue.now() < process.next_expiry) return;
  process.next_expiry = world_.queue.now() + world_.random.below(2 * kSecond);
  const auto view = process.projector->view();
  if (!view) violated("once", "{}: {}", name_, view.error().message);
  projections::SessionLimits limits;
  limits.older_than_us = now_us() - static_cast<std::int64_t>(retention);
  limits.records_max = SIZE_MAX;
  limits.result_max = world_.random.between(1, 20);
  auto found = projections::expired_sessions(view->state(), limits);
  if (!found) violated("once", "{}: {}", name_, found.error().message);
  if (found->records.empty()) return;
  process.expired = *std::move(found);
  schedule(world_.random.between(100, 50 * kMillisecond), kExpire);
}

void SimNode::expire_sessions() {
  const projections::ExpiredSessions expired = *std::exchange(process_->expired, std::nullopt);
  if (expired.more) process_->next_expiry = 0;
  world_.trace.line(name_, "lets {} records of requests expire", expired.records.size());
  process_->commands->expire_sessions(expired);
  input();
}

void SimNode::answer(engine::Asker asker, wire::FrameKind kind, wire::ByteView body) {
  maybe_die_here(world_.plan.faults.die_in_turn_ppm);
  if (!is_dying()) world_.clients.on_answer(asker, kind, body);
}

void SimNode::on_read(engine::Asker asker, const std::string& key, wire::Consistency consistency) {
  if (consistency == wire::Consistency::kLinearizable) {
    const std::uint64_t token = process_->next_read_token++;
    process_->waiting_reads[token] = {asker, key};
    process_->driver->request_read(token);
  } else if (consistency == wire::Consistency::kLeader &&
             process_->driver->raft().role() != consensus::Role::kLeader) {
    world_.clients.on_read(asker, {.refused = true, .seen = {}});
  } else {
    if (const auto age = process_->driver->age_us()) {
      world_.oracle.on_age(*this, world_.queue.now(), *age, process_->projector->applied_index());
    }
    run_read(asker, key);
  }
  input();
}

void SimNode::on_read_ready(std::uint64_t token) {
  if (token > engine::Commands::kReadTokens) return process_->commands->on_read_ready(token);
  const auto found = process_->waiting_reads.find(token);
  if (found == process_->waiting_reads.end() || is_dying()) return;
  const auto [asker, key] = std::move(found->second);
  process_->waiting_reads.erase(found);
  run_read(asker, key);
}

void SimNode::on_read_refused(std::uint64_t token, consensus::ReadRefusal reason) {
  if (token > engine::Commands::kReadTokens) {
    return process_->commands->on_read_refused(token, reason);
  }
  const auto found = process_->waiting_reads.find(token);
  if (found == process_->waiting_reads.end() || is_dying()) return;
  const engine::Asker asker = found->second.first;
  process_->waiting_reads.erase(found);
  world_.clients.on_read(asker, {.refused = true, .seen = {}});
}

void SimNode::run_read(engine::Asker asker, const std::string& key) {
  if (process_->exchanging) {  // as Queries does
    return world_.clients.on_read(asker, {.refused = true, .seen = {}});
  }
  wire::Query query;
  query.table = wire::QueryTable::kConfig;
  query.key = key;
  const auto result = process_->projector->query(query);
  Clients::Read read;
  read.seen.key = key;
  if (result) {
    read.seen.applied = result->reply().applied_index;
    const auto row = wire::read_row_as<wire::ConfigRow>(result->reply().rows.at(0).value);
    if (!row) violated("digest", "{}: a row cannot be read: {}", name_, row.error().message);
    read.seen.value = std::string(row->value);
  } else {
    if (result.error().code != ErrorCode::kNotFound) {
      violated("digest", "{}: a query fails: {}", name_, result.error().message);
    }
    read.seen.applied = process_->projector->applied_index();
  }
  world_.clients.on_read(asker, std::move(read));
}

wire::Status SimNode::change_membership(std::span<const consensus::MembershipChange> changes) {
  process_->commands->propose_open_batch();
  const wire::Status status = process_->driver->change_membership(changes);
  if (status) world_.oracle.on_change_asked(*this, raft()->last_index());
  input();
  return status;
}

wire::Status SimNode::transfer(std::optional<wire::NodeId> target) {
  process_->commands->propose_open_batch();
  const auto taken = process_->driver->transfer_leadership(target);
  if (taken) world_.oracle.on_transfer_asked(*this);
  input();
  if (!taken) return tl::unexpected(taken.error());
  return {};
}

}  // namespace bib::sim
