#include "engine/storage/snapshot_files.h"

#include <algorithm>
#include <utility>

#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::Result;
using wire::SnapshotFile;
using wire::SnapshotManifest;
using wire::Status;

namespace {

constexpr std::size_t kReadBytes = 1U << 20;
// RocksDB's checkpoints are flat; its temporary ones lie one level deeper.
constexpr int kDepthMax = 8;

// Reads the file from its first byte to its last; syncs it where asked.
Result<wire::SnapshotFileMeasure> measure(FileSystem& files, const std::string& path, bool sync) {
  BIB_TRY(auto file, files.open(path, {.mode = OpenMode::kRead, .direct = false}));
  if (sync) BIB_TRY_VOID(file->sync());
  std::vector<std::uint8_t> buffer(kReadBytes);
  wire::SnapshotFileMeasure measured;
  for (std::uint64_t offset = 0;; offset += buffer.size()) {
    BIB_TRY(const std::size_t count, file->read(offset, buffer));
    measured.add(wire::ByteView(buffer).first(count));
    if (count < buffer.size()) return measured;
  }
}

// A link goes itself, and what it points to stays.
Status remove_tree_at(FileSystem& files, const std::string& path, int depth) {
  BIB_TRY(const wire::FileKind kind, files.kind(path));
  if (kind != wire::FileKind::kDirectory) return files.remove(path);
  if (depth > kDepthMax) {
    return wire::fail(ErrorCode::kIo, "cannot remove {}: it is nested too deep", path);
  }
  BIB_TRY(const auto names, files.list(path));
  for (const std::string& name : names) {
    BIB_TRY_VOID(remove_tree_at(files, join_path(path, name), depth + 1));
  }
  return files.remove_directory(path);
}

// What a file of rows was in the last snapshot, or else what its own checksums say.
Status check_table(const SealChecks& checks, const std::string& path, const SnapshotFile& found) {
  const auto known =
      std::find_if(checks.known.begin(), checks.known.end(),
                   [&](const SnapshotFile& each) { return each.name == found.name; });
  const bool is_known = known != checks.known.end();
  if (!is_known && checks.verify_table) return checks.verify_table(path);
  if (!is_known || *known == found) return {};
  return wire::fail(ErrorCode::kCorrupt,
                    "{} bytes with checksum {:016x}, but when the last snapshot was made it had {} "
                    "with {:016x}, and such a file never changes",
                    found.size, found.checksum, known->size, known->checksum);
}

// Damage in a copy is not the state's.
Status check_sealed(FileSystem& files, const SealChecks& checks, const std::string& path,
                    const SnapshotFile& found) {
  if (BIB_MUTANT(kSealsUnchecked)) return {};
  const Status whole = check_table(checks, path, found);
  if (whole || whole.error().code != ErrorCode::kCorrupt) return whole;
  const std::string own = join_path(checks.state, found.name);
  const auto measured = measure(files, own, false);
  const bool is_shared = measured && measured->check(found);
  return wire::fail(is_shared ? ErrorCode::kCorrupt : ErrorCode::kIo, "{} is damaged: {}",
                    is_shared ? own : path, whole.error().message);
}

// A snapshot's name stands for a manifest that can be read.
Result<bool> has_lost_manifest(FileSystem& files, const std::string& root, const std::string& name,
                               const wire::Error& error) {
  if (error.code == ErrorCode::kCorrupt) return true;
  BIB_TRY(const wire::FileKind kind,
          files.kind(join_path(join_path(root, name), wire::kSnapshotManifestName)));
  return kind == wire::FileKind::kAbsent;
}

// Ascending, each once: one that was set aside now may have taken the place of an older one.
void put_in_order(std::vector<wire::LogPosition>& positions) {
  std::sort(positions.begin(), positions.end(), [](const auto& a, const auto& b) {
    return a.index < b.index || (a.index == b.index && a.term < b.term);
  });
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
}

}  // namespace

std::string snapshot_state_directory(const std::string& root, const std::string& name) {
  return join_path(join_path(root, name), wire::kSnapshotStateName);
}

Status remove_tree(FileSystem& files, const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  BIB_TRY(const bool is_there, has_name(files, path.substr(0, slash), path.substr(slash + 1)));
  return is_there ? remove_tree_at(files, path, 0) : Status{};
}

Status begin_partial_snapshot(FileSystem& files, const std::string& root, const std::string& name) {
  const std::string directory = join_path(root, name);
  BIB_TRY_VOID(remove_tree(files, directory));
  return files.make_directories(directory);
}

Result<SnapshotManifest> seal_snapshot(FileSystem& files, const std::string& root,
                                       const std::string& partial, SnapshotManifest manifest,
                                       const SealChecks& checks) {
  const std::string state = snapshot_state_directory(root, partial);
  BIB_TRY(const auto names, files.list(state));
  manifest.files.clear();
  for (const std::string& name : names) {
    if (!wire::is_snapshot_file_name(name) || names.size() > wire::kSnapshotFilesMax) {
      return wire::fail(ErrorCode::kIo,
                        "a snapshot cannot be made of {}: it holds '{}' and {} "
                        "files in all",
                        state, name, names.size());
    }
    const std::string path = join_path(state, name);
    BIB_TRY(const auto measured, measure(files, path, true));
    manifest.files.push_back(measured.file(name));
    if (is_rows_file(name)) {
      BIB_TRY_VOID(check_sealed(files, checks, path, manifest.files.back()));
    }
  }
  if (manifest.files.empty()) {
    return wire::fail(ErrorCode::kIo, "a snapshot cannot be made of {}: it is empty", state);
  }
  BIB_TRY_VOID(
      publish_snapshot(files, root, partial, manifest, wire::encode_snapshot_manifest(manifest)));
  return manifest;
}

Status publish_snapshot(FileSystem& files, const std::string& root, const std::string& partial,
                        const SnapshotManifest& manifest, wire::ByteView manifest_bytes) {
  const std::string directory = join_path(root, partial);
  const std::string final_name = wire::snapshot_name(manifest.index, manifest.term);
  {
    BIB_TRY(auto file, files.open(join_path(directory, wire::kSnapshotManifestName),
                                  {.mode = OpenMode::kCreate, .direct = false}));
    BIB_TRY_VOID(file->write(0, manifest_bytes));
    BIB_TRY_VOID(file->sync());
  }
  BIB_TRY_VOID(files.sync_directory(join_path(directory, wire::kSnapshotStateName)));
  BIB_TRY_VOID(files.sync_directory(directory));
  BIB_TRY_VOID(files.rename(directory, join_path(root, final_name)));
  return BIB_MUTANT(kSnapshotNameUnsynced) ? Status{} : files.sync_directory(root);
}

Status remove_snapshot(FileSystem& files, const std::string& root, const std::string& name) {
  const std::string leaving = join_path(root, name + wire::kTemporarySuffix);
  BIB_TRY_VOID(remove_tree(files, leaving));
  BIB_TRY_VOID(files.rename(join_path(root, name), leaving));
  BIB_TRY_VOID(files.sync_directory(root));
  return remove_tree(files, leaving);
}

Status set_snapshot_aside(FileSystem& files, const std::string& root, wire::LogPosition position) {
  const std::string aside = wire::damaged_snapshot_name(position);
  BIB_TRY(const bool is_there, has_name(files, root, aside));
  if (is_there) BIB_TRY_VOID(remove_snapshot(files, root, aside));
  BIB_TRY_VOID(files.rename(join_path(root, wire::snapshot_name(position.index, position.term)),
                            join_path(root, aside)));
  return files.sync_directory(root);
}

Result<std::vector<std::uint8_t>> read_manifest_bytes(FileSystem& files, const std::string& root,
                                                      const std::string& name) {
  return read_small_file(files, join_path(join_path(root, name), wire::kSnapshotManifestName),
                         wire::kSnapshotManifestSizeMax);
}

Result<SnapshotManifest> read_manifest(FileSystem& files, const std::string& root,
                                       const std::string& name) {
  BIB_TRY(const auto bytes, read_manifest_bytes(files, root, name));
  BIB_TRY(SnapshotManifest manifest, wire::decode_snapshot_manifest(bytes));
  if (wire::snapshot_name(manifest.index, manifest.term) != name) {
    return wire::fail(ErrorCode::kCorrupt, "the directory {} holds the snapshot {}",
                      join_path(root, name), wire::snapshot_name(manifest.index, manifest.term));
  }
  return manifest;
}

Result<wire::Bytes> read_snapshot_chunk(FileSystem& files, const std::string& root,
                                        const std::string& name, const std::string& file,
                                        std::uint64_t offset, std::uint32_t length) {
  const std::string path = join_path(snapshot_state_directory(root, name), file);
  BIB_TRY(auto opened, files.open(path, {.mode = OpenMode::kRead, .direct = false}));
  wire::Bytes::Builder buffer(length);
  BIB_TRY(const std::size_t count, opened->read(offset, std::span(buffer.data(), length)));
  return wire::Bytes(std::move(buffer)).slice(0, count);
}

Status verify_snapshot_files(FileSystem& files, const std::string& root,
                             const SnapshotManifest& manifest) {
  const std::string name = wire::snapshot_name(manifest.index, manifest.term);
  const std::string state = snapshot_state_directory(root, name);
  BIB_TRY(const auto names, files.list(state));
  for (const SnapshotFile& file : manifest.files) {
    const std::string path = join_path(state, file.name);
    if (!std::binary_search(names.begin(), names.end(), file.name)) {
      return wire::fail(ErrorCode::kCorrupt, "the snapshot {} is damaged: {} is missing", name,
                        path);
    }
    BIB_TRY(const auto measured, measure(files, path, false));
    if (const Status same = measured.check(file); !same) {
      return wire::fail(ErrorCode::kCorrupt, "the snapshot {} is damaged: {}: {}", name, path,
                        same.error().message);
    }
  }
  if (names.size() == manifest.files.size()) return {};
  return wire::fail(ErrorCode::kCorrupt,
                    "the snapshot {} is damaged: {} holds {} files, its manifest names {}", name,
                    state, names.size(), manifest.files.size());
}

Status verify_snapshot(FileSystem& files, const std::string& root,
                       const SnapshotManifest& manifest) {
  const std::string name = wire::snapshot_name(manifest.index, manifest.term);
  const auto on_disk = read_manifest(files, root, name);
  if (!on_disk || *on_disk != manifest) {
    return wire::fail(on_disk ? ErrorCode::kCorrupt : on_disk.error().code,
                      "the snapshot {} is damaged: {}: {}", name,
                      join_path(join_path(root, name), wire::kSnapshotManifestName),
                      on_disk ? "it is not the manifest that it was" : on_disk.error().message);
  }
  return verify_snapshot_files(files, root, manifest);
}

Result<FoundSnapshots> find_snapshots(FileSystem& files, const std::string& root,
                                      const wire::ClusterId& cluster) {
  BIB_TRY(const auto names, files.list(root));
  FoundSnapshots found;
  for (const std::string& name : names) {
    if (name.ends_with(wire::kTemporarySuffix)) {
      BIB_TRY_VOID(remove_tree(files, join_path(root, name)));
      continue;
    }
    if (const auto aside = wire::parse_damaged_snapshot_name(name)) {
      found.set_aside.push_back(*aside);
      continue;
    }
    const auto position = wire::parse_snapshot_name(name);
    if (!position) continue;
    auto manifest = read_manifest(files, root, name);
    if (!manifest) {
      const std::string problem = fmt::format("the snapshot {} is of no use: {}",
                                              join_path(root, name), manifest.error().message);
      BIB_TRY(const bool is_lost, has_lost_manifest(files, root, name, manifest.error()));
      found.problems.push_back(is_lost ? fmt::format("{}; it is set aside as {}", problem,
                                                     wire::damaged_snapshot_name(*position))
                                       : problem);
      if (!is_lost) continue;
      BIB_TRY_VOID(set_snapshot_aside(files, root, *position));
      found.set_aside.push_back(*position);
    } else if (manifest->cluster != cluster) {
      found.problems.push_back(fmt::format("the snapshot {} is of another cluster, {}",
                                           join_path(root, name), to_string(manifest->cluster)));
    } else {
      found.snapshots.push_back(*std::move(manifest));
    }
  }
  put_in_order(found.set_aside);
  // A killed process may have left names here, or taken some away, that are not durable yet.
  BIB_TRY_VOID(files.sync_directory(root));
  std::sort(found.snapshots.begin(), found.snapshots.end(),
            [](const SnapshotManifest& a, const SnapshotManifest& b) {
              return a.index < b.index || (a.index == b.index && a.term < b.term);
            });
  return found;
}

Result<std::vector<std::uint8_t>> read_small_file(FileSystem& files, const std::string& path,
                                                  std::size_t bytes_max) {
  BIB_TRY(auto file, files.open(path, {.mode = OpenMode::kRead, .direct = false}));
  BIB_TRY(const std::uint64_t size, file->size());
  if (size > bytes_max) {
    return wire::fail(ErrorCode::kCorrupt, "{} has {} bytes; at most {} are allowed", path, size,
                      bytes_max);
  }
  std::vector<std::uint8_t> bytes(size);
  BIB_TRY(const std::size_t count, file->read(0, bytes));
  bytes.resize(count);
  return bytes;
}

Status write_small_file(FileSystem& files, const std::string& directory, const std::string& name,
                        wire::ByteView bytes) {
  const std::string path = join_path(directory, name);
  const std::string temporary = path + wire::kTemporarySuffix;
  {
    BIB_TRY(auto file, files.open(temporary, {.mode = OpenMode::kCreate, .direct = false}));
    BIB_TRY_VOID(file->write(0, bytes));
    BIB_TRY_VOID(file->sync());
  }
  BIB_TRY_VOID(files.rename(temporary, path));
  return files.sync_directory(directory);
}

}  // namespace bib::engine
