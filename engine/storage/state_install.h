// State install: a snapshot's files take the place of the state directory, as functions that block.
//
// A running node calls them in this order; a crash after each step leaves:
//
//   1. prepare_install   state.new/ holds the snapshot's files, durably.
//                        Crash: the old state. state.new/ is removed at the next start.
//   2. decide_install    snapshots/installing names the snapshot, durably, under its name at once.
//                        From here on it is the new state: the next start does steps 3 to 5, from
//                        the snapshot, whatever it finds of them (complete_install).
//   3. swap_state        the store is closed; state/ goes to state.old/, state.new/ to state/.
//                        Crash: in between there is no state/, or the new one beside the old log.
//   4. (the log's reset after the snapshot is durable: LogStore, by way of consensus)
//   5. end_install       snapshots/installing goes, then state.old/.
//                        Crash: the new state; leftovers are removed at the next start.
//
// The snapshot itself stays where it is: its files are shared by links where the file system has
// them, for RocksDB never changes a file of rows that it has finished; all others are copied.
#pragma once

#include <optional>
#include <string>

#include "engine/ports/file.h"
#include "wire/base/result.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::engine {

struct InstallPlaces {
  explicit InstallPlaces(const std::string& data_directory);

  std::string data;
  std::string snapshots;
  std::string state;
  std::string next;      // state.new
  std::string previous;  // state.old
};

wire::Status prepare_install(FileSystem& files, const InstallPlaces& places,
                             const wire::SnapshotManifest& manifest);
wire::Status decide_install(FileSystem& files, const InstallPlaces& places,
                            const wire::SnapshotManifest& manifest);
wire::Status swap_state(FileSystem& files, const InstallPlaces& places);
wire::Status end_install(FileSystem& files, const InstallPlaces& places);

// ---- at start, before the store is opened

// The snapshot whose installation was decided and has not ended. kCorrupt: the note names none.
wire::Result<std::optional<wire::LogPosition>> find_install(FileSystem& files,
                                                            const InstallPlaces& places);
// Steps 1 and 3 again, without 2: also for a state that is lost while there is a snapshot.
wire::Status complete_install(FileSystem& files, const InstallPlaces& places,
                              const wire::SnapshotManifest& manifest);
// Removes the remains of an installation that was never decided, or has ended.
wire::Status remove_install_leftovers(FileSystem& files, const InstallPlaces& places);

}  // namespace bib::engine
