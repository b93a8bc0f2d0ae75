// SystemEntropy: chance from OpenSSL's generator. May be used from any thread.
#pragma once

#include "engine/ports/entropy.h"

namespace bib::engine {

class SystemEntropy final : public Entropy {
 public:
  std::uint64_t next() override;
};

}  // namespace bib::engine
