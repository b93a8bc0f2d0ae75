#include "wire/base/prng.h"

#include <bit>

#include "wire/base/check.h"

namespace bib::wire {
namespace {

// splitmix64 (Steele, Lea, Flood 2014) spreads a seed over the state, which must not be all zero.
std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

Prng::Prng(std::uint64_t seed) {
  for (std::uint64_t& word : state_) word = splitmix64(seed);
}

std::uint64_t Prng::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Prng::below(std::uint64_t bound) {
  BIB_CHECK(bound != 0);
  // Values under 2^64 mod bound would favour small results.
  const std::uint64_t unfair = (0 - bound) % bound;
  std::uint64_t value = next();
  while (value < unfair) value = next();
  return value % bound;
}

std::uint64_t Prng::between(std::uint64_t low, std::uint64_t high) {
  BIB_CHECK(low <= high, "{} > {}", low, high);
  const std::uint64_t count = high - low + 1;
  return count == 0 ? next() : low + below(count);
}

bool Prng::chance_ppm(std::uint32_t parts_per_million) {
  return below(1'000'000) < parts_per_million;
}

}  // namespace bib::wire
