// What follows from the committed log: rows, snapshots, and each request once.
#include <string>
#include <utility>
#include <variant>

#include "checkers.h"
#include "projections/rules/sessions.h"
#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using wire::LogIndex;

namespace {

std::uint64_t digest_of(const projections::StateMark& mark) {
  std::uint64_t digest = mark.applied_term.value();
  for (const projections::Digest& one : mark.digests) {
    digest = (digest ^ one.low) * 0x9e3779b97f4a7c15ULL;
    digest = (digest ^ one.high ^ one.rows << 17) * 0xd1342543de82ef95ULL;
    digest ^= digest >> 31;
  }
  return digest;
}

}  // namespace

// ---- snapshots

void Oracle::check_rows_at(const SimNode& node, const projections::StateMark& mark) const {
  if (mark.applied_index == LogIndex() || changed_rows_ == node.index()) return;
  if (mark.applied_index > applied() ||
      digests_[mark.applied_index.value() - 1] != digest_of(mark)) {
    violated("snapshot", "{} has rows at entry {} that are not those of the committed log",
             node.name(), mark.applied_index.value());
  }
}

void Oracle::check_snapshot(const SimNode& node, const wire::SnapshotManifest& snapshot) const {
  projections::StateMark mark;
  mark.applied_index = snapshot.index;
  mark.applied_term = snapshot.term;
  for (const wire::SnapshotProjection& projection : snapshot.projections) {
    for (const projections::Family family : projections::kFamilies) {
      if (projections::family_name(family) != projection.name) continue;
      mark.digests[projections::family_index(family)] = {
          .low = projection.digest_low, .high = projection.digest_high, .rows = projection.rows};
    }
  }
  check_rows_at(node, mark);
  auto at = memberships_.rbegin();
  while (at != memberships_.rend() && at->index > snapshot.index) ++at;
  if (at == memberships_.rend() || at->index != snapshot.membership_index ||
      at->membership != snapshot.membership) {
    violated("snapshot", "{} has a snapshot at {} with another membership than the log has there",
             node.name(), snapshot.index.value());
  }
}

void Oracle::on_installed(const SimNode& node, const projections::StateMark& before,
                          const projections::StateMark& after) {
  trace_.note(node.index(), before.applied_index.value(), after.applied_index.value());
  check_rows_at(node, after);
  if (after.applied_index < before.applied_index) {
    violated("snapshot", "{} goes back from entry {} to a snapshot at {}", node.name(),
             before.applied_index.value(), after.applied_index.value());
  }
  ++installations_;
}

void Oracle::on_log_reset(const SimNode& node, wire::LogPosition position) const {
  const engine::LogLocations* log = node.durable_log();
  if (log == nullptr || log->term_at(position.index) != position.term) return;
  violated("snapshot", "{} forgets its log to {} for a snapshot at {}, which the log has",
           node.name(), log->last().index.value(), position.index.value());
}

// ---- rows that differ

void Oracle::on_rows_changed(const SimNode& node) {
  changed_rows_ = node.index();
}

bool Oracle::has_other_rows(const SimNode& node) const {
  if (!node.is_running()) return false;
  const projections::StateMark& mark = *node.mark();
  if (mark.applied_index == LogIndex() || mark.applied_index > applied()) return false;
  const auto& known = digests_[mark.applied_index.value() - 1];
  return known && *known != digest_of(mark);
}

void Oracle::check_verdict(const SimNode& node) const {
  if (!node.rows_differ() || changed_rows_ == node.index()) return;
  violated("rows", "{} takes its rows for different, and they are those of the log", node.name());
}

// ---- the committed log

void Oracle::on_applied(SimNode& node, const wire::Bytes& entry,
                        const projections::StateMark& mark) {
  const LogIndex index = mark.applied_index;
  const std::uint64_t digest = digest_of(mark);
  trace_.note(node.index(), index.value(), digest);
  const bool has_true_rows = changed_rows_ != node.index();
  if (index <= applied()) {
    std::optional<std::uint64_t>& known = digests_[index.value() - 1];
    if (!known && has_true_rows) known = digest;
    if (known == digest || !has_true_rows) return;
    violated("digest", "{} differs from the others after entry {}", node.name(), index.value());
  }
  if (index != applied() + 1) {
    violated("digest", "{} applies entry {}, known is up to {}", node.name(), index.value(),
             applied().value());
  }
  digests_.push_back(has_true_rows ? std::optional(digest) : std::nullopt);
  take_committed_entry(entry);
}

void Oracle::on_stored(const SimNode& node, const projections::StateMark& mark) const {
  const LogIndex index = mark.applied_index;
  if (index == LogIndex() || index > applied() || changed_rows_ == node.index()) return;
  if (digests_[index.value() - 1] == digest_of(mark)) return;
  violated("durability", "{} brings rows to its store that are not those after entry {}",
           node.name(), index.value());
}

void Oracle::take_committed_entry(const wire::Bytes& entry) {
  const auto reader = wire::EntryReader::open(entry, true);
  if (!reader) violated("digest", "a committed entry cannot be read: {}", reader.error().message);
  const auto known = known_.find(place(reader->header().index, reader->header().term));
  if (known == known_.end() || known->second.checksum != reader->header().checksum) {
    violated("commit", "entry {} is applied and was never written", reader->header().index.value());
  }
  if (known->second.membership) {
    memberships_.push_back({reader->header().index, *known->second.membership});
  }
  if (reader->header().kind != wire::EntryKind::kEvents) return;
  for (std::size_t i = 0; i < reader->event_count(); ++i) {
    const auto event = wire::read_event(reader->event(i));
    if (!event) violated("digest", "a committed event is invalid: {}", event.error().message);
    ++events_;
    positions_.push_back({reader->header().index, static_cast<std::uint32_t>(i)});
    take_event(*event, {reader->header().index, static_cast<std::uint32_t>(i)});
  }
}

void Oracle::take_event(const wire::Event& event, wire::Position position) {
  std::optional<wire::Revision> before;  // of a key
  judges::Complaint wrong;
  const auto add = [&](std::string_view name, std::optional<std::string> value) {
    const std::string key(name);
    before = levels_.revision_at(key, position.index);
    wrong = levels_.add(key, {position.index, std::move(value), event.revision});
  };
  if (const auto* set = std::get_if<wire::ConfigSet>(&event.body)) {
    add(set->key, std::string(set->value));
  } else if (const auto* unset = std::get_if<wire::ConfigUnset>(&event.body)) {
    add(unset->key, std::nullopt);
  }
  if (!wrong && event.origin && !projections::is_mark(event)) {
    wrong = requests_.carried_out(*event.origin, position, event.revision, before);
  }
  if (wrong) violated("once", "{}", *wrong);
}

}  // namespace bib::sim
