// Little-endian integers at any address, as all our formats hold them. Pure functions; the caller
// has checked the bounds.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bib::wire {

static_assert(std::endian::native == std::endian::little,
              "the formats are little-endian and are read by copying");

template <typename Number>
Number load(const std::uint8_t* from) {
  Number number;
  std::memcpy(&number, from, sizeof(number));
  return number;
}
inline std::uint16_t load_u16(const std::uint8_t* from) {
  return load<std::uint16_t>(from);
}
inline std::uint32_t load_u32(const std::uint8_t* from) {
  return load<std::uint32_t>(from);
}
inline std::uint64_t load_u64(const std::uint8_t* from) {
  return load<std::uint64_t>(from);
}
inline std::int64_t load_i64(const std::uint8_t* from) {
  return load<std::int64_t>(from);
}

// The number's own type decides how many bytes are written.
template <typename Number>
void store(std::uint8_t* to, Number number) {
  std::memcpy(to, &number, sizeof(number));
}

// The next multiple of `unit`, which is a power of two.
constexpr std::uint64_t round_up(std::uint64_t size, std::uint64_t unit) {
  return (size + unit - 1) & ~(unit - 1);
}

}  // namespace bib::wire
