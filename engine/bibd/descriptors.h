// Descriptors: how many files and sockets this process may have open, and what they go to.
//
// What runs out of them fails where it stands, so a configuration whose parts do not fit together
// into the limit is refused before anything is opened; what is left over is the store's.
#pragma once

#include <cstdint>

#include "wire/base/result.h"
#include "wire/config/node_config.h"

namespace bib::engine {

// Raises this process's soft limit to the hard one; the limit that holds then.
std::uint64_t raise_descriptor_limit();

// The store works with fewer than it has table files, but opens one again for many a read.
inline constexpr std::uint64_t kStoreFilesMin = 256;
inline constexpr std::uint64_t kStoreFilesMax = 65536;

// How many the store may have open (RocksDB's max_open_files). kConfig: the sum is above `limit`.
wire::Result<int> store_files(const wire::NodeConfig& config, std::uint64_t limit);

}  // namespace bib::engine
