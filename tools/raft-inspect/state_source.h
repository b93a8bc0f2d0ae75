// State source: the rows that a node derived from its log, opened for reading only.
//
// RocksDB's own read-only mode: it takes no lock and writes nothing, so it works beside a running
// node, and shows what that node had flushed when it was opened. Any one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "inspect/finding.h"
#include "inspect/survey.h"
#include "projections/state/delta.h"
#include "projections/state/rocks_state.h"
#include "wire/base/result.h"
#include "wire/log/data_directory.h"

namespace bib::inspect {

struct StateSource {
  std::string path;  // empty: not known where it would be
  bool exists = false;
  std::unique_ptr<projections::RocksStore> store;  // null when it could not be opened
  std::optional<projections::StateMark> mark;      // where it says that it is
  std::optional<wire::RowsOwner> owner;            // whose it says that it is
  // Why they are not there, or no good. kCorrupt: they were read and are damaged; all else: they
  // could not be read, which says nothing of them.
  std::optional<wire::Error> problem;
};

struct SnapshotSource;

enum class StateCheck : std::uint8_t {
  kMark,   // where the rows stand
  kFiles,  // and every block of every file, by the checksums within
};
StateSource open_state(const std::string& directory, StateCheck check);

// Opened for reading only, when all that RocksDB would open are plain files.
wire::Result<std::unique_ptr<projections::RocksStore>> open_rows(const std::string& directory);

// What keeps the rows from being read. And rows that know more than the log does: the node refuses
// to start, unless it was putting a snapshot in place. Rows that end before the log begins come
// from a snapshot, or nowhere.
void check_mark(const StateSource& state, const Survey& survey, const SnapshotSource& snapshots,
                Findings& findings);
// Computes the digests over all rows and compares them with those that the store keeps.
void check_rows(const StateSource& state, const Survey& survey, const SnapshotSource& snapshots,
                Findings& findings);
// Rebuilds the rows, in memory, to where the store is, and compares the digests: the rows
// are what the log says, or they are not. From the log's first entry; where the log begins later,
// from the oldest snapshot that the log continues. Returns the entry after which it began;
// nothing where it could not be done.
std::optional<wire::LogIndex> check_replay(const StateSource& state, const Survey& survey,
                                           const SnapshotSource& snapshots, Findings& findings);

}  // namespace bib::inspect
