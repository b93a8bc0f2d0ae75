// SystemClock: the machine's clocks. May be used from any thread.
#pragma once

#include "engine/ports/clock.h"

namespace bib::engine {

class SystemClock final : public Clock {
 public:
  std::int64_t now_us() const override;
  std::uint64_t monotonic_us() const override;
};

}  // namespace bib::engine
