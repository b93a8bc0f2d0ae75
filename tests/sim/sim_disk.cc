#include "sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wire/base/check.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

namespace {

tl::unexpected<wire::Error> io_error(const std::string& path, int error_number) {
  return wire::fail(ErrorCode::kIo, "cannot use {}: {}", path, wire::errno_text(error_number));
}

tl::unexpected<wire::Error> no_descriptor(const std::string& path) {
  return wire::fail(ErrorCode::kOverloaded, "cannot open {}: {}", path, wire::errno_text(EMFILE));
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

SimDisk::SimDisk(std::uint32_t write_unit) : write_unit_(write_unit) {
  wipe();
}

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

// Null: there is no such file or directory.
SimDisk::InodePtr SimDisk::find(std::string_view path) const {
  InodePtr at = root_;
  while (!path.empty()) {
    if (path.front() == '/') {
      path.remove_prefix(1);
      continue;
    }
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    const auto found = at->names.find(name);
    if (found == at->names.end()) return nullptr;
    at = found->second;
  }
  return at;
}

SimDisk::Place SimDisk::place_of(const std::string& path) const {
  const std::size_t slash = path.rfind('/');
  Place place;
  const InodePtr directory = find(std::string_view(path).substr(0, slash));
  if (!directory || !directory->is_directory) return place;
  place.directory = directory.get();
  place.name = path.substr(slash + 1);
  const auto found = directory->names.find(place.name);
  if (found != directory->names.end()) place.inode = found->second;
  return place;
}

void SimDisk::apply(const NameChange& change, Names& names) {
  if (change.inode) {
    names[change.name] = change.inode;
  } else {
    names.erase(change.name);
  }
  if (!change.old_name.empty()) names.erase(change.old_name);
}

void SimDisk::change_name(Inode& directory, NameChange change) {
  apply(change, directory.names);
  directory.changes.push_back(std::move(change));
}

void SimDisk::sync_names(Inode& directory) {
  for (const NameChange& change : directory.changes) apply(change, directory.durable_names);
  directory.changes.clear();
}

void SimDisk::drop_link(Inode& inode) {
  if (inode.is_directory || --inode.links > 0) return;
  used_ -= std::min<std::uint64_t>(used_, inode.bytes.size());
}

Result<std::unique_ptr<engine::File>> SimDisk::open(const std::string& path,
                                                    engine::OpenOptions options) {
  if (crashed_) return io_error(path, EIO);
  if (refuses_opening_) return no_descriptor(path);
  Place place = place_of(path);
  if (place.directory == nullptr) return io_error(path, ENOENT);
  if (options.mode == engine::OpenMode::kCreate) {
    if (place.inode) return io_error(path, EEXIST);
    BIB_TRY_VOID(begin_change(path));
    place.inode = std::make_shared<Inode>();
    place.inode->links = 1;
    change_name(*place.directory, {.name = place.name, .inode = place.inode, .old_name = {}});
    BIB_TRY_VOID(end_change(path));
  }
  if (!place.inode) return io_error(path, ENOENT);
  if (place.inode->is_directory) return io_error(path, EISDIR);
  return std::make_unique<SimFile>(*this, place.inode, path, options.direct ? 512U : 1U);
}

Status SimDisk::make_directories(const std::string& path) {
  if (crashed_) return io_error(path, EIO);
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const Place place = place_of(part);
    if (place.inode && !place.inode->is_directory) return io_error(part, ENOTDIR);
    if (!place.inode) {
      BIB_TRY_VOID(begin_change(part));
      const auto made = std::make_shared<Inode>();
      made->is_directory = true;
      change_name(*place.directory, {.name = place.name, .inode = made, .old_name = {}});
      BIB_TRY_VOID(end_change(part));
    }
    sync_names(*place.directory);
    if (slash == std::string::npos) return {};
  }
}

Result<std::vector<std::string>> SimDisk::list(const std::string& directory) {
  if (crashed_) return io_error(directory, EIO);
  if (refuses_opening_) return no_descriptor(directory);
  std::vector<std::string> names;
  const InodePtr found = find(directory);
  if (!found) return names;
  if (!found->is_directory) return io_error(directory, ENOTDIR);
  for (const auto& [name, inode] : found->names) names.push_back(name);
  return names;
}

Result<wire::FileKind> SimDisk::kind(const std::string& path) {
  if (crashed_) return io_error(path, EIO);
  const InodePtr found = find(path);
  if (!found) return wire::FileKind::kAbsent;
  return found->is_directory ? wire::FileKind::kDirectory : wire::FileKind::kRegular;
}

// Within one directory: nobody here moves anything further.
Status SimDisk::rename(const std::string& from, const std::string& to) {
  if (crashed_) return io_error(to, EIO);
  const Place old_place = place_of(from);
  const Place place = place_of(to);
  if (!old_place.inode || place.directory == nullptr) return io_error(from, ENOENT);
  BIB_CHECK(place.directory == old_place.directory, "{} is renamed to {}", from, to);
  if (place.inode && place.inode->is_directory) return io_error(to, ENOTEMPTY);
  BIB_TRY_VOID(begin_change(to));
  if (place.inode) drop_link(*place.inode);
  change_name(*place.directory,
              {.name = place.name, .inode = old_place.inode, .old_name = old_place.name});
  return end_change(to);
}

Status SimDisk::remove(const std::string& path) {
  if (crashed_) return io_error(path, EIO);
  const Place place = place_of(path);
  if (!place.inode) return io_error(path, ENOENT);
  if (place.inode->is_directory) return io_error(path, EISDIR);
  BIB_TRY_VOID(begin_change(path));
  drop_link(*place.inode);
  change_name(*place.directory, {.name = place.name, .inode = nullptr, .old_name = {}});
  return end_change(path);
}

Status SimDisk::link(const std::string& from, const std::string& to) {
  if (crashed_) return io_error(to, EIO);
  const InodePtr inode = find(from);
  const Place place = place_of(to);
  if (!inode || inode->is_directory || place.directory == nullptr) return io_error(from, ENOENT);
  if (place.inode) return io_error(to, EEXIST);
  BIB_TRY_VOID(begin_change(to));
  ++inode->links;
  change_name(*place.directory, {.name = place.name, .inode = inode, .old_name = {}});
  return end_change(to);
}

Status SimDisk::remove_directory(const std::string& path) {
  if (crashed_) return io_error(path, EIO);
  const Place place = place_of(path);
  if (!place.inode) return io_error(path, ENOENT);
  if (!place.inode->is_directory) return io_error(path, ENOTDIR);
  if (!place.inode->names.empty()) return io_error(path, ENOTEMPTY);
  BIB_TRY_VOID(begin_change(path));
  change_name(*place.directory, {.name = place.name, .inode = nullptr, .old_name = {}});
  return end_change(path);
}

Status SimDisk::sync_directory(const std::string& directory) {
  if (refuses_opening_ && !crashed_) return no_descriptor(directory);
  BIB_TRY_VOID(begin_change(directory));
  // A crash during the sync may come before or after its effect: before is the harder one.
  BIB_TRY_VOID(end_change(directory));
  const InodePtr found = find(directory);
  if (!found || !found->is_directory) return io_error(directory, ENOENT);
  sync_names(*found);
  return {};
}

Result<std::uint32_t> SimDisk::write_unit(const std::string& /*directory*/) {
  return write_unit_;
}

Result<std::uint64_t> SimDisk::free_bytes(const std::string& directory) {
  if (crashed_) return io_error(directory, EIO);
  if (!space_) return UINT64_MAX;
  return *space_ - std::min(used_, *space_);
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
  refuses_opening_ = false;
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

// A prefix of each directory's changes survives.
void SimDisk::lose_names(Inode& directory, wire::Prng& random) {
  if (!directory.changes.empty()) {
    const std::size_t kept = random.below(directory.changes.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) apply(directory.changes[i], directory.durable_names);
    directory.changes.clear();
    directory.names = directory.durable_names;
  }
  for (const auto& [name, inode] : directory.names) {
    inode->links = 0;
    if (inode->is_directory) lose_names(*inode, random);
  }
}

void SimDisk::tear_files(Inode& directory, wire::Prng& random) {
  for (const auto& [name, inode] : directory.names) {
    if (inode->is_directory) {
      tear_files(*inode, random);
      continue;
    }
    if (++inode->links > 1) continue;
    tear(*inode, random);
    used_ += inode->bytes.size();
  }
}

void SimDisk::lose_power(wire::Prng& random) {
  lose_names(*root_, random);
  used_ = 0;
  tear_files(*root_, random);
}

void SimDisk::wipe() {
  root_ = std::make_shared<Inode>();
  root_->is_directory = true;
  used_ = 0;
}

}  // namespace bib::sim
