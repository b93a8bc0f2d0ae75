// Sizes that more than one room of wire has to know. Every reader enforces them.
#pragma once

#include <cstdint>

namespace bib::wire {

// One event's FlatBuffers bytes.
inline constexpr std::uint32_t kEventSizeMax = 4U << 20;

}  // namespace bib::wire
