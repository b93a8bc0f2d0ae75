// FaultyFileSystem: a disk in memory that forgets or tears what was not synced, and fails on
// demand.
//
// Like a real one it keeps two states: what the process sees, and what survives. A sync makes a
// file's bytes survive, sync_directory() its names. survivor() is the disk after a power failure:
// of each unsynced 512-byte sector one of its states since the last sync, of the unsynced names a
// prefix of the changes. A directory is there as long as there is a file in it. Direct I/O's rules
// are checked. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "wire/base/prng.h"

namespace bib::engine {

class FaultyFileSystem final : public FileSystem {
 public:
  static constexpr std::size_t kSector = 512;

  explicit FaultyFileSystem(std::uint32_t write_unit = 512) : write_unit_(write_unit) {}

  wire::Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override;
  wire::Status make_directories(const std::string& path) override;
  wire::Result<std::vector<std::string>> list(const std::string& directory) override;
  wire::Result<wire::FileKind> kind(const std::string& path) override;
  wire::Status rename(const std::string& from, const std::string& to) override;
  wire::Status remove(const std::string& path) override;
  wire::Status link(const std::string& from, const std::string& to) override;
  wire::Status remove_directory(const std::string& path) override;
  wire::Status sync_directory(const std::string& directory) override;
  wire::Result<std::uint32_t> write_unit(const std::string& directory) override;
  wire::Result<std::uint64_t> free_bytes(const std::string& directory) override;
  wire::Result<std::unique_ptr<DirectoryLock>> lock(const std::string& directory) override;

  // Faults. Counts are from now on; the first operation is number 1.
  void fail_sync_after(std::uint64_t syncs);   // that many succeed; the next one loses its writes
  void limit_space(std::uint64_t bytes);       // in all files together
  void crash_after(std::uint64_t operations);  // changes; the last one takes place, then all fail
  void before_sync(std::function<void()> hook);

  std::uint64_t operations() const;  // changes so far
  std::uint64_t syncs() const;
  bool crashed() const;
  // A new process after a crash of the old one alone: what was written is there, and no more
  // durable than it was.
  void restart_process();

  // Which state of a sector survives: 0 is the synced one, `count` the newest.
  using PickState =
      std::function<std::size_t(const std::string& path, std::uint64_t offset, std::size_t count)>;
  std::unique_ptr<FaultyFileSystem> survivor(wire::Prng& prng) const;
  std::unique_ptr<FaultyFileSystem> survivor(const PickState& pick) const;

  // The bytes as the process sees them; a change is durable at once.
  std::vector<std::uint8_t> content(const std::string& path) const;
  void set_content(const std::string& path, std::vector<std::uint8_t> bytes);
  void flip_bit(const std::string& path, std::uint64_t offset, unsigned bit);
  std::vector<std::string> paths() const;
  void forget(const std::string& path);  // as if somebody had removed the file
  std::unique_ptr<FaultyFileSystem> copy() const;

 private:
  friend class FaultyFile;
  struct Inode {
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint8_t> durable;
    // By sector: its states since the last sync, oldest first.
    std::map<std::uint64_t, std::vector<std::vector<std::uint8_t>>> unsynced;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  wire::Status rename_directory(const std::string& from, const std::string& to);
  wire::Status begin_change(const std::string& path);
  wire::Status end_change(const std::string& path);
  wire::Status write(Inode& inode, const std::string& path, std::uint64_t offset,
                     std::span<const wire::ByteView> parts);
  // Of the sectors from `begin` up to `end` only.
  wire::Status sync(Inode& inode, const std::string& path, std::uint64_t begin, std::uint64_t end);
  wire::Status allocate(Inode& inode, const std::string& path, std::uint64_t bytes);
  wire::Status grow(Inode& inode, const std::string& path, std::uint64_t bytes);
  std::unique_ptr<FaultyFileSystem> survivor(const Names& names, const PickState& pick) const;

  mutable std::mutex mutex_;
  std::uint32_t write_unit_;
  Names names_;
  std::vector<Names> names_since_sync_;  // before each change of a name since the last sync
  std::uint64_t operations_ = 0;
  std::uint64_t syncs_ = 0;
  std::uint64_t used_ = 0;
  std::optional<std::uint64_t> crash_at_;
  std::optional<std::uint64_t> fail_sync_at_;
  std::optional<std::uint64_t> space_;
  bool crashed_ = false;
  std::function<void()> before_sync_;
};

}  // namespace bib::engine
