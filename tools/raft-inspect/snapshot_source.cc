#include "inspect/snapshot_source.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "inspect/source.h"
#include "projections/apply/checkpoint.h"
#include "wire/log/data_directory.h"

namespace bib::inspect {

using wire::SnapshotManifest;

namespace {

constexpr std::size_t kPieceBytes = 1U << 20;
constexpr char kAdvice[] =
    "a node needs no snapshot as long as its log and its rows are whole (see `verify --state`: "
    "they "
    "share files with it): stop the node, "
    "move the snapshot's directory away, start it again and make a new one (`bib snapshot create`)";

void damage(const std::string& path, const SnapshotManifest* manifest, std::string what,
            Findings& findings) {
  findings.push_back({FindingKind::kDamage, path, 0,
                      manifest == nullptr ? wire::LogIndex() : manifest->index, std::move(what),
                      kAdvice});
}

void read_installing(SnapshotSource& source, Findings& findings) {
  const std::string path = join_path(source.path, wire::kInstallingName);
  FileBytes file;
  if (const auto status = file.read(path, wire::kInstallingNoteSizeMax); !status) {
    return damage(path, nullptr, status.error().message, findings);
  }
  source.installing = wire::parse_installing_note(wire::as_text(file.view()));
}

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

void read_snapshot(const std::string& name, SnapshotSource& source, const Survey& survey,
                   Findings& findings) {
  const std::string path = join_path(join_path(source.path, name), wire::kSnapshotManifestName);
  FileBytes file;
  if (const auto status = file.read(path, wire::kSnapshotManifestSizeMax); !status) {
    return damage(path, nullptr, status.error().message, findings);
  }
  auto manifest = wire::decode_snapshot_manifest(file.view());
  if (!manifest) return damage(path, nullptr, manifest.error().message, findings);
  if (wire::snapshot_name(manifest->index, manifest->term) != name) {
    return damage(path, &*manifest,
                  fmt::format("it is the manifest of snapshot {}",
                              wire::snapshot_name(manifest->index, manifest->term)),
                  findings);
  }
  const auto& identity = survey.log.identity;
  if (identity && identity->cluster != manifest->cluster) {
    return damage(path, &*manifest,
                  fmt::format("it is of another cluster, {}", to_string(manifest->cluster)),
                  findings);
  }
  source.snapshots.push_back(*std::move(manifest));
}

std::optional<wire::SnapshotFileMeasure> measure(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return std::nullopt;
  std::vector<char> piece(kPieceBytes);
  wire::SnapshotFileMeasure measured;
  while (stream) {
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto count = static_cast<std::size_t>(stream.gcount());
    measured.add(wire::as_bytes(std::string_view(piece.data(), count)));
  }
  if (stream.bad()) return std::nullopt;
  return measured;
}

void check_files(const SnapshotManifest& manifest, const std::string& state, Findings& findings) {
  for (const wire::SnapshotFile& file : manifest.files) {
    const std::string path = join_path(state, file.name);
    const auto measured = measure(path);
    if (!measured) {
      damage(path, &manifest, "the file is missing or cannot be read", findings);
    } else if (const auto same = measured->check(file); !same) {
      damage(path, &manifest, same.error().message, findings);
    }
  }
  const auto names = list_names(state);
  if (!names || names->size() == manifest.files.size()) return;
  damage(
      state, &manifest,
      fmt::format("it holds {} files, the manifest names {}", names->size(), manifest.files.size()),
      findings);
}

}  // namespace

std::string SnapshotSource::directory_of(const SnapshotManifest& manifest) const {
  return join_path(path, wire::snapshot_name(manifest.index, manifest.term));
}

SnapshotSource find_snapshots(const std::string& directory, const Survey& survey,
                              Findings& findings) {
  SnapshotSource source;
  source.path = directory;
  if (directory.empty() || is_foreign(directory)) return source;
  const auto names = list_names(directory);
  if (!names) {
    findings.push_back({FindingKind::kUndone, directory, 0, {}, names.error().message, {}});
    return source;
  }
  for (const std::string& name : *names) {
    if (name == wire::kInstallingName) read_installing(source, findings);
    if (wire::parse_snapshot_name(name)) read_snapshot(name, source, survey, findings);
    if (const auto damaged = wire::parse_damaged_snapshot_name(name)) {
      note_set_aside(source, name, *damaged, findings);
    }
  }
  std::sort(source.snapshots.begin(), source.snapshots.end(),
            [](const SnapshotManifest& a, const SnapshotManifest& b) { return a.index < b.index; });
  return source;
}

void check_snapshots(const SnapshotSource& source, bool rows, Findings& findings) {
  for (const SnapshotManifest& manifest : source.snapshots) {
    const std::string state = join_path(source.directory_of(manifest), wire::kSnapshotStateName);
    const std::size_t before = findings.size();
    check_files(manifest, state, findings);
    if (!rows || findings.size() > before) continue;
    const auto mark = projections::verify_checkpoint(state);
    if (!mark) {
      damage(state, &manifest, mark.error().message, findings);
    } else if (const auto fits = projections::check_against_manifest(*mark, manifest); !fits) {
      damage(state, &manifest, fits.error().message, findings);
    }
  }
}

}  // namespace bib::inspect
