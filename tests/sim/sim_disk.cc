#include "sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wire/check.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

namespace {

tl::unexpected<wire::Error> io_error(const std::string& path, int error_number) {
  return wire::fail(ErrorCode::kIo, "cannot use {}: {}", path, wire::errno_text(error_number));
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

}  // namespace

class SimFile final : public engine::File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Inode> inode, std::string path,
          std::uint32_t alignment)
      : disk_(disk), inode_(std::move(inode)), path_(std::move(path)), alignment_(alignment) {}

  Result<std::size_t> read(std::uint64_t offset, std::span<std::uint8_t> out) override {
    check_rules(offset, out.data(), out.size());
    if (disk_.crashed_) return io_error(path_, EIO);
    if (offset >= inode_->bytes.size()) return 0U;
    const std::size_t count = std::min<std::size_t>(out.size(), inode_->bytes.size() - offset);
    std::memcpy(out.data(), inode_->bytes.data() + offset, count);
    return count;
  }
  Status write(std::uint64_t offset, std::span<const wire::ByteView> parts) override {
    for (const wire::ByteView part : parts) check_rules(offset, part.data(), part.size());
    return disk_.write(*inode_, path_, offset, parts);
  }
  // Two changes: a crash may come between them.
  Status write_durably(std::uint64_t offset, wire::ByteView bytes) override {
    BIB_TRY_VOID(write(offset, std::span<const wire::ByteView>(&bytes, 1)));
    return disk_.sync_range(*inode_, path_, offset, bytes.size());
  }
  Status sync() override { return disk_.sync_all(*inode_, path_); }
  Result<std::uint64_t> size() override { return inode_->bytes.size(); }
  Status allocate(std::uint64_t bytes) override {
    BIB_TRY_VOID(disk_.begin_change(path_));
    BIB_TRY_VOID(disk_.grow(*inode_, path_, bytes));
    return disk_.end_change(path_);
  }
  std::uint32_t direct_alignment() const override { return alignment_; }

 private:
  void check_rules(std::uint64_t offset, const std::uint8_t* data, std::size_t size) const {
    BIB_CHECK(offset % alignment_ == 0 && size % alignment_ == 0 &&
                  reinterpret_cast<std::uintptr_t>(data) % alignment_ == 0,
              "direct I/O of {} bytes at {} from {}", size, offset, static_cast<const void*>(data));
  }

  SimDisk& disk_;
  const std::shared_ptr<SimDisk::Inode> inode_;
  const std::string path_;
  const std::uint32_t alignment_;
};

// ---- the file system

Status SimDisk::begin_change(const std::string& path) {
  if (crashed_) return io_error(path, EIO);
  ++changes_;
  return {};
}

Status SimDisk::end_change(const std::string& path) {
  if (!crash_at_ || changes_ < *crash_at_) return {};
  crashed_ = true;
  return io_error(path, EIO);
}

void SimDisk::apply(const NameChange& change, Names& names) {
  if (change.inode) {
    names[change.path] = change.inode;
  } else {
    names.erase(change.path);
  }
  if (!change.old_path.empty()) names.erase(change.old_path);
}

void SimDisk::change_name(NameChange change) {
  change.directory = directory_of(change.path);
  apply(change, names_);
  unsynced_names_.push_back(std::move(change));
}

Result<std::unique_ptr<engine::File>> SimDisk::open(const std::string& path,
                                                    engine::OpenOptions options) {
  if (crashed_) return io_error(path, EIO);
  auto found = names_.find(path);
  if (options.mode == engine::OpenMode::kCreate) {
    if (found != names_.end()) return io_error(path, EEXIST);
    BIB_TRY_VOID(begin_change(path));
    change_name({.path = path, .inode = std::make_shared<Inode>()});
    BIB_TRY_VOID(end_change(path));
    found = names_.find(path);
  }
  if (found == names_.end()) return io_error(path, ENOENT);
  return std::make_unique<SimFile>(*this, found->second, path, options.direct ? 512U : 1U);
}

Status SimDisk::make_directories(const std::string& path) {
  if (crashed_) return io_error(path, EIO);
  return {};
}

Result<std::vector<std::string>> SimDisk::list(const std::string& directory) {
  if (crashed_) return io_error(directory, EIO);
  const std::string prefix = directory + "/";
  std::vector<std::string> names;
  for (auto at = names_.lower_bound(prefix); at != names_.end(); ++at) {
    if (!at->first.starts_with(prefix)) break;
    std::string name = at->first.substr(prefix.size());
    name.resize(std::min(name.size(), name.find('/')));
    if (names.empty() || names.back() != name) names.push_back(std::move(name));
  }
  return names;
}

Status SimDisk::rename(const std::string& from, const std::string& to) {
  BIB_TRY_VOID(begin_change(to));
  const auto found = names_.find(from);
  if (found == names_.end()) return io_error(from, ENOENT);
  change_name({.path = to, .inode = found->second, .old_path = from});
  return end_change(to);
}

Status SimDisk::remove(const std::string& path) {
  BIB_TRY_VOID(begin_change(path));
  const auto found = names_.find(path);
  if (found == names_.end()) return io_error(path, ENOENT);
  used_ -= std::min<std::uint64_t>(used_, found->second->bytes.size());
  change_name({.path = path});
  return end_change(path);
}

Status SimDisk::link(const std::string& from, const std::string& to) {
  BIB_TRY_VOID(begin_change(to));
  const auto found = names_.find(from);
  if (found == names_.end()) return io_error(from, ENOENT);
  if (names_.contains(to)) return io_error(to, EEXIST);
  change_name({.path = to, .inode = found->second});
  return end_change(to);
}

// Directories are no more than parts of names here.
Status SimDisk::remove_directory(const std::string& path) {
  BIB_TRY_VOID(begin_change(path));
  return end_change(path);
}

Status SimDisk::sync_directory(const std::string& directory) {
  BIB_TRY_VOID(begin_change(directory));
  // A crash during the sync may come before or after its effect: before is the harder one.
  BIB_TRY_VOID(end_change(directory));
  std::erase_if(unsynced_names_, [&](const NameChange& change) {
    if (change.directory != directory) return false;
    apply(change, durable_names_);
    return true;
  });
  return {};
}

Result<std::uint32_t> SimDisk::write_unit(const std::string& /*directory*/) {
  return write_unit_;
}

Result<std::unique_ptr<engine::DirectoryLock>> SimDisk::lock(const std::string& /*directory*/) {
  return std::make_unique<engine::DirectoryLock>();
}

// ---- bytes

Status SimDisk::grow(Inode& inode, const std::string& path, std::uint64_t bytes) {
  if (bytes <= inode.bytes.size()) return {};
  const std::uint64_t more = bytes - inode.bytes.size();
  if (space_ && used_ + more > *space_) return io_error(path, ENOSPC);
  used_ += more;
  inode.bytes.resize(bytes);
  return {};
}

Status SimDisk::write(Inode& inode, const std::string& path, std::uint64_t offset,
                      std::span<const wire::ByteView> parts) {
  BIB_TRY_VOID(begin_change(path));
  std::uint64_t size = 0;
  for (const wire::ByteView part : parts) size += part.size();
  BIB_TRY_VOID(grow(inode, path, offset + size));
  Piece piece{offset, size, std::vector<std::uint8_t>(size)};
  std::uint64_t at = 0;
  for (const wire::ByteView part : parts) {
    std::memcpy(piece.data.data() + at, part.data(), part.size());
    at += part.size();
  }
  if (size > 0) std::memcpy(inode.bytes.data() + offset, piece.data.data(), size);
  inode.unsynced.push_back(std::move(piece));
  return end_change(path);
}

void SimDisk::copy_range(Inode& inode, std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t end = std::min<std::uint64_t>(offset + size, inode.bytes.size());
  if (offset >= end) return;
  if (inode.durable.size() < inode.bytes.size()) inode.durable.resize(inode.bytes.size());
  std::memcpy(inode.durable.data() + offset, inode.bytes.data() + offset, end - offset);
}

Status SimDisk::fail_sync(Inode& inode, const std::string& path) {
  fail_sync_ = false;
  if (failed_sync_forgets_) {
    inode.unsynced.clear();
    std::copy(inode.durable.begin(), inode.durable.end(), inode.bytes.begin());
    std::fill(inode.bytes.begin() + static_cast<std::ptrdiff_t>(inode.durable.size()),
              inode.bytes.end(), std::uint8_t{0});
  }
  return io_error(path, EIO);
}

Status SimDisk::sync_all(Inode& inode, const std::string& path) {
  BIB_TRY_VOID(begin_change(path));
  BIB_TRY_VOID(end_change(path));
  if (fail_sync_) return fail_sync(inode, path);
  inode.durable.resize(inode.bytes.size());
  for (const Piece& piece : inode.unsynced) copy_range(inode, piece.offset, piece.size);
  inode.unsynced.clear();
  return {};
}

Status SimDisk::sync_range(Inode& inode, const std::string& path, std::uint64_t offset,
                           std::uint64_t size) {
  BIB_TRY_VOID(begin_change(path));
  BIB_TRY_VOID(end_change(path));
  if (fail_sync_) return fail_sync(inode, path);
  offset = offset / kSector * kSector;
  size = (size + kSector - 1) / kSector * kSector;
  copy_range(inode, offset, size);
  const bool covers_all =
      std::all_of(inode.unsynced.begin(), inode.unsynced.end(), [&](const Piece& piece) {
        return piece.offset >= offset && piece.offset + piece.size <= offset + size;
      });
  if (covers_all) {
    inode.unsynced.clear();
  } else {
    inode.unsynced.push_back({offset, size, {}});
  }
  return {};
}

// ---- crashes

void SimDisk::crash_after(std::uint64_t changes) {
  if (changes == 0) crashed_ = true;
  crash_at_ = changes_ + changes;
}

std::uint64_t SimDisk::take_changes() {
  return std::exchange(changes_, 0);
}

void SimDisk::restart() {
  crashed_ = false;
  crash_at_.reset();
  fail_sync_ = false;
  changes_ = 0;
}

// Of each unsynced sector one of its states: 0 is the synced one.
void SimDisk::tear(Inode& inode, wire::Prng& random) {
  struct State {
    std::uint64_t offset;
    std::uint64_t size;
    const std::uint8_t* data;
  };
  std::map<std::uint64_t, std::vector<State>> sectors;
  for (const Piece& piece : inode.unsynced) {
    const std::uint64_t end = piece.offset + piece.size;
    for (std::uint64_t sector = piece.offset / kSector; sector * kSector < end; ++sector) {
      if (piece.data.empty()) {
        sectors.erase(sector);
        continue;
      }
      const std::uint64_t from = std::max<std::uint64_t>(sector * kSector, piece.offset);
      const std::uint64_t to = std::min<std::uint64_t>((sector + 1) * kSector, end);
      sectors[sector].push_back({from, to - from, piece.data.data() + (from - piece.offset)});
    }
  }
  // Sometimes nothing survives, sometimes all, mostly a part.
  const std::uint64_t mood = random.below(4);
  for (const auto& [sector, states] : sectors) {
    const std::size_t kept = mood == 0   ? 0
                             : mood == 1 ? states.size()
                                         : random.below(states.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) {
      const State& state = states[i];
      if (inode.durable.size() < state.offset + state.size) {
        inode.durable.resize(state.offset + state.size);
      }
      std::memcpy(inode.durable.data() + state.offset, state.data, state.size);
    }
  }
  inode.bytes = inode.durable;
  inode.unsynced.clear();
}

void SimDisk::lose_power(wire::Prng& random) {
  // A prefix of each directory's changes.
  std::map<std::string, std::size_t> counts;
  for (const NameChange& change : unsynced_names_) ++counts[change.directory];
  for (auto& [directory, count] : counts) count = random.below(count + 1);
  for (const NameChange& change : unsynced_names_) {
    std::size_t& left = counts[change.directory];
    if (left == 0) continue;
    --left;
    apply(change, durable_names_);
  }
  unsynced_names_.clear();
  names_ = durable_names_;
  used_ = 0;
  std::vector<Inode*> torn;
  for (const auto& [path, inode] : names_) {
    if (std::find(torn.begin(), torn.end(), inode.get()) != torn.end()) continue;
    torn.push_back(inode.get());
    tear(*inode, random);
    used_ += inode->bytes.size();
  }
}

void SimDisk::wipe() {
  names_.clear();
  durable_names_.clear();
  unsynced_names_.clear();
  used_ = 0;
}

// ---- faults

void SimDisk::limit_space(std::optional<std::uint64_t> more) {
  if (more) {
    space_ = used_ + *more;
  } else {
    space_.reset();
  }
}

bool SimDisk::rot(const std::string& path, std::uint64_t from, std::uint64_t to,
                  wire::Prng& random) {
  const auto found = names_.find(path);
  if (found == names_.end()) return false;
  Inode& inode = *found->second;
  to = std::min<std::uint64_t>(to, std::min(inode.durable.size(), inode.bytes.size()));
  if (from >= to) return false;
  const std::uint64_t at = random.between(from, to - 1);
  const auto mask = static_cast<std::uint8_t>(1U << random.below(8));
  inode.durable[at] ^= mask;
  inode.bytes[at] ^= mask;
  return true;
}

std::vector<std::string> SimDisk::paths(const std::string& prefix) const {
  std::vector<std::string> paths;
  for (auto at = names_.lower_bound(prefix); at != names_.end(); ++at) {
    if (!at->first.starts_with(prefix)) break;
    paths.push_back(at->first);
  }
  return paths;
}

}  // namespace bib::sim
