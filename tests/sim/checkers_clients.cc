// What clients may see: answers fit the one log, in an order that respects real time.
#include <algorithm>
#include <utility>

#include "checkers.h"
#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using wire::LogIndex;

// ---- clients

void Oracle::on_age(const SimNode& node, Time now, Time age, LogIndex applied) const {
  if (const auto wrong = levels_.says_age(now, age, applied)) {
    violated("history", "{} {}", node.name(), *wrong);
  }
}

void Oracle::on_write_answered(Time now, NodeIndex node, LogIndex began,
                               const wire::Command& command, const wire::CommandReply& reply) {
  if (const auto wrong = requests_.done(command, reply)) violated("once", "{}", *wrong);
  if (reply.position.index <= began) {
    violated("history", "a write at entry {} began after entry {} was answered",
             reply.position.index.value(), began.value());
  }
  levels_.acknowledged(now, node, reply.position.index);
}

void Oracle::on_reused(const wire::Command& command) const {
  if (const auto wrong = requests_.reused(command)) violated("once", "{}", *wrong);
}

Oracle::Question Oracle::ask(Time now, const SimNode& node, wire::Consistency level,
                             Time max_age) const {
  return levels_.ask(now, node.runs(),
                     {.node = node.index(), .level = level, .max_age_us = max_age});
}

void Oracle::on_read_answered(Time now, std::uint32_t run, const Question& question,
                              const Seen& seen) {
  if (const auto wrong = levels_.answered(now, run, question, seen)) {
    violated("history", "{}", *wrong);
  }
}

void Oracle::on_unset_answered(const Question& question, const std::string& key) const {
  if (const auto wrong = levels_.answered_unset(question, key)) violated("history", "{}", *wrong);
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

void Oracle::on_unchanged(LogIndex began, const std::string& key,
                          const std::optional<std::string>& value) const {
  if (levels_.was_value(key, began, value)) return;
  violated("history", "a command is answered with 'unchanged', but {} was not '{}' since it began",
           key, value.value_or("nothing"));
}

void Oracle::on_conflict(LogIndex began, const std::string& key, wire::Revision current) const {
  const bool was_so = levels_.was(key, began, [&](const judges::LevelJudge::Version* version) {
    const bool is_set = version != nullptr && version->value;
    return (is_set ? version->revision : wire::Revision()) == current;
  });
  if (was_so) return;
  violated("history", "a command is refused because {} is at revision {}, where it was not", key,
           current.value());
}

}  // namespace bib::sim
