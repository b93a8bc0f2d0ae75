#include "engine/uv/file_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "wire/base/check.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

namespace {

constexpr std::size_t kPartsMax = 64;

std::string advice_for(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return ": free space on that disk, then start the node again";
    case EACCES:
    case EPERM:
      return fmt::format(
          ": the node's user (uid {}) must be able to read and write there. Nothing is damaged: "
          "give "
          "it the files and directories (chown), and start the node again",
          ::geteuid());
    case EROFS:
      return ": that disk is mounted read-only; mount it for writing";
    case EIO:
      return ": the disk may be failing; look at the kernel's log";
    case EBUSY:
      return ": a disk is mounted there, so it cannot be moved. Mount it elsewhere, and set "
             "data_dir "
             "to a directory on it";
    case ELOOP:
      return ": symbolic links there lead to each other; correct them";
    default:
      return {};
  }
}

tl::unexpected<wire::Error> io_error(const char* operation, const std::string& path,
                                     int error_number) {
  if (error_number == EMFILE || error_number == ENFILE) {
    return wire::fail(ErrorCode::kOverloaded,
                      "cannot {} {}: {}: this process or machine has no descriptor left; raise its "
                      "limit, or lower limits.client_connections",
                      operation, path, wire::errno_text(error_number));
  }
  return wire::fail(ErrorCode::kIo, "cannot {} {}: {}{}", operation, path,
                    wire::errno_text(error_number), advice_for(error_number));
}

wire::FileKind kind_of(const struct stat& info) {
  if (S_ISREG(info.st_mode)) return wire::FileKind::kRegular;
  if (S_ISDIR(info.st_mode)) return wire::FileKind::kDirectory;
  if (S_ISSOCK(info.st_mode)) return wire::FileKind::kSocket;
  return S_ISLNK(info.st_mode) ? wire::FileKind::kLink : wire::FileKind::kOther;
}

struct Opened {
  int descriptor = -1;  // the caller's; below 0: why not is in the others
  int error_number = 0;
  wire::FileKind found = wire::FileKind::kRegular;
};

// Regular files only: a FIFO would wait for its other end, a device may do anything, and a link's
// file is not ours.
Opened open_regular(const std::string& path, int flags) {
  // O_NONBLOCK means nothing to a regular file.
  const int descriptor =
      ::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
  const int outcome = descriptor < 0 ? errno : 0;
  struct stat info {};
  if (descriptor < 0) {
    const bool is_there = outcome != EEXIST && ::lstat(path.c_str(), &info) == 0;
    return {-1, outcome, is_there ? kind_of(info) : wire::FileKind::kRegular};
  }
  if (::fstat(descriptor, &info) != 0) info.st_mode = 0;
  if (S_ISREG(info.st_mode)) return {descriptor, 0, wire::FileKind::kRegular};
  ::close(descriptor);
  return {-1, EINVAL, kind_of(info)};
}

tl::unexpected<wire::Error> not_opened(const char* operation, const std::string& path,
                                       const Opened& opened) {
  if (opened.found == wire::FileKind::kRegular) {
    return io_error(operation, path, opened.error_number);
  }
  const auto standing = wire::foreign_file(
      {.path = path, .found = opened.found, .expected = wire::FileKind::kRegular});
  return wire::fail(ErrorCode::kIo, "{}", wire::refusal_of(standing).message);
}

// What direct I/O on this file wants, 4096 where the kernel does not say.
std::uint32_t direct_alignment_of(int descriptor) {
#ifdef STATX_DIOALIGN
  struct statx info {};
  if (::statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
      (info.stx_mask & STATX_DIOALIGN) != 0 && info.stx_dio_offset_align != 0) {
    return std::max(info.stx_dio_offset_align, info.stx_dio_mem_align);
  }
#else
  static_cast<void>(descriptor);
#endif
  return 4096;
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path, std::uint32_t direct_alignment)
      : descriptor_(descriptor), path_(std::move(path)), direct_alignment_(direct_alignment) {}
  ~PosixFile() override { ::close(descriptor_); }

  Result<std::size_t> read(std::uint64_t offset, std::span<std::uint8_t> out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t count = ::pread(descriptor_, out.data() + done, out.size() - done,
                                    static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EINVAL && leave_direct()) continue;
      if (count < 0) return io_error("read", path_, errno);
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
      // The file's end at an odd place: direct I/O could not go on from there.
      if (is_direct() && done % direct_alignment() != 0) break;
    }
    return done;
  }

  Status write(std::uint64_t offset, std::span<const wire::ByteView> parts) override {
    while (!parts.empty()) {
      const std::size_t count = std::min(parts.size(), kPartsMax);
      std::array<iovec, kPartsMax> vectors{};
      std::size_t bytes = 0;
      for (std::size_t i = 0; i < count; ++i) {
        vectors[i] = {const_cast<std::uint8_t*>(parts[i].data()), parts[i].size()};
        bytes += parts[i].size();
      }
      BIB_TRY_VOID(write_vectors(offset, std::span(vectors).first(count), bytes, 0));
      offset += bytes;
      parts = parts.subspan(count);
    }
    return {};
  }

  // One system call less than write and sync; and where the disk can force a single write through
  // its cache, it need not write out what others (the store) have left there.
  Status write_durably(std::uint64_t offset, wire::ByteView bytes) override {
    iovec vector{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    return write_vectors(offset, {&vector, 1}, bytes.size(), RWF_DSYNC);
  }

  Status sync() override {
    if (::fdatasync(descriptor_) != 0) return io_error("sync", path_, errno);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0) return io_error("look up the size of", path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Status allocate(std::uint64_t bytes) override {
    int outcome = 0;
    do {
      outcome = ::fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
    } while (outcome == EINTR);
    if (outcome == EOPNOTSUPP) {
      outcome = ::ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
    }
    if (outcome != 0) return io_error("reserve space for", path_, outcome);
    return {};
  }

  std::uint32_t direct_alignment() const override {
    return direct_alignment_.load(std::memory_order_relaxed);
  }

 private:
  Status write_vectors(std::uint64_t offset, std::span<iovec> vectors, std::size_t bytes,
                       int flags) {
    bool sync_behind = false;  // the file system does not know the flag
    while (bytes > 0) {
      const ssize_t count =
          ::pwritev2(descriptor_, vectors.data(), static_cast<int>(vectors.size()),
                     static_cast<off_t>(offset), flags);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EINVAL && leave_direct()) continue;
      if (count < 0 && errno == EOPNOTSUPP && flags != 0) {
        flags = 0;
        sync_behind = true;
        continue;
      }
      if (count < 0) return io_error("write", path_, errno);
      if (count == 0) return io_error("write", path_, ENOSPC);
      offset += static_cast<std::uint64_t>(count);
      bytes -= static_cast<std::size_t>(count);
      for (auto left = static_cast<std::size_t>(count); left > 0;) {
        const std::size_t taken = std::min(left, vectors.front().iov_len);
        vectors.front().iov_base = static_cast<std::uint8_t*>(vectors.front().iov_base) + taken;
        vectors.front().iov_len -= taken;
        left -= taken;
        if (vectors.front().iov_len == 0) vectors = vectors.subspan(1);
      }
    }
    return sync_behind ? sync() : Status{};
  }

  // Some file systems take O_DIRECT at open() and refuse it at the first transfer; and a direct
  // write that was cut short may go on at an odd place. Nothing was transferred, so it is safe to
  // go on buffered. True when it was direct until now.
  bool leave_direct() {
    if (!is_direct()) return false;
    const int flags = ::fcntl(descriptor_, F_GETFL);
    if (flags < 0 || ::fcntl(descriptor_, F_SETFL, flags & ~O_DIRECT) != 0) return false;
    direct_alignment_.store(1, std::memory_order_relaxed);
    return true;
  }

  const int descriptor_;
  const std::string path_;
  std::atomic<std::uint32_t> direct_alignment_;
};

class PosixLock final : public DirectoryLock {
 public:
  explicit PosixLock(int descriptor) : descriptor_(descriptor) {}
  ~PosixLock() override { ::close(descriptor_); }

 private:
  const int descriptor_;
};

Result<std::unique_ptr<DirectoryLock>> lock_held(int descriptor, const std::string& directory) {
  std::array<char, 32> text{};
  const ssize_t count = ::pread(descriptor, text.data(), text.size() - 1, 0);
  ::close(descriptor);
  const long process = count > 0 ? std::strtol(text.data(), nullptr, 10) : 0;
  return wire::fail(ErrorCode::kRefused,
                    "the data directory {} is in use by {}: two nodes must not share it. Stop that "
                    "process first, or give this node another data_dir",
                    directory,
                    process > 0 ? fmt::format("process {}", process) : "another process");
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
    int flags = 0;
    if (options.mode == OpenMode::kRead) flags = O_RDONLY;
    if (options.mode == OpenMode::kReadWrite) flags = O_RDWR;
    if (options.mode == OpenMode::kCreate) flags = O_RDWR | O_CREAT | O_EXCL;
    const char* operation = options.mode == OpenMode::kCreate ? "create" : "open";
    if (options.direct) {
      const Opened opened = open_regular(path, flags | O_DIRECT);
      if (opened.descriptor >= 0) {
        return std::make_unique<PosixFile>(opened.descriptor, path,
                                           direct_alignment_of(opened.descriptor));
      }
      if (opened.error_number != EINVAL || opened.found != wire::FileKind::kRegular) {
        return not_opened(operation, path, opened);
      }
      flags &= ~O_EXCL;  // the refused call may have created it
    }
    const Opened opened = open_regular(path, flags);
    if (opened.descriptor < 0) return not_opened(operation, path, opened);
    return std::make_unique<PosixFile>(opened.descriptor, path, 1);
  }

  Status make_directories(const std::string& path) override {
    if (::mkdir(path.c_str(), 0750) == 0) return sync_directory(parent_of(path));
    if (errno == EEXIST) {
      struct stat info {};
      if (::stat(path.c_str(), &info) != 0) return io_error("look up", path, errno);
      if (!S_ISDIR(info.st_mode)) return io_error("make directory", path, ENOTDIR);
      // It may have been made by a run that was killed before it could sync the name. (A parent
      // that may not be read holds nothing that was made here.)
      const std::string parent = parent_of(path);
      return ::access(parent.c_str(), R_OK) == 0 ? sync_directory(parent) : Status{};
    }
    if (errno != ENOENT) return io_error("make directory", path, errno);
    BIB_TRY_VOID(make_directories(parent_of(path)));
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
      return io_error("make directory", path, errno);
    }
    return sync_directory(parent_of(path));
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    std::vector<std::string> names;
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) {
      if (errno == ENOENT) return names;
      return io_error("list", directory, errno);
    }
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int outcome = errno;
    ::closedir(stream);
    if (outcome != 0) return io_error("list", directory, outcome);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return io_error("rename to", to, errno);
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return io_error("remove", path, errno);
    return {};
  }

  Status link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return {};
    const int outcome = errno;
    if (outcome == EPERM || outcome == EXDEV || outcome == EOPNOTSUPP || outcome == EMLINK) {
      return wire::fail(ErrorCode::kUnsupported, "cannot link {} to {}: {}", to, from,
                        wire::errno_text(outcome));
    }
    return io_error("link to", to, outcome);
  }

  Status remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return io_error("remove directory", path, errno);
    return {};
  }

  Status sync_directory(const std::string& directory) override {
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return io_error("open directory", directory, errno);
    const int outcome = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    if (outcome != 0) return io_error("sync directory", directory, outcome);
    return {};
  }

  Result<wire::FileKind> kind(const std::string& path) override {
    struct stat info {};
    return kind_after(::lstat(path.c_str(), &info), info, path);
  }

  Result<wire::FileKind> target_kind(const std::string& path) override {
    struct stat info {};
    return kind_after(::stat(path.c_str(), &info), info, path);
  }

  Result<std::uint32_t> write_unit(const std::string& directory) override {
    struct stat info {};
    if (::stat(directory.c_str(), &info) != 0) return io_error("look up", directory, errno);
    const std::string device =
        fmt::format("/sys/dev/block/{}:{}", major(info.st_dev), minor(info.st_dev));
    // A partition's queue is its disk's.
    for (const char* queue : {"/queue/", "/../queue/"}) {
      std::ifstream file(device + queue + "physical_block_size");
      std::uint32_t bytes = 0;
      if (file >> bytes) return bytes <= 512 ? 512U : 4096U;
    }
    return 4096U;
  }

  Result<std::uint64_t> free_bytes(const std::string& directory) override {
    struct statvfs info {};
    if (::statvfs(directory.c_str(), &info) != 0) return io_error("look up", directory, errno);
    return std::uint64_t{info.f_bavail} * info.f_frsize;
  }

  Result<std::unique_ptr<DirectoryLock>> lock(const std::string& directory) override {
    const std::string path = join_path(directory, wire::kLockName);
    const Opened opened = open_regular(path, O_RDWR | O_CREAT);
    if (opened.descriptor < 0) return not_opened("open", path, opened);
    const int descriptor = opened.descriptor;
    int outcome = 0;
    do {
      outcome = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    } while (outcome == EINTR);
    if (outcome == EWOULDBLOCK) return lock_held(descriptor, directory);
    const std::string text = fmt::format("{}\n", ::getpid());
    // Whose lock it is only helps people; a disk too full to say so changes nothing.
    if (outcome == 0 && (::ftruncate(descriptor, 0) != 0 ||
                         ::pwrite(descriptor, text.data(), text.size(), 0) < 0)) {
      outcome = errno == ENOSPC ? 0 : errno;
    }
    if (outcome != 0) {
      ::close(descriptor);
      return io_error("lock", path, outcome);
    }
    return std::make_unique<PosixLock>(descriptor);
  }

 private:
  static Result<wire::FileKind> kind_after(int looked, const struct stat& info,
                                           const std::string& path) {
    if (looked == 0) return kind_of(info);
    if (errno == ENOENT) return wire::FileKind::kAbsent;
    return io_error("look up", path, errno);
  }

  static std::string parent_of(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    if (end == std::string::npos) return "/";
    const std::size_t slash = path.find_last_of('/', end);
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem file_system;
  return file_system;
}

}  // namespace bib::engine
