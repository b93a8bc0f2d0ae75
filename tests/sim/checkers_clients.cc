// What clients may see: answers fit the one log, in an order that respects real time.
#include <algorithm>
#include <utility>

#include "checkers.h"
#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using wire::LogIndex;

// ---- clients

void Oracle::complete(Time now, LogIndex index) {
  if (index <= completed_) return;
  completed_ = index;
  completions_.emplace_back(now, index);
}

// Clocks that run at different speeds differ by a factor of two at most (SimCluster::found).
void Oracle::on_age(const SimNode& node, Time now, Time age, LogIndex applied) const {
  const Time longest = (plan_.faults.clock_rates ? 2 * age : age) + kMillisecond;
  if (longest > now) return;
  const auto after = std::upper_bound(
      completions_.begin(), completions_.end(), now - longest,
      [](Time time, const std::pair<Time, LogIndex>& one) { return time < one.first; });
  if (after == completions_.begin()) return;
  const LogIndex completed = std::prev(after)->second;
  if (applied >= completed) return;
  violated("history",
           "{} says that its rows are {} ms old; entry {} was answered before, they "
           "are at {}",
           node.name(), age / kMillisecond, completed.value(), applied.value());
}

void Oracle::on_write_answered(Time now, LogIndex began, wire::ClientId client,
                               wire::RequestSequence sequence, const wire::CommandReply& reply) {
  const auto found = requests_.find(Request{client, sequence});
  if (found == requests_.end() || found->second.first != reply.position ||
      found->second.second != reply.revision) {
    violated("once", "request {} is answered with {} and revision {}, which is not its event",
             sequence.value(), to_string(reply.position), reply.revision.value());
  }
  if (reply.position.index <= began) {
    violated("history", "a write at entry {} began after entry {} was answered",
             reply.position.index.value(), began.value());
  }
  complete(now, reply.position.index);
}

const Oracle::Version* Oracle::version_at(const std::string& key, LogIndex index) const {
  const auto found = versions_.find(key);
  if (found == versions_.end()) return nullptr;
  for (auto version = found->second.rbegin(); version != found->second.rend(); ++version) {
    if (version->index <= index) return &*version;
  }
  return nullptr;
}

wire::LogIndex Oracle::floor_of(const SimNode& node, wire::Consistency level) const {
  switch (level) {
    case wire::Consistency::kLinearizable:
      return completed_;
    case wire::Consistency::kLeader:
      return acknowledged_[node.index()];
    case wire::Consistency::kStale:
      break;
  }
  const Shown& shown = shown_[node.index()];
  return shown.run == node.runs() ? shown.index : LogIndex();
}

void Oracle::on_acknowledged(NodeIndex node, LogIndex index) {
  acknowledged_[node] = std::max(acknowledged_[node], index);
}

void Oracle::on_read_answered(Time now, NodeIndex node, std::uint32_t run, LogIndex floor,
                              wire::Consistency level, const Seen& seen) {
  const Version* version = version_at(seen.key, seen.applied);
  const std::optional<std::string> expected = version == nullptr ? std::nullopt : version->value;
  if (seen.value != expected) {
    violated("history", "a read of {} at entry {} sees '{}', not '{}'", seen.key,
             seen.applied.value(), seen.value.value_or("nothing"), expected.value_or("nothing"));
  }
  if (seen.applied < floor) {
    static constexpr const char* kLevels[] = {"linearizable", "leader", "stale"};
    violated("history", "a {} read of n{} at entry {} does not show entry {}",
             kLevels[static_cast<int>(level)], node + 1, seen.applied.value(), floor.value());
  }
  if (level == wire::Consistency::kStale) on_stale_read(node, run, seen);
  on_acknowledged(node, seen.applied);
  if (level == wire::Consistency::kLinearizable) complete(now, seen.applied);
}

// A node that starts again may show older rows than it had shown, but does not know their age then.
void Oracle::on_stale_read(NodeIndex node, std::uint32_t run, const Seen& seen) {
  Shown& shown = shown_[node];
  if (shown.run < run) shown = {run, {}, std::max(shown.before, shown.index)};
  if (seen.age_known && run == shown.run && seen.applied < shown.before) {
    violated("history", "n{} knows how old its rows are at entry {}, and had shown entry {}",
             node + 1, seen.applied.value(), shown.before.value());
  }
  LogIndex& latest = run == shown.run ? shown.index : shown.before;
  latest = std::max(latest, seen.applied);
}

void Oracle::on_change_answered(const SimNode& node, std::uint64_t request,
                                const wire::ChangeMembershipReply& reply) {
  if (!reply.done) return;
  const LogIndex before = changes_requested_.at(request);
  if (reply.index > committed()) {
    violated("members", "{} says that the membership of entry {} is done, committed is {}",
             node.name(), reply.index.value(), committed().value());
  }
  if (reply.index < before) {
    violated("members",
             "{} says that nothing was left to do as of the membership of entry {}, but that of {} "
             "was done before it was asked",
             node.name(), reply.index.value(), before.value());
  }
  change_done_ = std::max(change_done_, reply.index);
}

void Oracle::check_feed(const std::string& who, wire::Position from, wire::Position event) const {
  const auto next = std::lower_bound(positions_.begin(), positions_.end(), from);
  if (next != positions_.end() && *next == event) return;
  violated("feed", "{} is sent the event at {}, after it had all before {}", who, to_string(event),
           to_string(from));
}

void Oracle::check_feed_goes_on(const std::string& who, wire::Position from,
                                wire::Position to) const {
  const auto next = std::lower_bound(positions_.begin(), positions_.end(), from);
  if (next == positions_.end() || *next >= to) return;
  violated("feed", "{} is told to continue at {}, and was not sent the event at {}", who,
           to_string(to), to_string(*next));
}

template <typename Predicate>
bool Oracle::some_version(const std::string& key, LogIndex from, Predicate&& predicate) const {
  const Version* version = version_at(key, from);
  if (predicate(version)) return true;
  const auto found = versions_.find(key);
  if (found == versions_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(),
                     [&](const Version& one) { return one.index > from && predicate(&one); });
}

void Oracle::on_unchanged(LogIndex began, const std::string& key,
                          const std::optional<std::string>& value) {
  const bool was_so = some_version(key, began, [&](const Version* version) {
    return (version == nullptr ? std::nullopt : version->value) == value;
  });
  if (was_so) return;
  violated("history", "a command is answered with 'unchanged', but {} was not '{}' since it began",
           key, value.value_or("nothing"));
}

void Oracle::on_conflict(LogIndex began, const std::string& key, wire::Revision current) {
  const bool was_so = some_version(key, began, [&](const Version* version) {
    const bool is_set = version != nullptr && version->value;
    return (is_set ? version->revision : wire::Revision()) == current;
  });
  if (was_so) return;
  violated("history", "a command is refused because {} is at revision {}, where it was not", key,
           current.value());
}

}  // namespace bib::sim
