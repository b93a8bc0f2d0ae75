#include "engine/node/rows_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/node/node_parts.h"
#include "wire/base/checksum.h"

namespace bib::engine {

using consensus::Role;
using wire::LogIndex;
using wire::NodeId;

namespace {

constexpr bool has_digest(projections::Family family) {
  return family != projections::Family::kMeta;
}

// Rows of other projections, or of other versions of them, have other digests.
std::uint64_t digest_form() {
  std::string text;
  for (const projections::Family family : projections::kFamilies) {
    if (!has_digest(family)) continue;
    text += fmt::format("{} {}\n", projections::family_name(family),
                        projections::projection_version(family));
  }
  return wire::checksum64(wire::as_bytes(text));
}

// Half of each sum is enough to tell rows apart, and half as much in each heartbeat.
DigestComparison::Values values_of(const projections::StateMark& mark) {
  DigestComparison::Values values;
  values.reserve(projections::kFamilyCount);
  for (const projections::Family family : projections::kFamilies) {
    if (has_digest(family)) values.push_back(mark.digests[family_index(family)].low);
  }
  return values;
}

}  // namespace

RowsGuard::RowsGuard(NodeParts& parts) : parts_(parts), comparison_(digest_form()) {}

RowsVerdict RowsGuard::of(NodeId member) const {
  const consensus::Raft& raft = parts_.driver->raft();
  if (member == raft.self()) return comparison_.verdict();
  return raft.role() == Role::kLeader ? comparison_.of(member) : RowsVerdict::kUnknown;
}

std::optional<NodeId> RowsGuard::successor() const {
  const std::vector<NodeId>& voters = parts_.driver->raft().membership().voters;
  std::optional<consensus::PeerStatus> best;
  for (const consensus::PeerStatus& peer : parts_.driver->raft().peers()) {
    const bool may_lead = std::binary_search(voters.begin(), voters.end(), peer.id);
    if (!may_lead || !peer.reachable || of(peer.id) == RowsVerdict::kDifferent) continue;
    if (!best || peer.match > best->match) best = peer;
  }
  if (!best) return std::nullopt;
  return best->id;
}

// ---- comparing

void RowsGuard::note(LogIndex index) {
  comparison_.note(index, values_of(parts_.projector->mark()), parts_.driver->raft());
}

void RowsGuard::stamp(wire::PeerMessage& message) {
  comparison_.stamp(message, parts_.world.clock.monotonic_us(), parts_.driver->raft());
  on_applied(parts_.projector->applied_index());
}

void RowsGuard::received(const DigestComparison::Heard& heard) {
  const LogIndex applied = parts_.projector->applied_index();
  comparison_.received(heard, applied, parts_.driver->raft());
  on_applied(applied);
  step();  // not even a read that came in the same turn is answered
}

// ---- acting

void RowsGuard::step() {
  const RowsVerdict verdict = comparison_.verdict();
  if (verdict == told_) return;
  const RowsVerdict before = std::exchange(told_, verdict);
  if (before == RowsVerdict::kDifferent) cease_to_differ();
  if (verdict == RowsVerdict::kDifferent) begin_to_differ();
  if (verdict == RowsVerdict::kDisputed) tell_dispute();
  if (before == RowsVerdict::kDisputed && verdict == RowsVerdict::kEqual) {
    parts_.world.logger.info("rows", "a majority has the same rows again, after entry {}",
                             comparison_.compared_at().value());
  }
}

std::string RowsGuard::differing_names() const {
  std::vector<std::string_view> names;
  for (const projections::Family family : projections::kFamilies) {
    if (has_digest(family)) names.push_back(family_name(family));
  }
  std::string text;
  for (const std::size_t place : comparison_.differing()) {
    text += fmt::format("{}'{}'", text.empty() ? "" : ", ", names[place]);
  }
  return text;
}

void RowsGuard::begin_to_differ() {
  parts_.world.logger.error(
      "rows",
      "the rows of this node ({}) differ from those of a majority of the voters after entry {}, in "
      "{}. It answers no reads, decides nothing and does not lead; it goes on following the log "
      "and "
      "voting. Which nodes differ says `bib cluster status --digests`. What is wrong here says, "
      "once this node is stopped, `raft-inspect verify {} --replay`",
      to_string(parts_.config.node_id), comparison_.compared_at().value(), differing_names(),
      parts_.config.data_dir);
  parts_.driver->stand_back(true);
  const std::string why = fmt::format(
      "the rows of node {} differ from those of a majority after entry {}: ask another node, and "
      "see `bib cluster status --digests`",
      to_string(parts_.config.node_id), comparison_.compared_at().value());
  parts_.queries->refuse_all(Queries::Distrust::kRows, why);
  parts_.snapshots->withhold(wire::Error{wire::ErrorCode::kRefused, why});
  hand_over_told_ = false;
  if (parts_.driver->raft().role() != Role::kLeader) return;
  // Whoever waits asks the next leader; what was decided against these rows and has not left is
  // forgotten.
  parts_.driver->decide_only_after_log();
  parts_.commands->on_leadership_lost();
}

void RowsGuard::cease_to_differ() {
  if (comparison_.verdict() == RowsVerdict::kEqual) {
    parts_.world.logger.info("rows",
                             "the rows of this node are those of a majority again, after "
                             "entry {}: it answers reads",
                             comparison_.compared_at().value());
  } else {
    parts_.world.logger.info("rows",
                             "the rows of this node were exchanged: it answers reads, and "
                             "compares them again");
  }
  parts_.driver->stand_back(false);
  parts_.queries->refuse_all(Queries::Distrust::kRows, std::nullopt);
  parts_.snapshots->withhold(std::nullopt);
}

void RowsGuard::tell_dispute() {
  parts_.world.logger.error(
      "rows",
      "no majority of the voters has the same rows after entry {}: which node is right cannot be "
      "told from their digests. All go on. Which differ says `bib cluster status --digests`; which "
      "of them are what the log says, node by node while it is stopped, `raft-inspect verify DIR "
      "--replay`",
      comparison_.compared_at().value());
}

// A leader does not go on with rows that differ, as long as anybody could take over.
void RowsGuard::on_tick() {
  const consensus::Raft& raft = parts_.driver->raft();
  if (!differs() || raft.role() != Role::kLeader || raft.is_transferring()) return;
  const auto target = successor();
  if (!target || !parts_.driver->transfer_leadership(target)) return;
  if (std::exchange(hand_over_told_, true)) return;
  parts_.world.logger.warn("rows", "handing the leadership to {}", to_string(*target));
}

}  // namespace bib::engine
