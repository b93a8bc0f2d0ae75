// What is said of an answer that does not come from a node's address for nodes.
#pragma once

#include <string>

#include "wire/base/frame.h"

namespace bib::engine {

// Of a frame of another kind than was expected there.
std::string what_answers(const wire::Frame& frame);

}  // namespace bib::engine
