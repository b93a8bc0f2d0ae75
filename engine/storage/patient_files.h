// PatientFiles: a file system whose caller waits when the process, or the machine, has no
// descriptor left, instead of failing.
//
// What could not be opened for that reason has changed nothing, so it is tried again until it
// succeeds or the waiting is given up; that is kIo then, as any other failure. Whoever waits for
// the caller waits, too: a log's thread acknowledges nothing meanwhile. Thread-safe if `files` and
// `wait` are.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/ports/file.h"

namespace bib::engine {

class PatientFiles final : public FileSystem {
 public:
  // Blocks for a moment; false: it has been long enough. `attempt` counts the failures, from 1.
  using Wait = std::function<bool(unsigned attempt)>;

  PatientFiles(FileSystem& files, Wait wait) : files_(files), wait_(std::move(wait)) {}

  wire::Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override;
  wire::Status make_directories(const std::string& path) override;
  wire::Result<std::vector<std::string>> list(const std::string& directory) override;
  wire::Status sync_directory(const std::string& directory) override;
  wire::Result<std::unique_ptr<DirectoryLock>> lock(const std::string& directory) override;

  // These take no descriptor.
  wire::Result<wire::FileKind> kind(const std::string& path) override { return files_.kind(path); }
  wire::Result<wire::FileKind> target_kind(const std::string& path) override {
    return files_.target_kind(path);
  }
  wire::Status rename(const std::string& from, const std::string& to) override {
    return files_.rename(from, to);
  }
  wire::Status remove(const std::string& path) override { return files_.remove(path); }
  wire::Status link(const std::string& from, const std::string& to) override {
    return files_.link(from, to);
  }
  wire::Status remove_directory(const std::string& path) override {
    return files_.remove_directory(path);
  }
  wire::Result<std::uint64_t> free_bytes(const std::string& directory) override {
    return files_.free_bytes(directory);
  }
  wire::Result<std::uint32_t> write_unit(const std::string& directory) override {
    return files_.write_unit(directory);
  }

 private:
  template <typename Try>
  auto patiently(Try attempt) -> decltype(attempt());

  FileSystem& files_;
  Wait wait_;
};

}  // namespace bib::engine
