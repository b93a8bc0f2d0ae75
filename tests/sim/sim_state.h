// SimState: where one node's projections live in the simulation: the in-memory twin, or RocksDB on
// its in-memory Env; and what a crash leaves of it.
//
// The store's contract is that after a crash it stands as it was after some write() as a whole, not
// before the last flush(). The twin keeps the batches since the last flush apart, and a crash keeps
// a prefix of them that the seed chooses. RocksDB keeps what it keeps.
#pragma once

#include <memory>
#include <vector>

#include "projections/rocks_state.h"
#include "projections/state.h"
#include "wire/prng.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace bib::sim {

class SimState {
 public:
  explicit SimState(bool on_rocksdb);
  ~SimState();

  wire::Result<projections::Store*> open();
  wire::Status flush();
  // The process has ended, or the machine has.
  void crash(wire::Prng& random);
  void wipe();

 private:
  class Twin;

  const bool on_rocksdb_;
  std::unique_ptr<Twin> twin_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<projections::RocksStore> rocks_;
};

}  // namespace bib::sim
