#include "faulty_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wire/base/check.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

namespace {

tl::unexpected<wire::Error> io_error(const std::string& path, int error_number) {
  return wire::fail(ErrorCode::kIo, "cannot use {}: {}", path, wire::errno_text(error_number));
}

}  // namespace

class FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem& owner, std::shared_ptr<FaultyFileSystem::Inode> inode,
             std::string path, std::uint32_t alignment)
      : owner_(owner), inode_(std::move(inode)), path_(std::move(path)), alignment_(alignment) {}

  Result<std::size_t> read(std::uint64_t offset, std::span<std::uint8_t> out) override {
    const std::lock_guard lock(owner_.mutex_);
    check_rules(offset, out.data(), out.size());
    if (owner_.crashed_) return io_error(path_, EIO);
    if (offset >= inode_->bytes.size()) return 0U;
    const std::size_t count = std::min<std::size_t>(out.size(), inode_->bytes.size() - offset);
    std::memcpy(out.data(), inode_->bytes.data() + offset, count);
    return count;
  }

  Status write(std::uint64_t offset, std::span<const wire::ByteView> parts) override {
    for (const wire::ByteView part : parts) check_rules(offset, part.data(), part.size());
    return owner_.write(*inode_, path_, offset, parts);
  }
  // Two operations: a crash may come between them.
  Status write_durably(std::uint64_t offset, wire::ByteView bytes) override {
    BIB_TRY_VOID(write(offset, std::span<const wire::ByteView>(&bytes, 1)));
    constexpr std::uint64_t kSector = FaultyFileSystem::kSector;
    return owner_.sync(*inode_, path_, offset / kSector,
                       (offset + bytes.size() + kSector - 1) / kSector);
  }
  Status sync() override { return owner_.sync(*inode_, path_, 0, UINT64_MAX); }
  Status allocate(std::uint64_t bytes) override { return owner_.allocate(*inode_, path_, bytes); }
  Result<std::uint64_t> size() override {
    const std::lock_guard lock(owner_.mutex_);
    return inode_->bytes.size();
  }
  std::uint32_t direct_alignment() const override { return alignment_; }

 private:
  void check_rules(std::uint64_t offset, const std::uint8_t* data, std::size_t size) const {
    BIB_CHECK(offset % alignment_ == 0 && size % alignment_ == 0, "direct I/O of {} bytes at {}",
              size, offset);
    BIB_CHECK(reinterpret_cast<std::uintptr_t>(data) % alignment_ == 0, "direct I/O from {}",
              static_cast<const void*>(data));
  }

  FaultyFileSystem& owner_;
  const std::shared_ptr<FaultyFileSystem::Inode> inode_;
  const std::string path_;
  const std::uint32_t alignment_;
};

Status FaultyFileSystem::begin_change(const std::string& path) {
  if (crashed_) return io_error(path, EIO);
  ++operations_;
  return {};
}

Status FaultyFileSystem::end_change(const std::string& path) {
  if (!crash_at_ || operations_ < *crash_at_) return {};
  crashed_ = true;
  return io_error(path, EIO);
}

Result<std::unique_ptr<File>> FaultyFileSystem::open(const std::string& path, OpenOptions options) {
  const std::lock_guard lock(mutex_);
  auto found = names_.find(path);
  if (options.mode == OpenMode::kCreate) {
    if (found != names_.end()) return io_error(path, EEXIST);
    BIB_TRY_VOID(begin_change(path));
    names_since_sync_.push_back(names_);
    found = names_.emplace(path, std::make_shared<Inode>()).first;
    BIB_TRY_VOID(end_change(path));
  }
  if (crashed_) return io_error(path, EIO);
  if (found == names_.end()) return io_error(path, ENOENT);
  return std::make_unique<FaultyFile>(*this, found->second, path, options.direct ? 512U : 1U);
}

Status FaultyFileSystem::make_directories(const std::string& /*path*/) {
  return {};
}

Result<std::vector<std::string>> FaultyFileSystem::list(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return io_error(directory, EIO);
  const std::string prefix = join_path(directory, "");
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (!path.starts_with(prefix)) continue;
    std::string name = path.substr(prefix.size());
    name.resize(std::min(name.size(), name.find('/')));  // a directory's, of what is below
    if (names.empty() || names.back() != name) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());  // "a.b" comes before "a/c", but after "a"
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<wire::FileKind> FaultyFileSystem::kind(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return io_error(path, EIO);
  if (names_.contains(path)) return wire::FileKind::kRegular;
  const std::string prefix = join_path(path, "");
  const auto below = names_.lower_bound(prefix);
  if (below == names_.end() || !below->first.starts_with(prefix)) return wire::FileKind::kAbsent;
  return wire::FileKind::kDirectory;
}

Status FaultyFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(to));
  if (!names_.contains(from)) return rename_directory(from, to);
  names_since_sync_.push_back(names_);
  names_[to] = names_[from];
  names_.erase(from);
  return end_change(to);
}

Status FaultyFileSystem::rename_directory(const std::string& from, const std::string& to) {
  const std::string prefix = join_path(from, "");
  Names moved;
  for (const auto& [path, inode] : names_) {
    if (path.starts_with(join_path(to, ""))) return io_error(to, ENOTEMPTY);
    if (path.starts_with(prefix)) moved[path] = inode;
  }
  if (moved.empty()) return io_error(from, ENOENT);
  names_since_sync_.push_back(names_);
  for (const auto& [path, inode] : moved) {
    names_[join_path(to, path.substr(prefix.size()))] = inode;
    names_.erase(path);
  }
  return end_change(to);
}

Status FaultyFileSystem::link(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(to));
  if (!names_.contains(from)) return io_error(from, ENOENT);
  if (names_.contains(to)) return io_error(to, EEXIST);
  names_since_sync_.push_back(names_);
  names_[to] = names_[from];
  return end_change(to);
}

Status FaultyFileSystem::remove_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(path));
  for (const auto& [name, inode] : names_) {
    if (name.starts_with(join_path(path, ""))) return io_error(path, ENOTEMPTY);
  }
  return end_change(path);
}

Status FaultyFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(path));
  if (!names_.contains(path)) return io_error(path, ENOENT);
  names_since_sync_.push_back(names_);
  used_ -= std::min<std::uint64_t>(used_, names_[path]->bytes.size());
  names_.erase(path);
  return end_change(path);
}

Status FaultyFileSystem::sync_directory(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(directory));
  // A crash during the sync may come before or after its effect: before is the harder one.
  BIB_TRY_VOID(end_change(directory));
  names_since_sync_.clear();
  return {};
}

Result<std::uint32_t> FaultyFileSystem::write_unit(const std::string& /*directory*/) {
  return write_unit_;
}

Result<std::uint64_t> FaultyFileSystem::free_bytes(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return io_error(directory, EIO);
  if (!space_) return UINT64_MAX;
  return *space_ - std::min(used_, *space_);
}

Result<std::unique_ptr<DirectoryLock>> FaultyFileSystem::lock(const std::string& /*directory*/) {
  return std::make_unique<DirectoryLock>();
}

Status FaultyFileSystem::grow(Inode& inode, const std::string& path, std::uint64_t bytes) {
  if (bytes <= inode.bytes.size()) return {};
  const std::uint64_t more = bytes - inode.bytes.size();
  if (space_ && used_ + more > *space_) return io_error(path, ENOSPC);
  used_ += more;
  inode.bytes.resize(bytes);
  return {};
}

Status FaultyFileSystem::write(Inode& inode, const std::string& path, std::uint64_t offset,
                               std::span<const wire::ByteView> parts) {
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(path));
  std::vector<std::uint8_t> bytes;
  for (const wire::ByteView part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  BIB_TRY_VOID(grow(inode, path, offset + bytes.size()));
  std::copy(bytes.begin(), bytes.end(), inode.bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  for (std::uint64_t sector = offset / kSector; sector * kSector < offset + bytes.size();
       ++sector) {
    const auto begin = inode.bytes.begin() + static_cast<std::ptrdiff_t>(sector * kSector);
    const std::size_t size = std::min<std::size_t>(kSector, inode.bytes.size() - sector * kSector);
    inode.unsynced[sector].emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
  }
  return end_change(path);
}

Status FaultyFileSystem::sync(Inode& inode, const std::string& path, std::uint64_t begin,
                              std::uint64_t end) {
  std::function<void()> hook;
  {
    const std::lock_guard lock(mutex_);
    hook = before_sync_;
  }
  if (hook) hook();
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(path));
  BIB_TRY_VOID(end_change(path));
  ++syncs_;
  if (fail_sync_at_ && syncs_ == *fail_sync_at_) {
    inode.unsynced.clear();  // the process still sees its writes, and the next sync succeeds
    return io_error(path, EIO);
  }
  inode.durable.resize(inode.bytes.size());
  const auto first = inode.unsynced.lower_bound(begin);
  const auto last = inode.unsynced.lower_bound(end);
  for (auto at = first; at != last; ++at) {
    const std::vector<std::uint8_t>& newest = at->second.back();
    std::copy(newest.begin(), newest.end(),
              inode.durable.begin() + static_cast<std::ptrdiff_t>(at->first * kSector));
  }
  inode.unsynced.erase(first, last);
  return {};
}

Status FaultyFileSystem::allocate(Inode& inode, const std::string& path, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  BIB_TRY_VOID(begin_change(path));
  BIB_TRY_VOID(grow(inode, path, bytes));
  return end_change(path);
}

void FaultyFileSystem::fail_sync_after(std::uint64_t syncs) {
  const std::lock_guard lock(mutex_);
  fail_sync_at_ = syncs_ + syncs + 1;
}

void FaultyFileSystem::limit_space(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  space_ = bytes;
}

void FaultyFileSystem::crash_after(std::uint64_t operations) {
  const std::lock_guard lock(mutex_);
  crash_at_ = operations_ + operations;
}

void FaultyFileSystem::before_sync(std::function<void()> hook) {
  const std::lock_guard lock(mutex_);
  before_sync_ = std::move(hook);
}

std::uint64_t FaultyFileSystem::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

std::uint64_t FaultyFileSystem::syncs() const {
  const std::lock_guard lock(mutex_);
  return syncs_;
}

bool FaultyFileSystem::crashed() const {
  const std::lock_guard lock(mutex_);
  return crashed_;
}

void FaultyFileSystem::restart_process() {
  const std::lock_guard lock(mutex_);
  crashed_ = false;
  crash_at_.reset();
}

std::unique_ptr<FaultyFileSystem> FaultyFileSystem::survivor(const Names& names,
                                                             const PickState& pick) const {
  auto disk = std::make_unique<FaultyFileSystem>(write_unit_);
  for (const auto& [path, inode] : names) {
    auto survived = std::make_shared<Inode>();
    survived->bytes = inode->durable;
    for (const auto& [sector, states] : inode->unsynced) {
      const std::size_t state = pick(path, sector * kSector, states.size());
      if (state == 0) continue;
      const std::vector<std::uint8_t>& bytes = states[state - 1];
      if (survived->bytes.size() < sector * kSector + bytes.size()) {
        survived->bytes.resize(sector * kSector + bytes.size());
      }
      std::copy(bytes.begin(), bytes.end(),
                survived->bytes.begin() + static_cast<std::ptrdiff_t>(sector * kSector));
    }
    survived->durable = survived->bytes;
    disk->used_ += survived->bytes.size();
    disk->names_[path] = survived;
  }
  return disk;
}

std::unique_ptr<FaultyFileSystem> FaultyFileSystem::survivor(wire::Prng& prng) const {
  const std::lock_guard lock(mutex_);
  // Sometimes nothing survives, sometimes all, mostly a part.
  const std::uint64_t mood = prng.below(4);
  const PickState pick = [&](const std::string&, std::uint64_t, std::size_t count) -> std::size_t {
    if (mood == 0) return 0;
    if (mood == 1) return count;
    return prng.below(count + 1);
  };
  const std::uint64_t kept = prng.below(names_since_sync_.size() + 1);
  return survivor(kept == names_since_sync_.size() ? names_ : names_since_sync_[kept], pick);
}

std::unique_ptr<FaultyFileSystem> FaultyFileSystem::survivor(const PickState& pick) const {
  const std::lock_guard lock(mutex_);
  return survivor(names_, pick);
}

std::vector<std::uint8_t> FaultyFileSystem::content(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return names_.at(path)->bytes;
}

void FaultyFileSystem::set_content(const std::string& path, std::vector<std::uint8_t> bytes) {
  const std::lock_guard lock(mutex_);
  auto inode = std::make_shared<Inode>();
  inode->bytes = bytes;
  inode->durable = std::move(bytes);
  names_[path] = std::move(inode);
}

void FaultyFileSystem::flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
  const std::lock_guard lock(mutex_);
  Inode& inode = *names_.at(path);
  const auto mask = static_cast<std::uint8_t>(1U << bit);
  inode.bytes.at(offset) ^= mask;
  inode.durable.at(offset) ^= mask;
}

std::vector<std::string> FaultyFileSystem::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, inode] : names_) paths.push_back(path);
  return paths;
}

void FaultyFileSystem::forget(const std::string& path) {
  const std::lock_guard lock(mutex_);
  names_.erase(path);
}

std::unique_ptr<FaultyFileSystem> FaultyFileSystem::copy() const {
  const std::lock_guard lock(mutex_);
  return survivor(names_, [](const std::string&, std::uint64_t, std::size_t n) { return n; });
}

}  // namespace bib::engine
