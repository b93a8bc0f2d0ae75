#include "level_judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace bib::judges {

using wire::Consistency;
using wire::LogIndex;
using wire::Revision;

namespace {

// What an age is rounded by on its way.
constexpr std::uint64_t kAgeSlackUs = 1000;

}  // namespace

std::string_view name_of(Consistency level) {
  switch (level) {
    case Consistency::kLinearizable:
      return "linearizable";
    case Consistency::kLeader:
      return "leader";
    case Consistency::kStale:
      break;
  }
  return "stale";
}

LevelJudge::LevelJudge(Options options) : options_(options), nodes_(options.nodes) {}

// ---- the log

Complaint LevelJudge::add(const std::string& key, Version version) {
  std::vector<Version>& versions = versions_[key];
  const Revision last = versions.empty() ? Revision() : versions.back().revision;
  // The first one that is known need not be the first one.
  if (!versions.empty() && version.revision != last + 1) {
    return fmt::format("'{}' goes from revision {} to {} at entry {}", key, last.value(),
                       version.revision.value(), version.index.value());
  }
  versions.push_back(std::move(version));
  return std::nullopt;
}

const LevelJudge::Version* LevelJudge::version_at(const std::string& key, LogIndex index) const {
  const auto found = versions_.find(key);
  if (found == versions_.end()) return nullptr;
  const auto after =
      std::upper_bound(found->second.begin(), found->second.end(), index,
                       [](LogIndex at, const Version& version) { return at < version.index; });
  return after == found->second.begin() ? nullptr : &*std::prev(after);
}

Revision LevelJudge::revision_at(const std::string& key, LogIndex index) const {
  const Version* version = version_at(key, index);
  return version != nullptr && version->value ? version->revision : Revision();
}

bool LevelJudge::was(const std::string& key, LogIndex from,
                     const std::function<bool(const Version*)>& so) const {
  if (so(version_at(key, from))) return true;
  const auto found = versions_.find(key);
  if (found == versions_.end()) return false;
  for (auto version = found->second.rbegin(); version != found->second.rend(); ++version) {
    if (version->index <= from) return false;
    if (so(&*version)) return true;
  }
  return false;
}

bool LevelJudge::was_value(const std::string& key, LogIndex from,
                           const std::optional<std::string>& value) const {
  return was(key, from, [&](const Version* version) {
    return version == nullptr ? !value : version->value == value;
  });
}

// ---- answers to writes

void LevelJudge::completes(std::uint64_t now_us, LogIndex index) {
  if (index <= completed_) return;
  completed_ = index;
  completions_.emplace_back(now_us, index);
}

void LevelJudge::acknowledged(std::uint64_t now_us, std::size_t node, LogIndex index) {
  nodes_[node].acknowledged = std::max(nodes_[node].acknowledged, index);
  completes(now_us, index);
}

LogIndex LevelJudge::completed_at(std::uint64_t time_us) const {
  const auto after =
      std::upper_bound(completions_.begin(), completions_.end(), time_us,
                       [](std::uint64_t time, const std::pair<std::uint64_t, LogIndex>& one) {
                         return time < one.first;
                       });
  return after == completions_.begin() ? LogIndex() : std::prev(after)->second;
}

// ---- reads

std::uint64_t LevelJudge::longest(std::uint64_t age_us) const {
  return options_.clock_factor * age_us + kAgeSlackUs;
}

LevelJudge::Question LevelJudge::ask(std::uint64_t now_us, std::uint32_t run,
                                     Question question) const {
  const Node& node = nodes_[question.node];
  question.asked_us = now_us;
  // Rows never go back while a process runs, whoever reads them.
  question.floor = node.run == run && run != 0 ? node.shown : LogIndex();
  // A node that starts again may show older rows, but does not know their age then.
  question.floor_if_aged = std::max(node.shown, node.shown_before);
  const auto at_least = [&](LogIndex index) { question.floor = std::max(question.floor, index); };
  switch (question.level) {
    case Consistency::kLinearizable:
      at_least(completed_);
      break;
    case Consistency::kLeader:
      at_least(node.acknowledged);
      if (options_.deposed_ticks != 0 && node.completed_at_ticks.size() > options_.deposed_ticks) {
        at_least(node.completed_at_ticks.front());
      }
      break;
    case Consistency::kStale:
      if (question.max_age_us == 0 || longest(question.max_age_us) > now_us) break;
      at_least(completed_at(now_us - longest(question.max_age_us)));
      break;
  }
  return question;
}

void LevelJudge::merge(Question& question, const Question& other) {
  question.asked_us = std::min(question.asked_us, other.asked_us);
  question.floor = std::min(question.floor, other.floor);
  question.floor_if_aged = std::min(question.floor_if_aged, other.floor_if_aged);
}

Complaint LevelJudge::answered(std::uint64_t now_us, std::uint32_t run, const Question& question,
                               const Seen& seen) {
  const Version* version = version_at(seen.key, seen.applied);
  const std::optional<std::string> expected = version == nullptr ? std::nullopt : version->value;
  if (seen.value != expected) {
    return fmt::format("a read of {} at entry {} sees '{}', not '{}'", seen.key,
                       seen.applied.value(), seen.value.value_or("nothing"),
                       expected.value_or("nothing"));
  }
  if (seen.applied < question.floor) {
    return fmt::format("a {} read of n{} at entry {} does not show entry {}",
                       name_of(question.level), question.node + 1, seen.applied.value(),
                       question.floor.value());
  }
  if (auto wrong = check_age(question, seen)) return wrong;
  Node& node = nodes_[question.node];
  if (node.run < run) {
    node.shown_before = std::max(node.shown_before, node.shown);
    node.shown = LogIndex();
    node.run = run;
  }
  LogIndex& latest = run == node.run ? node.shown : node.shown_before;
  latest = std::max(latest, seen.applied);
  node.acknowledged = std::max(node.acknowledged, seen.applied);
  if (question.level == Consistency::kLinearizable) completes(now_us, seen.applied);
  return std::nullopt;
}

Complaint LevelJudge::check_age(const Question& question, const Seen& seen) const {
  if (question.level == Consistency::kStale && question.max_age_us != 0 &&
      (!seen.age_us || *seen.age_us > question.max_age_us)) {
    return fmt::format("n{} was asked for rows of {} ms at most, and answers with some of {}",
                       question.node + 1, question.max_age_us / 1000,
                       seen.age_us ? fmt::format("{} ms", *seen.age_us / 1000) : "unknown age");
  }
  if (!seen.age_us) return std::nullopt;
  if (seen.applied < question.floor_if_aged) {
    return fmt::format("n{} knows how old its rows are at entry {}, and had shown entry {}",
                       question.node + 1, seen.applied.value(), question.floor_if_aged.value());
  }
  // As of the question: no answer is earlier.
  if (auto wrong = says_age(question.asked_us, *seen.age_us, seen.applied)) {
    return fmt::format("n{} {}", question.node + 1, *wrong);
  }
  return std::nullopt;
}

Complaint LevelJudge::answered_unset(const Question& question, const std::string& key) const {
  if (was_value(key, question.floor, std::nullopt)) return std::nullopt;
  return fmt::format("a {} read of n{} says that {} is not set; it was in entry {}, and ever since",
                     name_of(question.level), question.node + 1, key, question.floor.value());
}

Complaint LevelJudge::says_age(std::uint64_t now_us, std::uint64_t age_us, LogIndex applied) const {
  if (longest(age_us) > now_us) return std::nullopt;
  const LogIndex completed = completed_at(now_us - longest(age_us));
  if (applied >= completed) return std::nullopt;
  return fmt::format(
      "says that its rows are {} ms old; entry {} was answered before, they are at {}",
      age_us / 1000, completed.value(), applied.value());
}

void LevelJudge::tick(std::size_t node) {
  if (options_.deposed_ticks == 0) return;
  std::deque<LogIndex>& ticks = nodes_[node].completed_at_ticks;
  ticks.push_back(completed_);
  if (ticks.size() > options_.deposed_ticks + 1) ticks.pop_front();
}

}  // namespace bib::judges
