#include "brute_force.h"

#include <optional>
#include <string>
#include <vector>

namespace bib::history {
namespace {

using support::Call;
using support::Operation;
using support::Outcome;

struct Register {
  std::optional<std::string> value;
  std::uint64_t changes = 0;
};

// True if the register may answer so; then it is as the operation leaves it.
bool perform(const Operation& operation, Register& at) {
  const std::uint64_t revision = at.value ? at.changes : 0;
  if (operation.outcome == Outcome::kFail) {
    if (!operation.revision) return true;
    const bool nothing_to_delete = operation.call == Call::kDelete && !at.value;
    return *operation.revision == revision && (operation.expected != revision || nothing_to_delete);
  }
  const bool is_known = operation.outcome == Outcome::kOk;
  if (operation.call == Call::kRead) {
    if (!is_known) return true;
    return operation.value == at.value && operation.revision.value_or(revision) == revision;
  }
  if (operation.expected && *operation.expected != revision) return false;
  if (operation.call == Call::kDelete) {
    if (!at.value) return false;
    at.value.reset();
    ++at.changes;
  } else if (at.value != operation.value) {
    at.value = operation.value;
    ++at.changes;
  }
  return !is_known || operation.revision.value_or(at.changes) == at.changes;
}

bool search(std::span<const Operation> operations, std::vector<bool>& done, const Register& at) {
  bool finished = true;
  std::uint64_t first_completion = ~std::uint64_t{0};
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (done[i] || operations[i].outcome == Outcome::kInfo) continue;
    finished = false;
    if (operations[i].completed < first_completion) first_completion = operations[i].completed;
  }
  if (finished) return true;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    // Whatever was completed before this call must come before it.
    if (done[i] || operations[i].invoked > first_completion) continue;
    Register next = at;
    if (!perform(operations[i], next)) continue;
    done[i] = true;
    const bool found = search(operations, done, next);
    done[i] = false;
    if (found) return true;
  }
  return false;
}

}  // namespace

bool is_linearizable_by_brute_force(std::span<const Operation> operations) {
  std::vector<bool> done(operations.size(), false);
  return search(operations, done, {});
}

}  // namespace bib::history
