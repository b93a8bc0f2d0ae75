// SimDisk: one node's disk in the simulation: it forgets or tears what was not synced, fails a
// sync, runs full, rots, misdirects a write, and is wiped.
//
// Keeps what the process sees and what survives. A sync makes a file's bytes survive,
// sync_directory() the directory's names. A killed process loses nothing (the page cache lives on);
// after a power failure each unsynced 512-byte sector is in one of its states since the last sync,
// and of each directory's unsynced names a prefix of the changes survives, whatever became of other
// directories. Direct I/O's rules are checked. Like tests/engine/faulty_file_system, but for one
// thread and many times as fast.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ports/file.h"
#include "wire/base/prng.h"

namespace bib::sim {

class SimDisk final : public engine::FileSystem {
 public:
  static constexpr std::size_t kSector = 512;

  explicit SimDisk(std::uint32_t write_unit);

  wire::Result<std::unique_ptr<engine::File>> open(const std::string& path,
                                                   engine::OpenOptions options) override;
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
  wire::Result<std::unique_ptr<engine::DirectoryLock>> lock(const std::string& directory) override;

  // ---- the process and the power
  // The process dies when it has made so many changes from now on: the last one takes place, and
  // everything fails after it. 0: at once.
  void crash_after(std::uint64_t changes);
  bool crashed() const { return crashed_; }
  // Changes since the last call.
  std::uint64_t take_changes();
  // A new process; what the last one wrote is there.
  void restart();
  // What was not synced is lost in part.
  void lose_power(wire::Prng& random);
  void wipe();

  // ---- faults
  // Once. `forgets`: what it should have made durable is gone; if not, it may still survive.
  void fail_next_sync(bool forgets) {
    fail_sync_ = true;
    failed_sync_forgets_ = forgets;
  }
  void heal() { fail_sync_ = false; }
  // While it lasts nothing can be opened: the process has no descriptor left (kOverloaded).
  void refuse_opening(bool refuses) { refuses_opening_ = refuses; }
  // No more bytes than are used now, plus `more`; nullopt: plenty.
  void limit_space(std::optional<std::uint64_t> more);
  // Flips one bit of what is durable between two offsets of a file; false when nothing is there.
  bool rot(const std::string& path, std::uint64_t from, std::uint64_t to, wire::Prng& random);
  // The same of one name of a file that may have several: the others keep what was there. It is
  // durable.
  bool rot_one_link(const std::string& path, wire::Prng& random);
  // The name is gone, durably.
  bool lose(const std::string& path);
  // One write unit, with which a write began that went to `from`, has gone to `to` as well, over
  // what is durable there; false when either is not there, or when both hold the same.
  struct Spot {
    std::string path;
    std::uint64_t offset = 0;  // anywhere in the unit
  };
  bool misdirect(const Spot& from, const Spot& to);
  // Two durable names in one directory, each with the other's file; false when they are not there.
  bool exchange_names(const std::string& one, const std::string& other);

  std::uint64_t used() const { return used_; }

 private:
  friend class SimFile;
  struct Piece {  // a write since the last whole sync, or (no data) a sync of a range
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::vector<std::uint8_t> data;
  };
  struct Inode;
  using InodePtr = std::shared_ptr<Inode>;
  using Names = std::map<std::string, InodePtr, std::less<>>;
  struct NameChange {
    std::string name;      // gets `inode`, or vanishes when that is null
    InodePtr inode;        // null: removed
    std::string old_name;  // a rename's; vanishes with the same change
  };
  struct Inode {
    bool is_directory = false;
    // Of a file.
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint8_t> durable;
    std::vector<Piece> unsynced;
    std::uint32_t links = 0;
    // Of a directory.
    Names names;
    Names durable_names;
    std::vector<NameChange> changes;  // since the last sync, in order
  };
  struct Place {  // a name in a directory that exists
    Inode* directory = nullptr;
    std::string name;
    InodePtr inode;  // null: no such name
  };

  wire::Status begin_change(const std::string& path);
  wire::Status end_change(const std::string& path);
  InodePtr find(std::string_view path) const;
  Place place_of(const std::string& path) const;
  void change_name(Inode& directory, NameChange change);
  static void apply(const NameChange& change, Names& names);
  static void sync_names(Inode& directory);
  void drop_link(Inode& inode);
  void lose_names(Inode& directory, wire::Prng& random);
  void tear_files(Inode& directory, wire::Prng& random);
  wire::Status write(Inode& inode, const std::string& path, std::uint64_t offset,
                     std::span<const wire::ByteView> parts);
  wire::Status sync_all(Inode& inode, const std::string& path);
  wire::Status sync_range(Inode& inode, const std::string& path, std::uint64_t offset,
                          std::uint64_t size);
  wire::Status grow(Inode& inode, const std::string& path, std::uint64_t bytes);
  wire::Status fail_sync(Inode& inode, const std::string& path);
  static void copy_range(Inode& inode, std::uint64_t offset, std::uint64_t size);
  static void tear(Inode& inode, wire::Prng& random);

  std::uint32_t write_unit_;
  InodePtr root_;
  std::uint64_t changes_ = 0;
  std::uint64_t used_ = 0;
  std::optional<std::uint64_t> crash_at_;
  std::optional<std::uint64_t> space_;
  bool fail_sync_ = false;
  bool refuses_opening_ = false;
  bool failed_sync_forgets_ = false;
  bool crashed_ = false;
};

}  // namespace bib::sim
