// What RocksDB says, for people: its statuses as our errors, and the lines of its own log.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "wire/base/result.h"

namespace rocksdb {
class Logger;
class Status;
}  // namespace rocksdb

namespace bib::projections {

// kIo, kCorrupt: what is wrong with the state in `directory`, and what to do next.
wire::Status check(const rocksdb::Status& status, std::string_view doing,
                   const std::string& directory);

// A disk or a quota is full.
bool lacks_room(const rocksdb::Status& status);

// Warnings and errors go to `on_line` (any thread of RocksDB's, or one that calls it), all else
// nowhere. RocksDB's own logger writes into the directory, where a full disk is an assertion to it:
// the second line after one that did not fit ends the process.
std::shared_ptr<rocksdb::Logger> make_rocks_log(std::function<void(const std::string&)> on_line);

}  // namespace bib::projections
