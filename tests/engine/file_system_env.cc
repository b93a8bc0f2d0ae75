#include "file_system_env.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "wire/base/bytes.h"

namespace bib::engine {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

IOStatus to_io(const wire::Status& status) {
  return status ? IOStatus::OK() : IOStatus::IOError(status.error().message);
}
IOStatus to_io(const wire::Error& error) {
  return IOStatus::IOError(error.message);
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

IOStatus read_at(File& file, std::uint64_t offset, std::size_t size, rocksdb::Slice* result,
                 char* scratch) {
  const auto count = file.read(offset, {reinterpret_cast<std::uint8_t*>(scratch), size});
  if (!count) return to_io(count.error());
  *result = rocksdb::Slice(scratch, *count);
  return IOStatus::OK();
}

class Sequential final : public rocksdb::FSSequentialFile {
 public:
  explicit Sequential(std::unique_ptr<File> file) : file_(std::move(file)) {}
  IOStatus Read(std::size_t size, const IOOptions&, rocksdb::Slice* result, char* scratch,
                IODebugContext*) override {
    const IOStatus status = read_at(*file_, offset_, size, result, scratch);
    if (status.ok()) offset_ += result->size();
    return status;
  }
  IOStatus Skip(std::uint64_t size) override {
    offset_ += size;
    return IOStatus::OK();
  }

 private:
  std::unique_ptr<File> file_;
  std::uint64_t offset_ = 0;
};

class RandomAccess final : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccess(std::unique_ptr<File> file) : file_(std::move(file)) {}
  IOStatus Read(std::uint64_t offset, std::size_t size, const IOOptions&, rocksdb::Slice* result,
                char* scratch, IODebugContext*) const override {
    return read_at(*file_, offset, size, result, scratch);
  }

 private:
  std::unique_ptr<File> file_;
};

class Writable final : public rocksdb::FSWritableFile {
 public:
  explicit Writable(std::unique_ptr<File> file) : file_(std::move(file)) {}
  using rocksdb::FSWritableFile::Append;
  IOStatus Append(const rocksdb::Slice& data, const IOOptions&, IODebugContext*) override {
    const auto status =
        file_->write(size_, wire::as_bytes(std::string_view(data.data(), data.size())));
    if (status) size_ += data.size();
    return to_io(status);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return to_io(file_->sync()); }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  std::unique_ptr<File> file_;
  std::uint64_t size_ = 0;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return to_io(files_.sync_directory(path_));
  }

 private:
  FileSystem& files_;
  const std::string path_;
};

class NoLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

class Files final : public rocksdb::FileSystem {
 public:
  explicit Files(engine::FileSystem& files) : files_(files) {}
  const char* Name() const override { return "bib-test-files"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override {
    return open<Sequential>(path, result);
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override {
    return open<RandomAccess>(path, result);
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override {
    if (exists(path)) {
      if (const auto removed = files_.remove(path); !removed) return to_io(removed);
    }
    auto file = files_.open(path, {.mode = OpenMode::kCreate, .direct = false});
    if (!file) return to_io(file.error());
    *result = std::make_unique<Writable>(*std::move(file));
    return IOStatus::OK();
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) override {
    *result = std::make_unique<Directory>(files_, without_slash(path));
    return IOStatus::OK();
  }
  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    return exists(path) ? IOStatus::OK() : IOStatus::NotFound(path);
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    const auto names = files_.list(without_slash(path));
    if (!names) return to_io(names.error());
    *result = *names;
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_io(files_.remove(path));
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_io(files_.make_directories(without_slash(path)));
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_io(files_.make_directories(without_slash(path)));
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_io(files_.remove_directory(without_slash(path)));
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, std::uint64_t* size,
                       IODebugContext*) override {
    auto file = files_.open(path, {.mode = OpenMode::kRead, .direct = false});
    if (!file) return to_io(file.error());
    const auto found = (*file)->size();
    if (!found) return to_io(found.error());
    *size = *found;
    return IOStatus::OK();
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, std::uint64_t* time,
                                   IODebugContext*) override {
    *time = 0;
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    return to_io(files_.rename(without_slash(from), without_slash(to)));
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions&,
                    IODebugContext*) override {
    return to_io(files_.link(from, to));
  }
  IOStatus LockFile(const std::string&, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    *lock = new rocksdb::FileLock;
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string* path, IODebugContext*) override {
    *path = "/test";
    return IOStatus::OK();
  }
  IOStatus NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rocksdb::Logger>* result,
                     IODebugContext*) override {
    *result = std::make_shared<NoLogger>();
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* result,
                           IODebugContext*) override {
    *result = path;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* result,
                       IODebugContext*) override {
    const auto names = files_.list(without_slash(path));
    *result = names && !names->empty();
    return IOStatus::OK();
  }

 private:
  template <typename Made, typename Base>
  IOStatus open(const std::string& path, std::unique_ptr<Base>* result) {
    if (!exists(path)) return IOStatus::NotFound(path);
    auto file = files_.open(path, {.mode = OpenMode::kRead, .direct = false});
    if (!file) return to_io(file.error());
    *result = std::make_unique<Made>(*std::move(file));
    return IOStatus::OK();
  }

  bool exists(const std::string& any_path) {
    const std::string path = without_slash(any_path);
    const std::size_t slash = path.find_last_of('/');
    const auto names = files_.list(path.substr(0, slash));
    return names && std::binary_search(names->begin(), names->end(), path.substr(slash + 1));
  }

  engine::FileSystem& files_;
};

}  // namespace

std::unique_ptr<rocksdb::Env> make_rocks_env(FileSystem& files) {
  return rocksdb::NewCompositeEnv(std::make_shared<Files>(files));
}

}  // namespace bib::engine
