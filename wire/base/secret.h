// Secrets: random bytes, SHA-256, base64 and comparison in constant time, all of OpenSSL.
//
// Pure functions, but for random_bytes(), which draws from the system. It is in the header, so
// that the library itself contains no chance (a test of the walls holds that); who calls it links
// OpenSSL's crypto library, which comes with bib_wire.
#pragma once

#include <openssl/rand.h>

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/check.h"
#include "wire/base/result.h"

namespace bib::wire {

// Standard base64 (RFC 4648 §4) with padding, on one line.
std::string base64_encode(ByteView bytes);
// kInvalid unless the text is exactly what base64_encode writes for some bytes.
Result<std::vector<std::uint8_t>> base64_decode(std::string_view text);

std::array<std::uint8_t, 32> sha256(ByteView bytes);

// Takes the same time wherever the two differ. Their sizes are no secret.
bool constant_time_equal(ByteView a, ByteView b);

// Fills with bytes that cannot be guessed. A system that has none to give ends the program.
inline void random_bytes(std::span<std::uint8_t> out) {
  BIB_CHECK(out.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  BIB_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1,
            "the system has no randomness to give");
}

}  // namespace bib::wire
