#include "inspect/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <new>
#include <sstream>
#include <utility>

#include "wire/log/data_directory.h"
#include "wire/log/log_format.h"

namespace bib::inspect {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

namespace {

constexpr std::size_t kMemoryAlignment = 4096;
constexpr std::size_t kReadMax = 8U << 20;
constexpr std::size_t kPieceBytes = 1U << 20;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return number_; }

 private:
  int number_;
};

tl::unexpected<wire::Error> io_error(const char* operation, const std::string& path, int number) {
  const char* advice = "";
  if (number == EACCES || number == EPERM) {
    advice = ": run raft-inspect as the user that the node runs as";
  }
  return wire::fail(ErrorCode::kIo, "cannot {} {}: {}{}", operation, path, wire::errno_text(number),
                    advice);
}

wire::FileKind kind_of_mode(mode_t mode) {
  if (S_ISREG(mode)) return wire::FileKind::kRegular;
  if (S_ISDIR(mode)) return wire::FileKind::kDirectory;
  if (S_ISSOCK(mode)) return wire::FileKind::kSocket;
  return S_ISLNK(mode) ? wire::FileKind::kLink : wire::FileKind::kOther;
}

Status expect_regular(const std::string& path, wire::FileKind kind) {
  if (kind == wire::FileKind::kRegular) return {};
  return wire::fail(ErrorCode::kInvalid, "{} is a {}, not a regular file", path, to_string(kind));
}

struct OpenFile {
  Descriptor descriptor;
  std::uint64_t size = 0;
};

// Looked at before it is opened, because to open a device may change it, and again after it,
// because the name may be another file's by then. O_NONBLOCK: if that is a pipe, we do not wait.
Result<OpenFile> open_to_read(const std::string& path) {
  BIB_TRY(const wire::FileKind kind, kind_of(path));
  if (kind == wire::FileKind::kAbsent) return io_error("open", path, ENOENT);
  BIB_TRY_VOID(expect_regular(path, kind));
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  int number = ::open(path.c_str(), kFlags | O_DIRECT);
  if (number < 0 && errno == EINVAL) number = ::open(path.c_str(), kFlags);
  if (number < 0) return io_error("open", path, errno);
  OpenFile file{Descriptor(number)};
  struct stat info {};
  if (::fstat(number, &info) != 0) return io_error("look up", path, errno);
  BIB_TRY_VOID(expect_regular(path, kind_of_mode(info.st_mode)));
  file.size = static_cast<std::uint64_t>(info.st_size);
  return file;
}

// Links are followed: log/ may be one, and so may the directory that was asked for.
Result<bool> leads_to_directory(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode);
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return io_error("look up", path, errno);
}

// The path without the slashes at its end; "/" stays.
std::string trimmed(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

void FileBytes::Free::operator()(std::uint8_t* data) const {
  std::free(data);
}

void FileBytes::reserve(std::size_t size) {
  const std::size_t needed =
      std::max<std::size_t>((size + kMemoryAlignment - 1) / kMemoryAlignment, 1) * kMemoryAlignment;
  if (needed <= capacity_) return;
  data_.reset();
  capacity_ = 0;
  data_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kMemoryAlignment, needed)));
  if (!data_) throw std::bad_alloc();
  capacity_ = needed;
}

Status FileBytes::read(const std::string& path, std::uint64_t size_max) {
  size_ = 0;
  BIB_TRY(const OpenFile file, open_to_read(path));
  if (file.size > size_max) {
    return wire::fail(ErrorCode::kInvalid, "the file has {} bytes, more than the {} that it can be",
                      file.size, size_max);
  }
  reserve(file.size);
  return fill(file.descriptor.get(), path, file.size);
}

// Each read asks for whole pages, as direct reads must; the file's end makes the last one short.
Status FileBytes::fill(int descriptor, const std::string& path, std::size_t size) {
  std::size_t at = 0;
  while (at < size) {
    const std::size_t wanted = std::min(capacity_ - at, kReadMax);
    const ssize_t count = ::pread(descriptor, data_.get() + at, wanted, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(fmt::format("read (at offset {})", at).c_str(), path, errno);
    if (count == 0) break;
    at += static_cast<std::size_t>(count);
    if (at % kMemoryAlignment != 0) break;
  }
  if (at < size) {
    return wire::fail(ErrorCode::kIo, "{} ended at {} while it was read, not at {}", path, at,
                      size);
  }
  size_ = size;
  return {};
}

Status read_in_pieces(const std::string& path, const std::function<void(wire::ByteView)>& take) {
  BIB_TRY(const OpenFile file, open_to_read(path));
  const std::unique_ptr<std::uint8_t, void (*)(void*)> piece(
      static_cast<std::uint8_t*>(std::aligned_alloc(kMemoryAlignment, kPieceBytes)), std::free);
  if (!piece) throw std::bad_alloc();
  for (std::size_t at = 0;;) {
    const ssize_t count =
        ::pread(file.descriptor.get(), piece.get(), kPieceBytes, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(fmt::format("read (at offset {})", at).c_str(), path, errno);
    const auto size = static_cast<std::size_t>(count);
    take({piece.get(), size});
    at += size;
    // The file's end: from an odd place, direct reads cannot go on.
    if (size % kMemoryAlignment != 0 || size == 0) return {};
  }
}

namespace {

DataDirectory in_data_directory(const std::string& root) {
  return {root, join_path(root, wire::kLogName), join_path(root, wire::kStateName),
          join_path(root, wire::kLockName), join_path(root, wire::kSnapshotsName)};
}

// The data directory around a directory called "log"; empty when it is not one's.
std::string around_log(const std::string& log) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(log.c_str(), nullptr), std::free);
  if (!real) return {};
  const std::string path = real.get();
  const std::size_t slash = path.find_last_of('/');
  const std::string parent = path.substr(0, std::max<std::size_t>(slash, 1));
  const bool is_one = path.substr(slash + 1) == wire::kLogName &&
                      leads_to_directory(join_path(parent, wire::kStateName)).value_or(false);
  return is_one ? parent : std::string();
}

}  // namespace

Result<DataDirectory> DataDirectory::find(const std::string& directory) {
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) return io_error("open", directory, errno);
  const std::string root = trimmed(directory);
  if (S_ISDIR(info.st_mode)) {
    for (const char* name : {wire::kLogName, wire::kStateName, wire::kSnapshotsName}) {
      BIB_TRY(const bool is_there, leads_to_directory(join_path(root, name)));
      if (is_there) return in_data_directory(root);
    }
    BIB_TRY(const auto segments, list_segments(root));
    if (!segments.empty()) {
      const std::string data = around_log(root);
      DataDirectory found = data.empty() ? DataDirectory{} : in_data_directory(data);
      found.log = root;
      return found;
    }
  }
  return wire::fail(ErrorCode::kNotFound,
                    "{} is neither a bibd data directory nor its log directory: there is no 'log' "
                    "in it and no segment ({}). The data directory is `data_dir` in the node's "
                    "configuration",
                    directory, wire::segment_file_name(1));
}

Result<std::vector<std::string>> list_names(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) {
    if (errno == ENOENT) return names;
    return io_error("list", directory, errno);
  }
  for (errno = 0; const dirent* entry = ::readdir(stream.get()); errno = 0) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return io_error("list", directory, errno);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<std::uint64_t>> list_segments(const std::string& log_directory) {
  BIB_TRY(const auto names, list_names(log_directory));
  std::vector<std::uint64_t> segments;
  for (const std::string& name : names) {
    if (const auto number = wire::parse_segment_file_name(name)) segments.push_back(*number);
  }
  return segments;
}

Result<wire::FileKind> kind_of(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return kind_of_mode(info.st_mode);
  if (errno == ENOENT || errno == ENOTDIR) return wire::FileKind::kAbsent;
  return io_error("look up", path, errno);
}

Status expect_directory(const std::string& path) {
  BIB_TRY(const wire::FileKind kind, kind_of(path));
  if (kind == wire::FileKind::kAbsent || kind == wire::FileKind::kDirectory) return {};
  return wire::fail(ErrorCode::kInvalid, "not read: {} is a {}", path, to_string(kind));
}

// A file that has gone since it was listed is none of these.
Status expect_plain_files(const std::string& directory) {
  BIB_TRY(const auto names, list_names(directory));
  for (const std::string& name : names) {
    const std::string path = join_path(directory, name);
    BIB_TRY(const wire::FileKind kind, kind_of(path));
    if (kind != wire::FileKind::kAbsent && kind != wire::FileKind::kDirectory) {
      BIB_TRY_VOID(expect_regular(path, kind));
    }
  }
  return {};
}

std::optional<long> lock_holder(const std::string& lock_path) {
  struct stat info {};
  if (::stat(lock_path.c_str(), &info) != 0) return std::nullopt;
  const std::string inode = ":" + std::to_string(info.st_ino);
  std::ifstream locks("/proc/locks");
  // "1: FLOCK  ADVISORY  WRITE 709 08:01:131076 0 EOF". The device is left out of the comparison:
  // some file systems report another one in stat().
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, access, place;
    long process = 0;
    words >> number >> kind >> advisory >> access >> process >> place;
    if (words && kind == "FLOCK" && access == "WRITE" && place.ends_with(inode)) return process;
  }
  return std::nullopt;
}

}  // namespace bib::inspect
