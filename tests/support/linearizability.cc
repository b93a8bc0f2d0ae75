#include "support/linearizability.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "support/linearizability_search.h"

namespace bib::support {
namespace {

constexpr std::uint64_t kCoreStepsMax = 10'000'000;  // spent on finding a small contradiction
constexpr std::uint64_t kCoreTryStepsMax = 500'000;

void require(bool holds, const Operation& operation, std::string_view what) {
  if (holds) return;
  throw std::invalid_argument("an operation on '" + operation.key + "' " + std::string(what));
}

void check_shape(const Operation& operation) {
  require(operation.outcome == Outcome::kInfo || operation.completed >= operation.invoked,
          operation, "was completed before it was called");
  require(operation.call != Call::kWrite || operation.value, operation, "writes no value");
  require(operation.call != Call::kDelete || !operation.value, operation, "deletes with a value");
  require(operation.call != Call::kRead || !operation.expected, operation,
          "reads with an expected revision");
}

// Finds operations that contradict each other, by taking the others out: a read that is left out,
// and a write that counts as unknown, leave a history that is linearizable if the whole one was.
class CoreFinder {
 public:
  CoreFinder(std::vector<const Operation*> operations, std::size_t failed_at, CheckLimits limits)
      : operations_(std::move(operations)), relaxed_(operations_.size(), false), limits_(limits) {
    limits_.steps_max = std::min(limits_.steps_max, kCoreTryStepsMax);
    // What was called after the contradiction was complete has no part in it.
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i]->invoked > operations_[failed_at]->completed) relaxed_[i] = true;
      order_.push_back(i);
    }
    // Without the reads, fewer values matter, and whatever follows is faster.
    std::stable_partition(order_.begin(), order_.end(), [this](std::size_t i) {
      return operations_[i]->call == Call::kRead || operations_[i]->outcome == Outcome::kFail;
    });
  }

  // Places among the operations, and the last search over them alone.
  std::vector<std::size_t> find(Search& last) {
    for (std::size_t chunk = operations_.size() / 2; chunk > 1; chunk /= 2) relax_all(chunk, last);
    while (relax_all(1, last)) {
    }
    std::vector<std::size_t> core;
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const bool says_nothing =
          operations_[i]->outcome == Outcome::kInfo && !operations_[i]->expected;
      if (!relaxed_[i] && !says_nothing) core.push_back(i);
    }
    return core;
  }

 private:
  // Chunk by chunk; true if any could be.
  bool relax_all(std::size_t chunk, Search& last) {
    bool any = false;
    for (std::size_t first = 0; first < operations_.size(); first += chunk) {
      any |= relax(first, std::min(first + chunk, operations_.size()), last);
    }
    return any;
  }

  bool relax(std::size_t first, std::size_t end, Search& last) {
    std::vector<bool> fewer = relaxed_;
    for (std::size_t i = first; i < end; ++i) fewer[order_[i]] = true;
    if (fewer == relaxed_ || steps_ > kCoreStepsMax) return false;
    Search search = search_order(operations_, fewer, limits_);
    steps_ += search.steps;
    if (search.kind != Verdict::Kind::kNotLinearizable) return false;
    relaxed_ = std::move(fewer);
    last = std::move(search);
    return true;
  }

  std::vector<const Operation*> operations_;
  std::vector<std::size_t> order_;
  std::vector<bool> relaxed_;
  CheckLimits limits_;
  std::uint64_t steps_ = 0;
};

// The writes of unknown part in it whose values the core speaks of: what a reader looks for next.
std::vector<std::size_t> origins(const std::vector<const Operation*>& operations,
                                 const std::vector<std::size_t>& core) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (operations[i]->call != Call::kWrite || operations[i]->outcome == Outcome::kFail) continue;
    if (std::binary_search(core.begin(), core.end(), i)) continue;
    for (const std::size_t member : core) {
      const Operation& operation = *operations[member];
      if (operation.call != Call::kRead || operation.value != operations[i]->value) continue;
      found.push_back(i);
      break;
    }
  }
  return found;
}

void append_lines(std::string& text, const std::vector<const Operation*>& operations,
                  const std::vector<std::size_t>& places) {
  for (const std::size_t place : places) text += "  " + to_string(*operations[place]) + '\n';
}

void explain(Verdict& verdict, const std::vector<const Operation*>& operations,
             const std::vector<std::size_t>& core, const Search& search) {
  verdict.text = "not linearizable: key '" + verdict.key + "'\n" +
                 "these operations contradict each other, whatever the others did:\n";
  append_lines(verdict.text, operations, core);
  verdict.text += "no order of them explains:\n";
  append_lines(verdict.text, operations, {search.failed_at});
  verdict.text += "just before its completion the key could only be, under the others:\n";
  for (const std::string& state : search.possible) verdict.text += "  " + state + '\n';
  const std::vector<std::size_t> writes = origins(operations, core);
  if (writes.empty()) return;
  verdict.text += "the writes of the values that were read:\n";
  append_lines(verdict.text, operations, writes);
}

struct OneKey {
  std::vector<const Operation*> operations;
  std::vector<std::size_t> places;  // in the history
};

void check_key(const std::string& key, const OneKey& one, const CheckLimits& limits,
               Verdict& verdict) {
  Search search = search_order(one.operations, {}, limits);
  verdict.steps += search.steps;
  if (search.kind == Verdict::Kind::kLinearizable) return;
  if (search.kind == Verdict::Kind::kUnknown) {
    if (verdict.kind != Verdict::Kind::kLinearizable) return;
    verdict.kind = Verdict::Kind::kUnknown;
    verdict.key = key;
    verdict.text = "not decided: key '" + key + "' takes " + search.unknown_because + '\n';
    return;
  }
  verdict.kind = Verdict::Kind::kNotLinearizable;
  verdict.key = key;
  const std::vector<std::size_t> core =
      CoreFinder(one.operations, search.failed_at, limits).find(search);
  for (const std::size_t place : core) verdict.core.push_back(one.places[place]);
  explain(verdict, one.operations, core, search);
}

std::string quoted(const std::optional<std::string>& value) {
  return value ? '"' + *value + '"' : "not set";
}

}  // namespace

std::size_t HistoryRecorder::invoke(Operation operation) {
  operation.outcome = Outcome::kInfo;
  operation.invoked = next_++;
  operation.completed = 0;
  operations_.push_back(std::move(operation));
  return operations_.size() - 1;
}

Operation& HistoryRecorder::completing(std::size_t operation, Outcome outcome) {
  Operation& completed = operations_.at(operation);
  if (completed.completed != 0) {
    throw std::invalid_argument("an operation on '" + completed.key + "' is completed twice");
  }
  completed.outcome = outcome;
  completed.completed = next_++;
  return completed;
}

void HistoryRecorder::ok(std::size_t operation, std::optional<std::string> value,
                         std::optional<std::uint64_t> revision) {
  Operation& completed = completing(operation, Outcome::kOk);
  if (completed.call == Call::kRead) completed.value = std::move(value);
  completed.revision = revision;
}

void HistoryRecorder::fail(std::size_t operation, std::optional<std::uint64_t> revision) {
  completing(operation, Outcome::kFail).revision = revision;
}

void HistoryRecorder::info(std::size_t operation) {
  completing(operation, Outcome::kInfo);
}

Verdict check_linearizability(std::span<const Operation> history, const CheckLimits& limits) {
  std::map<std::string, OneKey> keys;
  for (std::size_t i = 0; i < history.size(); ++i) {
    check_shape(history[i]);
    OneKey& one = keys[history[i].key];
    one.operations.push_back(&history[i]);
    one.places.push_back(i);
  }
  Verdict verdict;
  for (const auto& [key, one] : keys) {
    check_key(key, one, limits, verdict);
    if (verdict.kind == Verdict::Kind::kNotLinearizable) return verdict;
  }
  if (verdict.kind == Verdict::Kind::kLinearizable) verdict.text = "linearizable\n";
  return verdict;
}

std::string to_string(const Operation& operation) {
  std::string text = 'p' + std::to_string(operation.process) + ' ';
  text += operation.call == Call::kRead    ? "read"
          : operation.call == Call::kWrite ? "write " + quoted(operation.value)
                                           : "delete";
  if (operation.expected) text += " expecting revision " + std::to_string(*operation.expected);
  if (operation.outcome == Outcome::kInfo) {
    text += ": unknown";
  } else {
    text += operation.outcome == Outcome::kOk ? ": ok" : ": refused";
    if (operation.outcome == Outcome::kOk && operation.call == Call::kRead) {
      text += ", saw " + quoted(operation.value);
    }
    if (operation.revision) text += ", revision " + std::to_string(*operation.revision);
  }
  text += "   [" + std::to_string(operation.invoked) + ", ";
  return text +
         (operation.outcome == Outcome::kInfo ? "..." : std::to_string(operation.completed)) + ']';
}

}  // namespace bib::support
