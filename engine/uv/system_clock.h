// SystemClock: the machine's clocks. May be used from any thread.
#pragma once

#include "engine/ports/clock.h"

namespace bib::engine {

class SystemClock final : public Clock {
 public:
  std::int64_t now_us() override;
  std::uint64_t monotonic_us() override;
};

}  // namespace bib::engine
