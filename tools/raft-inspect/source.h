// Source: the only place of raft-inspect that opens a file (RocksDB opens its own), and it opens
// for reading only.
//
// Only regular files are opened: a pipe or a device would keep us waiting, or be changed by it, and
// what a link points to is not the node's. // Also while a node runs on the directory: nothing here
// takes a lock, creates or changes anything. One file is read at a time, into a buffer that is
// reused, so that memory is bounded by the largest segment (the node's log.segment_bytes, at most 1
// GiB). Reads go past the page cache where the file system allows it, as the node's do: the cache
// may hold what never reached the disk. Any one thread. Errors: kIo: it cannot be read, which says
// nothing of what is there; kInvalid: it is no regular file, or larger than it can be; kNotFound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/result.h"
#include "wire/log/data_directory.h"

namespace bib::inspect {

class FileBytes {
 public:
  // Reads the whole file; the bytes before are gone. kIo names the path, the offset and errno, also
  // where there is no such file.
  wire::Status read(const std::string& path, std::uint64_t size_max);
  wire::ByteView view() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::uint8_t* data) const;
  };
  void reserve(std::size_t size);
  wire::Status fill(int descriptor, const std::string& path, std::size_t size);

  std::unique_ptr<std::uint8_t[], Free> data_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

// Reads the whole file in pieces, whatever its size.
wire::Status read_in_pieces(const std::string& path,
                            const std::function<void(wire::ByteView)>& take);

// Where a node keeps what. `directory` is the data directory or its log directory.
struct DataDirectory {
  std::string root;  // empty when a bare log directory was given
  std::string log;
  std::string state;      // the same
  std::string lock;       // the same
  std::string snapshots;  // the same

  // kIo when it cannot be read; kNotFound when it neither is nor holds a log directory.
  static wire::Result<DataDirectory> find(const std::string& directory);
};

// The numbers of the segments, ascending. A directory that does not exist has none.
wire::Result<std::vector<std::uint64_t>> list_segments(const std::string& log_directory);

// All names in the directory, sorted. A directory that does not exist has none.
wire::Result<std::vector<std::string>> list_names(const std::string& directory);

// What the path itself is; links are not followed.
wire::Result<wire::FileKind> kind_of(const std::string& path);
// kInvalid: something else has the directory's place. A node does not start on a link or a special
// file, which check_directory() says, and nothing is read through it.
wire::Status expect_directory(const std::string& path);
// kInvalid: one of the names in the directory is a link, a pipe, a device or a socket, which a
// library that opens all of them would follow or wait for.
wire::Status expect_plain_files(const std::string& directory);

// The process that holds the lock, by the kernel's list of locks; nullopt where none does. Takes
// no lock itself: that could keep a node from starting.
std::optional<long> lock_holder(const std::string& lock_path);

using wire::join_path;

}  // namespace bib::inspect
