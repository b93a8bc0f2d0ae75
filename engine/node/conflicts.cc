#include "engine/node/conflicts.h"

#include <utility>

#include "engine/node/node_parts.h"
#include "wire/log/data_directory.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::PeerMessage;

namespace {

constexpr std::uint32_t kLinesMax = 6;  // of each kind in a period

}  // namespace

Conflicts::Conflicts(NodeParts& parts)
    : parts_(parts),
      own_lines_(parts.world.logger, "raft", "lines about contradictions", kLinesMax),
      others_lines_(parts.world.logger, "peer", "reports of conflicts", kLinesMax) {}

void Conflicts::on_conflict(const consensus::CommittedConflict& conflict) {
  const std::uint64_t first = conflict.index.value();
  const wire::LogIndex commit = parts_.driver->raft().commit();
  const std::string what = fmt::format(
      "entry {} is committed on this node, with term {}, but the leader {} has another entry "
      "there, "
      "of term {}: the nodes that elected it have lost entries that were acknowledged (their disks "
      "were lost, or put back to an earlier state)",
      first, conflict.own.value(), to_string(conflict.leader), conflict.leaders.value());
  refuses_reads_ = true;
  const std::string why = fmt::format(
      "this node answers no reads: entry {}, which it knows to be committed, is not in the "
      "leader's "
      "log; ask another node",
      first);
  parts_.queries->refuse_all(Queries::Distrust::kLog, why);
  parts_.feed->end_all({ErrorCode::kNotLeader, why},
                       parts_.driver->raft().membership().find(conflict.leader));
  report(conflict);
  if (!conflict.lasts) {
    return own_lines_.error(parts_.world.turns.now_ms(),
                            "{}. This node takes no part and answers no reads; if the leader "
                            "stands by it, it ends",
                            what);
  }
  parts_.world.peers.flush();
  parts_.fail(
      {ErrorCode::kConflict,
       fmt::format("{}. This node has what was lost: entries {} to {}. It ends, and has changed "
                   "nothing in {}. Starting it again changes nothing either. Keep a copy of that "
                   "directory; `raft-inspect log {} {}..{}` shows the entries, so that what is "
                   "missing can be written again. Then, to bring this node back, {}",
                   what, first, commit.value(), parts_.config.data_dir, parts_.config.data_dir,
                   first, commit.value(), wire::kHowToReplace)});
}

void Conflicts::on_housekeeping() {
  own_lines_.look(parts_.world.turns.now_ms());
  others_lines_.look(parts_.world.turns.now_ms());
}

void Conflicts::on_turn() {
  if (!refuses_reads_ || parts_.driver->raft().is_contradicted()) return;
  refuses_reads_ = false;
  parts_.queries->refuse_all(Queries::Distrust::kLog, std::nullopt);
  own_lines_.info(parts_.world.turns.now_ms(),
                  "no leader contradicts what is committed here any more: reads go on");
}

// May be lost; it is sent when the conflict is found and again at the end.
void Conflicts::report(const consensus::CommittedConflict& conflict) {
  const consensus::Raft& raft = parts_.driver->raft();
  for (const wire::Member& member : raft.membership().members) {
    if (member.id == raft.self()) continue;
    PeerMessage message;
    message.kind = wire::MessageKind::kConflict;
    message.from = raft.self();
    message.to = member.id;
    message.term = raft.term();
    message.log_index = conflict.index;
    message.log_term = conflict.own;
    message.hint_term = conflict.leaders;
    message.commit = raft.commit();
    parts_.world.peers.send(message);
  }
}

// ---- others

void Conflicts::on_report(const PeerMessage& report) {
  if (parts_.driver->raft().membership().find(report.from) == nullptr) return;
  std::string text = fmt::format(
      "it has entries {} to {} that were acknowledged and that this cluster has lost: it knows "
      "entry "
      "{} to be committed with term {}, and the leader has one of term {} there",
      report.log_index.value(), report.commit.value(), report.log_index.value(),
      report.log_term.value(), report.hint_term.value());
  std::string& known = reports_[report.from];
  if (known == text) return;
  known = std::move(text);
  others_lines_.error(parts_.world.turns.now_ms(),
                      "node {} reports that {}. It ends, to keep them: on that node, its log and "
                      "`raft-inspect log` say more",
                      to_string(report.from), known);
}

void Conflicts::on_membership(const wire::Membership& membership) {
  std::erase_if(reports_, [&](const auto& one) { return membership.find(one.first) == nullptr; });
}

std::string_view Conflicts::report_of(wire::NodeId member) const {
  const auto found = reports_.find(member);
  return found == reports_.end() ? std::string_view() : found->second;
}

}  // namespace bib::engine
