#include "engine/storage/data_directory.h"

#include <algorithm>

#include "engine/storage/log_recovery.h"
#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "wire/log/commit_note.h"
#include "wire/log/log_start.h"

namespace bib::engine {

using wire::DirectoryFacts;
using wire::FileKind;
using wire::Result;
using wire::Status;

namespace {

// Whether RocksDB would open it; what else is in its directory it leaves alone.
bool is_rows_file(std::string_view name) {
  if (name == "CURRENT" || name == "IDENTITY" || name == "LOCK") return true;
  return name.starts_with("MANIFEST-") || name.starts_with("OPTIONS-") || name.ends_with(".sst") ||
         name.ends_with(".log");
}

class Look {
 public:
  Look(FileSystem& files, const std::string& directory) : files_(files) { facts_.path = directory; }

  Result<DirectoryFacts> run() {
    BIB_TRY(const auto names, files_.list(facts_.path));
    for (const std::string& name : names) {
      BIB_TRY(facts_.names[name], files_.kind(join_path(facts_.path, name)));
    }
    if (is(wire::kLogName, FileKind::kLink)) {
      BIB_TRY(facts_.log_target, files_.target_kind(join_path(facts_.path, wire::kLogName)));
    }
    if (is(wire::kLogName, FileKind::kDirectory) ||
        (is(wire::kLogName, FileKind::kLink) && facts_.log_target == FileKind::kDirectory)) {
      BIB_TRY_VOID(look_at_log());
    }
    for (const char* name : {wire::kStateName, wire::kNextStateName, wire::kPreviousStateName}) {
      if (!is(name, FileKind::kDirectory)) continue;
      BIB_TRY(const auto rows, files_.list(join_path(facts_.path, name)));
      facts_.has_rows = facts_.has_rows || !rows.empty();
    }
    if (is(wire::kStateName, FileKind::kDirectory)) BIB_TRY_VOID(look_at_rows());
    if (is(wire::kSnapshotsName, FileKind::kDirectory)) BIB_TRY_VOID(look_at_snapshots());
    return std::move(facts_);
  }

 private:
  bool is(const std::string& name, FileKind kind) const {
    const auto found = facts_.names.find(name);
    return found != facts_.names.end() && found->second == kind;
  }

  // What is of another kind is taken down: the node must not start then, so the rest of the look
  // may be left out.
  Status expect(const std::string& path, FileKind expected) {
    BIB_TRY(const FileKind found, files_.kind(path));
    if (found != expected) facts_.foreign = wire::ForeignFile{path, found, expected};
    return {};
  }

  Status look_at_log() {
    const std::string log = join_path(facts_.path, wire::kLogName);
    BIB_TRY(const auto names, files_.list(log));
    for (const std::string& name : names) {
      const bool is_note = name == wire::kCommitNoteFileName;
      const bool is_log = wire::parse_segment_file_name(name) || name == wire::kLogStartFileName;
      if (!is_note && !is_log) continue;
      facts_.has_log = facts_.has_log || is_log;
      facts_.has_commit_note = facts_.has_commit_note || is_note;
      BIB_TRY_VOID(expect(join_path(log, name), FileKind::kRegular));
    }
    if (facts_.foreign) return {};
    BIB_TRY(facts_.log, read_identity(files_, log));
    return {};
  }

  // Links and special files have no place here, whatever they are called: RocksDB, or what clears
  // up after it, would go through them. Its own files can be read, so that what RocksDB cannot read
  // is damaged.
  Status look_at_rows() {
    const std::string state = join_path(facts_.path, wire::kStateName);
    BIB_TRY(const auto names, files_.list(state));
    for (const std::string& name : names) {
      const std::string path = join_path(state, name);
      BIB_TRY(const FileKind kind, files_.kind(path));
      if (kind == FileKind::kDirectory && !is_rows_file(name)) continue;
      BIB_TRY_VOID(expect(path, FileKind::kRegular));
      if (facts_.foreign) return {};
      if (is_rows_file(name)) BIB_TRY_VOID(read_nothing(path));
    }
    return {};
  }

  Status read_nothing(const std::string& path) {
    return files_.open(path, {.mode = OpenMode::kRead, .direct = false}).map([](const auto&) {});
  }

  Status look_at_snapshots() {
    const std::string root = join_path(facts_.path, wire::kSnapshotsName);
    BIB_TRY(const auto names, files_.list(root));
    for (const std::string& name : names) {
      if (name == wire::kInstallingName) {
        BIB_TRY_VOID(look_at_installing(join_path(root, name)));
      } else if (const auto position = wire::parse_snapshot_name(name)) {
        facts_.has_snapshots = true;
        BIB_TRY(const bool is_ours, look_at_snapshot(root, name));
        if (is_ours) facts_.snapshots.push_back(*position);
      } else if (wire::parse_damaged_snapshot_name(name)) {
        facts_.has_snapshots = true;
      }
    }
    return {};
  }

  // Whether it has a manifest that can be used. A snapshot's files are looked at when they are
  // needed; that they are files, here.
  Result<bool> look_at_snapshot(const std::string& root, const std::string& name) {
    const std::string directory = join_path(root, name);
    BIB_TRY_VOID(expect(directory, FileKind::kDirectory));
    if (facts_.foreign) return false;
    BIB_TRY(const auto names, files_.list(directory));
    const auto holds = [&](const char* wanted) {
      return std::binary_search(names.begin(), names.end(), wanted);
    };
    if (holds(wire::kSnapshotStateName)) BIB_TRY_VOID(look_at_snapshot_files(root, name));
    if (!holds(wire::kSnapshotManifestName)) return false;
    BIB_TRY_VOID(expect(join_path(directory, wire::kSnapshotManifestName), FileKind::kRegular));
    if (facts_.foreign) return false;
    const auto manifest = read_manifest(files_, root, name);
    if (!manifest && manifest.error().code == wire::ErrorCode::kIo) {
      return tl::unexpected(manifest.error());  // not known, which is not damaged
    }
    return manifest && (!facts_.log || facts_.log->cluster == manifest->cluster);
  }

  Status look_at_snapshot_files(const std::string& root, const std::string& name) {
    const std::string state = snapshot_state_directory(root, name);
    BIB_TRY_VOID(expect(state, FileKind::kDirectory));
    if (facts_.foreign) return {};
    BIB_TRY(const auto files, files_.list(state));
    for (const std::string& file : files) {
      BIB_TRY_VOID(expect(join_path(state, file), FileKind::kRegular));
    }
    return {};
  }

  Status look_at_installing(const std::string& path) {
    BIB_TRY(facts_.installing, files_.kind(path));
    facts_.has_snapshots = true;
    if (facts_.installing != FileKind::kRegular) return {};
    const auto place = find_install(files_, InstallPlaces(facts_.path));
    if (place) facts_.installing_snapshot = *place;
    if (!place && place.error().code == wire::ErrorCode::kIo) {
      return tl::unexpected(place.error());
    }
    return {};
  }

  FileSystem& files_;
  DirectoryFacts facts_;
};

}  // namespace

Result<DirectoryFacts> look_at_directory(FileSystem& files, const std::string& directory) {
  return Look(files, directory).run();
}

}  // namespace bib::engine
