// The definition of linearizability, word by word, for histories of one key with a few operations:
// every order is tried. What the real checker is compared with; shares no code with it.
#pragma once

#include <span>

#include "support/linearizability.h"

namespace bib::history {

bool is_linearizable_by_brute_force(std::span<const support::Operation> operations);

}  // namespace bib::history
