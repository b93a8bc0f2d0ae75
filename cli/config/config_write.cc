// write_config_file(): the file appears whole or not at all.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "cli/config/config_file.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;

// A file that is closed, and removed if it still has its temporary name, at the end of its life.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {
    fd_ = open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
    exists_ = fd_ >= 0;
  }
  ~TemporaryFile() {
    if (fd_ >= 0) close(fd_);
    if (exists_) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  bool opened() const { return fd_ >= 0; }

  bool write_and_sync(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = write(fd_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return false;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return fsync(fd_) == 0;
  }

  // link() and not rename() where the target must not exist: the system checks and acts in one.
  bool move_to(const std::string& target, bool replace) {
    if (!replace) return link(path_.c_str(), target.c_str()) == 0;
    if (rename(path_.c_str(), target.c_str()) != 0) return false;
    exists_ = false;
    return true;
  }

 private:
  std::string path_;
  int fd_ = -1;
  bool exists_ = false;
};

void sync_folder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

wire::Status cannot_write(const std::string& path, int error_number) {
  return wire::fail(ErrorCode::kConfig,
                    "{} cannot be written: {}. Choose another place with --config FILE", path,
                    wire::errno_text(error_number));
}

}  // namespace

wire::Status write_config_file(const std::string& path, std::string_view text, bool replace) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return cannot_write(path, error.value());

  const std::string temporary = fmt::format("{}.new.{}", path, getpid());
  TemporaryFile file(temporary);
  if (!file.opened() || !file.write_and_sync(text)) return cannot_write(path, errno);
  if (!file.move_to(path, replace)) {
    if (errno == EEXIST) {
      return wire::fail(ErrorCode::kConfig,
                        "{} exists already, and nothing was changed. Replace it with --force, or "
                        "write another with --config FILE",
                        path);
    }
    return cannot_write(path, errno);
  }
  sync_folder(folder);
  return {};
}

}  // namespace bib::cli
