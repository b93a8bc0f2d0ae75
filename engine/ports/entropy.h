// Entropy: chance, injected. The real one draws from OpenSSL; a simulation injects a seed.
#pragma once

#include <cstdint>

namespace bib::engine {

class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual std::uint64_t next() = 0;
};

}  // namespace bib::engine
