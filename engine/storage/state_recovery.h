// State recovery: at start, from what is on the disk to a log and rows that fit each other.
//
// Runs on the thread that opens the node, once the log is recovered. Snapshots are found and what a
// crash left half made is removed; an installation that was decided is completed; rows that are
// lost or damaged, or that this build cannot use, are taken from a snapshot that is whole, or will
// be derived from the log. Where neither can give them back nothing is removed, and the error says
// what is whole and what is not. Rows say whose they are from now on; those of another cluster or
// node are kCorrupt.
// Rows that are ahead of the log, with no installation to explain it, are kCorrupt: entries that
// were durable are missing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "engine/storage/log_store.h"
#include "engine/storage/snapshot_files.h"
#include "projections/apply/checkpoint.h"
#include "projections/apply/projector.h"
#include "projections/state/rocks_state.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::engine {

struct StateRecoveryOptions {
  std::string data_directory;
  wire::ClusterId cluster;
  // Opens the rows in a directory, which is made if it is missing.
  std::function<wire::Result<std::unique_ptr<projections::DurableStore>>(const std::string&)>
      open_store =
          [](const std::string& directory) { return projections::RocksStore::open(directory); };
  projections::ProjectorOptions projector;
  // Reads the rows in a directory, computes their digests, and says where they stand.
  std::function<wire::Result<projections::StateMark>(const std::string&)> verify_rows =
      [](const std::string& directory) { return projections::verify_checkpoint(directory); };
  std::function<void(const std::string&)> on_news = [](const std::string&) {};
};

struct RecoveredState {
  FoundSnapshots snapshots;
  std::unique_ptr<projections::DurableStore> store;
  // Its index is from the log's base to its end.
  std::unique_ptr<projections::Projector> projector;
};

// `log` is changed where it has to be reset after a snapshot.
wire::Result<RecoveredState> recover_state(FileSystem& files, const StateRecoveryOptions& options,
                                           LogStore::Recovered& log);

}  // namespace bib::engine
