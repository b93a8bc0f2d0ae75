// Files and directories, the part of the outside world that must not forget: as an interface.
//
// A process uses posix_file_system() (uv/file_posix.h); the simulator and the tests bring their
// own, which lose or tear what was not synced. All calls block and belong on threads that may block
// (log, store, pool). A FileSystem may be used from any thread. A File belongs to one thread,
// except read(), which any number of threads may call, also while the owner writes elsewhere in the
// file.
//
// Errors are kIo and name the path, the operation and errno; kOverloaded where no descriptor is
// left to open something with: nothing was changed, and it may be tried again (PatientFiles). A
// failed sync() or write_durably() means that what was written may be lost although the system
// forgets that it failed: give the file up, never retry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/result.h"
#include "wire/log/data_directory.h"

namespace bib::engine {

// Memory that direct I/O takes. Freshly made, it is zero.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 4096;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size);
  // Zero as well, but new from the system where that gives such memory: what is never touched costs
  // nothing, and what is touched costs more. For much of which little may be needed.
  static AlignedBuffer untouched(std::size_t size);
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();

  std::uint8_t* data() { return data_; }
  std::size_t size() const { return size_; }
  wire::ByteView view() const { return {data_, size_}; }

 private:
  void* memory_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

class File {
 public:
  virtual ~File() = default;

  // Reads up to out.size() bytes; fewer only where the file ends. Returns how many.
  virtual wire::Result<std::size_t> read(std::uint64_t offset, std::span<std::uint8_t> out) = 0;
  // Writes all the parts, one after another. With direct I/O (is_direct()) the offset and every
  // part's address and size must be multiples of direct_alignment().
  virtual wire::Status write(std::uint64_t offset, std::span<const wire::ByteView> parts) = 0;
  wire::Status write(std::uint64_t offset, wire::ByteView bytes) {
    return write(offset, std::span<const wire::ByteView>(&bytes, 1));
  }
  // Writes, and these bytes are durable when it returns. Nothing is said of earlier ones.
  virtual wire::Status write_durably(std::uint64_t offset, wire::ByteView bytes) {
    BIB_TRY_VOID(write(offset, bytes));
    return sync();
  }
  // Everything written to this file so far is durable, and its size with it.
  virtual wire::Status sync() = 0;
  virtual wire::Result<std::uint64_t> size() = 0;
  // Reserves the space up to `bytes` and makes the file that long (the new part reads as zeros), or
  // fails without writing when the disk has no room.
  virtual wire::Status allocate(std::uint64_t bytes) = 0;

  // Direct I/O goes past the page cache; 1: buffered, no rules.
  virtual std::uint32_t direct_alignment() const = 0;
  bool is_direct() const { return direct_alignment() > 1; }
};

// An exclusive claim on a directory, given up by the destructor and by the end of the process.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

enum class OpenMode : std::uint8_t {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // must not exist
};

struct OpenOptions {
  OpenMode mode = OpenMode::kRead;
  bool direct = false;  // direct I/O where the file system takes it, buffered where it does not
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Regular files only: kIo for a link, a FIFO, a device or a directory in a file's place, at once.
  virtual wire::Result<std::unique_ptr<File>> open(const std::string& path,
                                                   OpenOptions options) = 0;
  // Makes the directory and its parents; none of it is an error when it exists. The names are
  // durable when it returns, also those that an earlier run made and did not come to sync.
  virtual wire::Status make_directories(const std::string& path) = 0;
  // The names in the directory, sorted. An absent directory is an empty one.
  virtual wire::Result<std::vector<std::string>> list(const std::string& directory) = 0;
  // The kind of the name itself: links are not followed. kAbsent is no error.
  virtual wire::Result<wire::FileKind> kind(const std::string& path) = 0;
  // Of what a link points to; of the name itself where it is none.
  virtual wire::Result<wire::FileKind> target_kind(const std::string& path) { return kind(path); }
  // Atomic; replaces `to`, if that is a file. Durable after sync_directory() of the parent.
  virtual wire::Status rename(const std::string& from, const std::string& to) = 0;
  virtual wire::Status remove(const std::string& path) = 0;
  // A second name for the file's content, which must not be changed any more; `to` must not exist.
  // kUnsupported where the file system has no such thing: copy it.
  virtual wire::Status link(const std::string& from, const std::string& to) = 0;
  // Must be empty.
  virtual wire::Status remove_directory(const std::string& path) = 0;
  // Created, renamed and removed names of the directory are durable.
  virtual wire::Status sync_directory(const std::string& directory) = 0;

  // The unit (512 or 4096) that the disk below the directory rewrites as a whole: a write that
  // keeps to it cannot harm older neighbours when the power fails. 4096 where it is not known.
  virtual wire::Result<std::uint32_t> write_unit(const std::string& directory) = 0;

  // Bytes that this process may still write on the disk of the directory.
  virtual wire::Result<std::uint64_t> free_bytes(const std::string& directory) = 0;

  // Takes <directory>/LOCK, which must be held by one process at a time. kRefused names the process
  // that holds it.
  virtual wire::Result<std::unique_ptr<DirectoryLock>> lock(const std::string& directory) = 0;
};

using wire::join_path;

// As remove(), but a file that is not there is no error: somebody has done what was to be done.
wire::Status remove_if_there(FileSystem& files, const std::string& path);

// Whether `name` is in the directory. An absent directory holds nothing.
wire::Result<bool> has_name(FileSystem& files, const std::string& directory, std::string_view name);

}  // namespace bib::engine
