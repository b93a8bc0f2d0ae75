#include "engine/storage/data_directory.h"

#include <algorithm>

#include "engine/storage/log_recovery.h"
#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "wire/log/log_start.h"

namespace bib::engine {

using wire::DirectoryFacts;
using wire::FileKind;
using wire::Result;
using wire::Status;

namespace {

class Look {
 public:
  Look(FileSystem& files, const std::string& directory) : files_(files) { facts_.path = directory; }

  Result<DirectoryFacts> run() {
    BIB_TRY(const auto names, files_.list(facts_.path));
    for (const std::string& name : names) {
      BIB_TRY(facts_.names[name], files_.kind(join_path(facts_.path, name)));
    }
    if (is(wire::kLogName, FileKind::kDirectory) || is(wire::kLogName, FileKind::kLink)) {
      BIB_TRY_VOID(look_at_log());
    }
    for (const char* name : {wire::kStateName, wire::kNextStateName, wire::kPreviousStateName}) {
      if (!is(name, FileKind::kDirectory)) continue;
      BIB_TRY(const auto rows, files_.list(join_path(facts_.path, name)));
      facts_.has_rows = facts_.has_rows || !rows.empty();
    }
    if (is(wire::kSnapshotsName, FileKind::kDirectory)) BIB_TRY_VOID(look_at_snapshots());
    return std::move(facts_);
  }

 private:
  bool is(const std::string& name, FileKind kind) const {
    const auto found = facts_.names.find(name);
    return found != facts_.names.end() && found->second == kind;
  }

  Status look_at_log() {
    const std::string log = join_path(facts_.path, wire::kLogName);
    BIB_TRY(const auto names, files_.list(log));
    facts_.has_log = std::any_of(names.begin(), names.end(), [](const std::string& name) {
      return wire::parse_segment_file_name(name) || name == wire::kLogStartFileName;
    });
    BIB_TRY(facts_.log, read_identity(files_, log));
    return {};
  }

  Status look_at_snapshots() {
    const std::string root = join_path(facts_.path, wire::kSnapshotsName);
    BIB_TRY(const auto names, files_.list(root));
    for (const std::string& name : names) {
      if (name == wire::kInstallingName) {
        BIB_TRY_VOID(look_at_installing(join_path(root, name)));
      } else if (const auto position = wire::parse_snapshot_name(name)) {
        facts_.has_snapshots = true;
        const auto manifest = read_manifest(files_, root, name);
        const bool is_ours = manifest && (!facts_.log || facts_.log->cluster == manifest->cluster);
        if (is_ours) facts_.snapshots.push_back(*position);
      } else if (wire::parse_damaged_snapshot_name(name)) {
        facts_.has_snapshots = true;
      }
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
