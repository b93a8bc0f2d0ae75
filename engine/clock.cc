#include "engine/clock.h"

#include <chrono>

namespace bib::engine {

std::int64_t SystemClock::now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace bib::engine
