#include "engine/uv/system_entropy.h"

#include <openssl/rand.h>

#include "wire/base/check.h"

namespace bib::engine {

std::uint64_t SystemEntropy::next() {
  std::uint64_t value = 0;
  BIB_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof value) == 1,
            "the system has no randomness to give");
  return value;
}

}  // namespace bib::engine
