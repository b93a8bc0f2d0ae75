// Snapshot files: how snapshots are laid out on the disk, as functions that block.
//
//   snapshots/<index>-<term>/manifest     wire/log/snapshot_manifest.h
//   snapshots/<index>-<term>/state/...    the files of a RocksDB checkpoint
//   snapshots/<index>-<term>.damaged/     set aside: found damaged
//   snapshots/<name>.tmp/                 being made, fetched or removed: nothing of it counts
//
// A snapshot gets its name when all of it is durable, and loses it before anything of it goes: what
// has a name is whole, or the disk is damaged. All of this runs on threads that may block; two
// calls about one directory never at a time. Errors: kIo, kCorrupt, kUnsupported.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/data_directory.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::engine {

inline constexpr char kMakingName[] = "making.tmp";
inline constexpr char kReceivingName[] = "receiving.tmp";

// The place of the files of the snapshot `name` (or the one being made) below `root`.
std::string snapshot_state_directory(const std::string& root, const std::string& name);

// Removes the directory and everything in it, or the file; nothing when it is absent. Follows no
// link. Not synced.
wire::Status remove_tree(FileSystem& files, const std::string& path);

// An empty <root>/<name>, without what an earlier try left there.
wire::Status begin_partial_snapshot(FileSystem& files, const std::string& root,
                                    const std::string& name);

inline bool is_rows_file(const std::string& name) {
  return name.ends_with(".sst");
}

// A snapshot shares its files of rows with the state: what has become wrong in them since they were
// written must not be sealed as if it were right.
struct SealChecks {
  std::string state;  // the directory of the state that it was made of
  // Of that state's files those that the last snapshot has: RocksDB never changes one.
  std::vector<wire::SnapshotFile> known;
  // Whether another one is whole, by the checksums within.
  std::function<wire::Status(const std::string& path)> verify_table;
};

// Makes a snapshot of <root>/<partial>/state: `manifest` gets the files, their sizes and checksums,
// everything is synced, and then the snapshot has its name. kCorrupt: a file is damaged that the
// state has, too.
wire::Result<wire::SnapshotManifest> seal_snapshot(FileSystem& files, const std::string& root,
                                                   const std::string& partial,
                                                   wire::SnapshotManifest manifest,
                                                   const SealChecks& checks = {});
// The same for files that were checked already, with the manifest's bytes as they came.
wire::Status publish_snapshot(FileSystem& files, const std::string& root,
                              const std::string& partial, const wire::SnapshotManifest& manifest,
                              wire::ByteView manifest_bytes);

wire::Status remove_snapshot(FileSystem& files, const std::string& root, const std::string& name);

// It is damaged: from now on it has the name that says so, and its own is free. Nothing is lost.
wire::Status set_snapshot_aside(FileSystem& files, const std::string& root,
                                wire::LogPosition position);

// The manifest's bytes, and the manifest; its name and content agree.
wire::Result<std::vector<std::uint8_t>> read_manifest_bytes(FileSystem& files,
                                                            const std::string& root,
                                                            const std::string& name);
wire::Result<wire::SnapshotManifest> read_manifest(FileSystem& files, const std::string& root,
                                                   const std::string& name);

// Part of one of its files; shorter where the file ends.
wire::Result<wire::Bytes> read_snapshot_chunk(FileSystem& files, const std::string& root,
                                              const std::string& name, const std::string& file,
                                              std::uint64_t offset, std::uint32_t length);

// Sizes and checksums of all files, and that there are no others. The rows: verify_checkpoint().
wire::Status verify_snapshot_files(FileSystem& files, const std::string& root,
                                   const wire::SnapshotManifest& manifest);
// The same, and that the manifest on the disk is still this one.
wire::Status verify_snapshot(FileSystem& files, const std::string& root,
                             const wire::SnapshotManifest& manifest);

struct FoundSnapshots {
  std::vector<wire::SnapshotManifest> snapshots;  // ascending by index
  std::vector<wire::LogPosition> set_aside;       // now or before; ascending
  std::vector<std::string> problems;              // for the node's log: what is there and no good
};
// What is below `root`, which exists, by the manifests alone; removes what a crash left half made.
// Those whose manifest is damaged or missing are set aside.
// What it finds is durable, and what it does not find does not come back.
wire::Result<FoundSnapshots> find_snapshots(FileSystem& files, const std::string& root,
                                            const wire::ClusterId& cluster);

// The whole content of a small file; kCorrupt when it is larger than `bytes_max`.
wire::Result<std::vector<std::uint8_t>> read_small_file(FileSystem& files, const std::string& path,
                                                        std::size_t bytes_max);
// Writes it under its name, durably and atomically, by way of <path>.tmp, which must not exist.
wire::Status write_small_file(FileSystem& files, const std::string& directory,
                              const std::string& name, wire::ByteView bytes);

}  // namespace bib::engine
