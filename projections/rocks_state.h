// RocksStore: the state in RocksDB, a derived view of the log.
//
// Seven column families beside the default one. The WAL is off: the Raft log is the WAL;
// atomic_flush keeps the families at one applied index, so that after a crash the store stands as
// it was after some write() as a whole, and the node replays the log from there. Memory is bounded
// by the options below, whatever the state's size. open() and destroy() on the starting thread;
// then as Store says; flush() and checkpoint() on the store thread. Errors: kIo, kCorrupt.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "projections/state.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace bib::projections {

struct RocksOptions {
  std::size_t write_buffer_bytes = 8U << 20;          // one family's memtable
  std::size_t write_buffers_total_bytes = 24U << 20;  // all families' memtables together
  std::size_t block_cache_bytes = 16U << 20;          // includes index and filter blocks
  std::size_t ingest_bytes_min = 2U << 20;  // a write() of so many bytes goes around the memtables
  bool read_only = false;                   // for tools; write() is refused
  rocksdb::Env* env = nullptr;              // null: the system's; must outlive the store
};

class RocksStore final : public Store {
 public:
  // Creates the directory's last component if it is missing (not when read-only).
  static wire::Result<std::unique_ptr<RocksStore>> open(const std::string& directory,
                                                        const RocksOptions& options = {});
  // Removes a store's files, so that it can be rebuilt from the log or a snapshot.
  static wire::Status destroy(const std::string& directory, const RocksOptions& options = {});
  ~RocksStore() override;

  // Around an exchange of the directory's files, on the store thread: between the two nobody may
  // call anything else, and no view may be alive at close(). Nobody may count on what was not
  // flushed.
  void close();
  wire::Status reopen();
  bool is_open() const { return impl_ != nullptr; }

  using Store::find;
  wire::Result<RowPtr> find(const RowKey& key) const override;
  std::shared_ptr<const StateReader> view() const override;
  wire::Status write(std::span<const RowPtr> rows) override;

  // Makes all that was written durable. What the applied index was before the call survives a
  // crash after it: the log may be trimmed to there.
  wire::Status flush();
  // Flushes, then links or copies the files into `directory`, which must not exist: a store of its
  // own, at one applied index.
  wire::Status checkpoint(const std::string& directory);

  struct Memory {
    std::size_t memtables = 0;
    std::size_t block_cache = 0;
    std::size_t table_readers = 0;
  };
  Memory memory() const;

 private:
  struct Impl;
  class View;
  wire::Status write_batch(std::span<const RowPtr> rows);
  wire::Status ingest(std::span<const RowPtr> rows);
  RocksStore(std::unique_ptr<Impl> impl, std::string directory, RocksOptions options);
  static wire::Result<std::unique_ptr<Impl>> open_impl(const std::string& directory,
                                                       const RocksOptions& options);

  std::unique_ptr<Impl> impl_;
  const std::string directory_;
  const RocksOptions options_;
};

}  // namespace bib::projections
