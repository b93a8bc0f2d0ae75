// Machine: what the process may use of it. Read once at start, before the loop turns.
#pragma once

#include <cstdint>
#include <string>

namespace bib::engine {

// Bytes of memory: the machine's, or what the process's control group leaves of it (cgroup v2:
// memory.max of the group and of those above it). `root`: where the system's own files begin, for
// tests.
std::uint64_t memory_limit(const std::string& root = "");

// Bytes that the process has in memory now (/proc/self/statm); 0: not known.
std::uint64_t resident_bytes();

// What RocksDB may keep of the rows' files: as configured, or by the machine.
std::uint64_t block_cache_bytes(std::uint64_t configured, std::uint64_t memory);

}  // namespace bib::engine
