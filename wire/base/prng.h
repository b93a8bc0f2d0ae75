// Prng: our own seeded generator (xoshiro256**, Blackman and Vigna 2018), so that one seed gives
// one sequence on every compiler and library. Not for secrets: those come from OpenSSL.
#pragma once

#include <array>
#include <cstdint>

namespace bib::wire {

class Prng {
 public:
  explicit Prng(std::uint64_t seed);

  std::uint64_t next();
  // Uniform in [0, bound); bound must not be 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [low, high]; low must not exceed high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high);
  // True with the given chance, in parts per million.
  bool chance_ppm(std::uint32_t parts_per_million);

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace bib::wire
