// RocksDB on an engine::FileSystem: so that a test's disk, which forgets and tears what was not
// synced, holds the state too.
#pragma once

#include <memory>

#include "engine/ports/file.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace bib::engine {

// For RocksOptions::env. `files` must outlive it, and every store on it.
std::unique_ptr<rocksdb::Env> make_rocks_env(FileSystem& files);

}  // namespace bib::engine
