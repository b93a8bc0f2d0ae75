// LogReader: durable entries back from the log's files, for followers that lag, for replay on
// start, and for lists of events.
//
// Thread-safe; made for libuv's pool. Reads with buffered files of its own: an entry can be found
// in LogLocations only after its sync, and from then on the kernel gives readers what was written.
// Keeps a few files open. Each entry that leaves here was checked: header, checksum, index, term.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "engine/storage/log_locations.h"
#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::engine {

class LogReader {
 public:
  static constexpr std::size_t kFilesOpenMax = 8;  // kept; a read under way has its own

  LogReader(FileSystem& files, std::string directory,
            std::shared_ptr<const LogLocations> locations);
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // The lowest that read() can give; the one after the base, also in an empty log.
  wire::LogIndex first_index() const { return locations_->base().index + 1; }
  // Successive whole entries from `first` on: up to `last`, up to the durable end, and up to
  // `bytes_max` in all, but at least one. kNotFound when `first` is at or below the base (also when
  // it was moved there a moment ago, and its file is gone) or not durable yet; kCorrupt when
  // the file does not hold what was written.
  //
  // The answer is the log as it was durable at the time of the call. Who may have truncated since
  // compares terms.
  wire::Result<std::vector<wire::Bytes>> read(wire::LogIndex first, wire::LogIndex last,
                                              std::uint64_t bytes_max);

 private:
  struct OpenSegment {
    std::uint64_t number = 0;
    std::shared_ptr<File> file;
  };

  wire::Result<std::shared_ptr<File>> file_of(std::uint64_t segment);
  tl::unexpected<wire::Error> not_here(wire::LogIndex first) const;
  wire::Status read_run(std::span<const EntryLocation> run, std::vector<wire::Bytes>& entries);

  FileSystem& files_;
  const std::string directory_;
  const std::shared_ptr<const LogLocations> locations_;
  std::mutex mutex_;
  std::list<OpenSegment> open_;  // most recently used first
};

}  // namespace bib::engine
