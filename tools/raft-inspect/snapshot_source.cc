#include "inspect/snapshot_source.h"

#include <algorithm>
#include <utility>

#include "inspect/source.h"
#include "projections/apply/checkpoint.h"
#include "wire/log/data_directory.h"

namespace bib::inspect {

using wire::SnapshotManifest;

namespace {

constexpr char kAdvice[] =
    "a node needs no snapshot as long as its log and its rows are whole, and sets a damaged one "
    "aside "
    "when it finds it. To be rid of it now, stop the node, move the snapshot's directory away, "
    "start "
    "it again and make a new one (`bib snapshot create`)";

// Says what is wrong with the snapshots.
class SnapshotCheck {
 public:
  SnapshotCheck(SnapshotSource& source, Findings& findings)
      : source_(source), findings_(findings) {}

  void read_installing() {
    const std::string path = join_path(source_.path, wire::kInstallingName);
    FileBytes file;
    const auto status = file.read(path, wire::kInstallingNoteSizeMax);
    if (status) {
      source_.installing = wire::parse_installing_note(wire::as_text(file.view()));
    } else if (status.error().code == wire::ErrorCode::kIo) {
      source_.is_read = false;
      undone(path, status.error().message);
    }  // else it is no note, which check_directory() says
  }

  void read_snapshot(const std::string& name, wire::LogPosition position, const Survey& survey) {
    const std::string directory = join_path(source_.path, name);
    if (const auto plain = expect_directory(directory); !plain) {
      source_.positions.push_back(position);
      return undone(directory, plain.error().message);
    }
    const std::string path = join_path(directory, wire::kSnapshotManifestName);
    FileBytes file;
    if (const auto status = file.read(path, wire::kSnapshotManifestSizeMax); !status) {
      return not_read(path, position, status.error());
    }
    auto manifest = wire::decode_snapshot_manifest(file.view());
    if (!manifest) return damage(path, position, manifest.error().message);
    if (manifest->position() != position) {
      return damage(path, position,
                    fmt::format("it is the manifest of snapshot {}",
                                wire::snapshot_name(manifest->index, manifest->term)));
    }
    const auto& identity = survey.log.identity;
    if (identity && identity->cluster != manifest->cluster) {
      return damage(path, position,
                    fmt::format("it is of another cluster, {}", to_string(manifest->cluster)));
    }
    source_.positions.push_back(position);
    source_.snapshots.push_back(*std::move(manifest));
  }

  void check_files(const SnapshotManifest& manifest, const std::string& state) {
    const wire::LogPosition position = manifest.position();
    for (const wire::SnapshotFile& file : manifest.files) {
      const std::string path = join_path(state, file.name);
      wire::SnapshotFileMeasure measured;
      const auto read = read_in_pieces(path, [&](wire::ByteView piece) { measured.add(piece); });
      if (!read) {
        not_read(path, position, read.error());
      } else if (const auto same = measured.check(file); !same) {
        damage(path, position, same.error().message);
      }
    }
    const auto names = list_names(state);
    if (!names || names->size() == manifest.files.size()) return;
    damage(state, position,
           fmt::format("it holds {} files, the manifest names {}", names->size(),
                       manifest.files.size()));
  }

  void check_rows(const SnapshotManifest& manifest, const std::string& state) {
    const auto mark = projections::verify_checkpoint(state);
    if (!mark && mark.error().code != wire::ErrorCode::kCorrupt) {
      undone(state, mark.error().message);
    } else if (!mark) {
      damage(state, manifest.position(), mark.error().message);
    } else if (const auto fits = projections::check_against_manifest(*mark, manifest); !fits) {
      damage(state, manifest.position(), fits.error().message);
    }
  }

 private:
  void undone(const std::string& path, std::string what) {
    findings_.push_back({FindingKind::kUndone, path, 0, {}, std::move(what), {}});
  }

  void damage(const std::string& path, wire::LogPosition position, std::string what) {
    source_.damaged.push_back(position);
    std::string advice = kAdvice;
    if (source_.installing == position) {
      advice = fmt::format(
          "the node was putting this snapshot in place, and cannot start without it. If one of its "
          "files was moved, put it back; if not, restore the node from the others: {}",
          wire::kHowToReplace);
    }
    findings_.push_back({FindingKind::kDamage, path, 0, position.index, std::move(what), advice});
  }

  // What is missing is damage; what is there and cannot be read may be whole.
  void not_read(const std::string& path, wire::LogPosition position, const wire::Error& error) {
    if (error.code != wire::ErrorCode::kIo) return damage(path, position, error.message);
    const auto kind = kind_of(path);
    if (kind && *kind == wire::FileKind::kAbsent) {
      return damage(path, position, "the file is missing");
    }
    source_.positions.push_back(position);
    undone(path, error.message);
  }

  SnapshotSource& source_;
  Findings& findings_;
};

void note_set_aside(const SnapshotSource& source, const std::string& name,
                    wire::LogPosition snapshot, Findings& findings) {
  findings.push_back({FindingKind::kNote,
                      join_path(source.path, name),
                      0,
                      snapshot.index,
                      "the node found this snapshot damaged and has set it aside: it counts for "
                      "nothing, and goes when the node has a newer one that is whole",
                      {}});
}

}  // namespace

bool SnapshotSource::is_damaged(wire::LogPosition snapshot) const {
  return std::find(damaged.begin(), damaged.end(), snapshot) != damaged.end();
}

std::string SnapshotSource::directory_of(const SnapshotManifest& manifest) const {
  return join_path(path, wire::snapshot_name(manifest.index, manifest.term));
}

SnapshotSource find_snapshots(const std::string& directory, const Survey& survey,
                              Findings& findings) {
  SnapshotSource source;
  source.path = directory;
  if (directory.empty()) return source;
  const auto is_ours = expect_directory(directory);
  if (!is_ours && is_ours.error().code == wire::ErrorCode::kInvalid) return source;
  const auto names = is_ours ? list_names(directory) : tl::unexpected(is_ours.error());
  if (!names) {
    source.is_read = false;
    findings.push_back({FindingKind::kUndone, directory, 0, {}, names.error().message, {}});
    return source;
  }
  SnapshotCheck check(source, findings);
  if (std::binary_search(names->begin(), names->end(), wire::kInstallingName)) {
    check.read_installing();
  }
  for (const std::string& name : *names) {
    const auto position = wire::parse_snapshot_name(name);
    if (position) check.read_snapshot(name, *position, survey);
    if (const auto damaged = wire::parse_damaged_snapshot_name(name)) {
      note_set_aside(source, name, *damaged, findings);
    }
  }
  std::sort(source.snapshots.begin(), source.snapshots.end(),
            [](const SnapshotManifest& a, const SnapshotManifest& b) { return a.index < b.index; });
  return source;
}

void check_snapshots(SnapshotSource& source, bool rows, Findings& findings) {
  SnapshotCheck check(source, findings);
  for (const SnapshotManifest& manifest : source.snapshots) {
    const std::string state = join_path(source.directory_of(manifest), wire::kSnapshotStateName);
    const std::size_t before = findings.size();
    check.check_files(manifest, state);
    if (rows && findings.size() == before) check.check_rows(manifest, state);
  }
}

}  // namespace bib::inspect
