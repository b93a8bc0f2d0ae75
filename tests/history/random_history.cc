#include "random_history.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace bib::history {
namespace {

using support::Call;
using support::Operation;
using support::Outcome;

struct Register {
  std::optional<std::string> value;
  std::uint64_t changes = 0;
  std::uint64_t revision() const { return value ? changes : 0; }
};

Operation random_call(wire::Prng& random, const RandomHistoryOptions& options, std::size_t number) {
  Operation operation;
  operation.key = "k";
  const std::uint64_t kind = random.below(10);
  operation.call = kind < 4 ? Call::kRead : kind < 9 ? Call::kWrite : Call::kDelete;
  if (operation.call == Call::kWrite) {
    const std::uint64_t value = options.values == 0 ? number : random.below(options.values);
    operation.value = 'v' + std::to_string(value);
  }
  if (operation.call != Call::kRead && random.below(3) == 0) operation.expected = random.below(4);
  return operation;
}

// Calls of each process follow one another; calls of different ones overlap.
void place(wire::Prng& random, const RandomHistoryOptions& options,
           std::vector<Operation>& history) {
  std::vector<std::uint64_t> free_at(static_cast<std::size_t>(options.processes), 1);
  for (Operation& operation : history) {
    const std::size_t process = random.below(free_at.size());
    operation.process = static_cast<int>(process);
    operation.invoked = free_at[process] + random.below(6);
    operation.completed = operation.invoked + random.below(12);
    free_at[process] = operation.completed + 1 + random.below(3);
  }
}

void answer(Operation& operation, Register& at, bool with_revisions) {
  const bool conflict = operation.expected && *operation.expected != at.revision();
  const bool impossible = operation.call == Call::kDelete && !at.value;
  if (conflict || impossible) {
    operation.outcome = Outcome::kFail;
    if (with_revisions) operation.revision = at.revision();
    return;
  }
  operation.outcome = Outcome::kOk;
  if (operation.call == Call::kRead) {
    operation.value = at.value;
  } else if (operation.call == Call::kDelete || operation.value != at.value) {
    at.value = operation.value;
    ++at.changes;
  }
  if (!with_revisions) return;
  operation.revision = operation.call == Call::kDelete ? at.changes : at.revision();
}

}  // namespace

std::vector<Operation> random_history(wire::Prng& random, const RandomHistoryOptions& options) {
  std::vector<Operation> history;
  for (std::size_t i = 0; i < options.operations; ++i) {
    history.push_back(random_call(random, options, i));
  }
  place(random, options, history);
  std::vector<std::pair<std::uint64_t, std::size_t>> effects;
  std::vector<bool> unknown(history.size(), false);
  for (std::size_t i = 0; i < history.size(); ++i) {
    const Operation& operation = history[i];
    unknown[i] = random.chance_ppm(options.unknown_ppm);
    if (unknown[i] && random.below(2) == 0) continue;
    const std::uint64_t latest = unknown[i] ? operation.invoked + 60 : operation.completed;
    effects.emplace_back(random.between(operation.invoked, latest), i);
  }
  std::stable_sort(effects.begin(), effects.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Register at;
  for (const auto& [moment, number] : effects) {
    answer(history[number], at, options.with_revisions);
  }
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (!unknown[i]) continue;
    history[i].outcome = Outcome::kInfo;
    history[i].revision.reset();
    if (history[i].call == Call::kRead) history[i].value.reset();
  }
  return history;
}

void mutate(wire::Prng& random, std::vector<Operation>& history) {
  Operation& operation = history[random.below(history.size())];
  const Operation& other = history[random.below(history.size())];
  switch (random.below(6)) {
    case 0:
      if (operation.call == Call::kRead) operation.value = other.value;
      break;
    case 1:
      if (operation.revision) operation.revision = random.below(history.size());
      break;
    case 2:
      operation.invoked += random.below(20);
      operation.completed = std::max(operation.invoked, operation.completed);
      break;
    case 3:
      operation.invoked -= random.below(operation.invoked);
      operation.completed = operation.invoked + random.below(4);
      break;
    case 4:
      if (operation.outcome != Outcome::kInfo) operation.outcome = Outcome::kInfo;
      operation.revision.reset();
      break;
    default:
      if (operation.expected) operation.expected = random.below(4);
      break;
  }
}

}  // namespace bib::history
