// Harm: one fault done to a data directory: to any file in it, or to any directory.
#pragma once

#include <string>

#include "wire/base/prng.h"

namespace bib::damage {

struct Harm {
  std::string kind;      // "flips bits", "is a pipe", ...
  std::string path;      // below the data directory
  bool is_lock = false;  // of a file whose content says nothing: a lock, RocksDB's own log
  std::string text() const { return path + ": " + kind; }
};

struct HarmSources {
  std::string directory;  // to be harmed
  std::string older;      // the same node's, as it was once; may not exist
  std::string other;      // another node's
  std::string elsewhere;  // where what is moved away goes
};

Harm do_harm(const HarmSources& sources, wire::Prng& random);

// Also what nobody may read.
void remove_all(const std::string& directory);

}  // namespace bib::damage
