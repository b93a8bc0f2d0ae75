#include "engine/storage/state_install.h"

#include <string_view>

#include "engine/storage/snapshot_files.h"
#include "wire/base/bytes.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

namespace {

constexpr std::size_t kCopyBytes = 1U << 20;

Status copy_file(FileSystem& files, const std::string& from, const std::string& to) {
  BIB_TRY(auto source, files.open(from, {.mode = OpenMode::kRead, .direct = false}));
  BIB_TRY(auto target, files.open(to, {.mode = OpenMode::kCreate, .direct = false}));
  std::vector<std::uint8_t> buffer(kCopyBytes);
  std::uint64_t offset = 0;
  while (true) {
    BIB_TRY(const std::size_t count, source->read(offset, buffer));
    if (count > 0) BIB_TRY_VOID(target->write(offset, wire::ByteView(buffer).first(count)));
    offset += count;
    if (count < buffer.size()) break;
  }
  return target->sync();
}

// Files of rows are finished and shared; RocksDB appends to its other files.
Status take_file(FileSystem& files, const std::string& from, const std::string& to) {
  if (to.ends_with(".sst")) {
    const Status linked = files.link(from, to);
    if (linked || linked.error().code != ErrorCode::kUnsupported) return linked;
  }
  return copy_file(files, from, to);
}

}  // namespace

InstallPlaces::InstallPlaces(const std::string& data_directory)
    : data(data_directory),
      snapshots(join_path(data_directory, wire::kSnapshotsName)),
      state(join_path(data_directory, wire::kStateName)),
      next(join_path(data_directory, wire::kNextStateName)),
      previous(join_path(data_directory, wire::kPreviousStateName)) {}

Status prepare_install(FileSystem& files, const InstallPlaces& places,
                       const wire::SnapshotManifest& manifest) {
  BIB_TRY_VOID(remove_tree(files, places.next));
  BIB_TRY_VOID(files.make_directories(places.next));
  const std::string from = snapshot_state_directory(
      places.snapshots, wire::snapshot_name(manifest.index, manifest.term));
  for (const wire::SnapshotFile& file : manifest.files) {
    BIB_TRY_VOID(take_file(files, join_path(from, file.name), join_path(places.next, file.name)));
  }
  BIB_TRY_VOID(files.sync_directory(places.next));
  return files.sync_directory(places.data);
}

Status decide_install(FileSystem& files, const InstallPlaces& places,
                      const wire::SnapshotManifest& manifest) {
  const std::string note = wire::installing_note(manifest.position());
  return write_small_file(files, places.snapshots, wire::kInstallingName, wire::as_bytes(note));
}

Status swap_state(FileSystem& files, const InstallPlaces& places) {
  BIB_TRY_VOID(remove_tree(files, places.previous));
  BIB_TRY(const bool had_state, has_name(files, places.data, wire::kStateName));
  if (had_state) BIB_TRY_VOID(files.rename(places.state, places.previous));
  BIB_TRY_VOID(files.rename(places.next, places.state));
  return files.sync_directory(places.data);
}

Status end_install(FileSystem& files, const InstallPlaces& places) {
  BIB_TRY_VOID(files.remove(join_path(places.snapshots, wire::kInstallingName)));
  BIB_TRY_VOID(files.sync_directory(places.snapshots));
  return remove_tree(files, places.previous);
}

Result<std::optional<wire::LogPosition>> find_install(FileSystem& files,
                                                      const InstallPlaces& places) {
  BIB_TRY(const bool is_there, has_name(files, places.snapshots, wire::kInstallingName));
  if (!is_there) return std::nullopt;
  const std::string path = join_path(places.snapshots, wire::kInstallingName);
  BIB_TRY(const auto bytes, read_small_file(files, path, wire::kInstallingNoteSizeMax));
  const auto place = wire::parse_installing_note(wire::as_text(bytes));
  if (place) return place;
  return wire::fail(ErrorCode::kCorrupt, "{} does not name a snapshot", path);
}

Status complete_install(FileSystem& files, const InstallPlaces& places,
                        const wire::SnapshotManifest& manifest) {
  BIB_TRY_VOID(prepare_install(files, places, manifest));
  return swap_state(files, places);
}

Status remove_install_leftovers(FileSystem& files, const InstallPlaces& places) {
  BIB_TRY_VOID(remove_tree(files, places.next));
  return remove_tree(files, places.previous);
}

}  // namespace bib::engine
