// Entropy: chance, injected. The real one draws from OpenSSL; a simulation injects a seed.
#pragma once

#include <cstdint>

namespace bib::engine {

class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual std::uint64_t next() = 0;
};

class SystemEntropy final : public Entropy {
 public:
  std::uint64_t next() override;
};

}  // namespace bib::engine
