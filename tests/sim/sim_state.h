// SimState: where one node's projections live in the simulation: the in-memory twin with files on
// the simulated disk, or RocksDB on its in-memory Env; and what a crash leaves of it.
//
// The store's contract is that after a crash it stands as it was after some write() as a whole, not
// before the last flush(). The twin writes what was written since into a file of rows, whose name
// counts once CURRENT has it; before a crash it may still get as far as the seed says. So its
// directory can be linked, sent and exchanged as RocksDB's is, and no crash in between is left out.
// RocksDB keeps what it keeps; its directory is on no disk, so such a node has no snapshots.
#pragma once

#include <memory>
#include <string>

#include "engine/ports/file.h"
#include "projections/state/delta.h"
#include "projections/state/rocks_state.h"
#include "projections/state/state.h"
#include "wire/base/prng.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace bib::sim {

class SimState {
 public:
  SimState(engine::FileSystem& disk, bool on_rocksdb);
  ~SimState();

  wire::Result<std::unique_ptr<projections::DurableStore>> open(const std::string& directory);
  // As projections::verify_checkpoint().
  wire::Result<projections::StateMark> verify(const std::string& directory);
  // As projections::RocksStore::verify_table().
  wire::Status verify_table(const std::string& path);
  // The process is about to end: some of what was written may become durable by then.
  void flush_part(projections::DurableStore& store, wire::Prng& random);
  // No process has it open. Changes the value of a key of the configuration, and with `digest_too`
  // the digest that is kept of such rows. The key; empty: there is none. Not on RocksDB.
  wire::Result<std::string> change_row(const std::string& directory, bool digest_too,
                                       wire::Prng& random);
  // The disk was.
  void wipe();

 private:
  class Twin;

  engine::FileSystem& disk_;
  const bool on_rocksdb_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace bib::sim
