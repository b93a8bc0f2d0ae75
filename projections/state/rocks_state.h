// RocksStore: the state in RocksDB, a derived view of the log.
//
// Seven column families beside the default one. The WAL is off: the Raft log is the WAL;
// atomic_flush keeps the families at one applied index, so that after a crash the store is as
// it was after some write() as a whole, and the node replays the log from there. Memory is bounded
// by the options below, whatever the state's size. open() and destroy() on the starting thread;
// then as Store says; flush() and checkpoint() on the store thread. Errors: kIo, kCorrupt.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "projections/state/state.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace bib::projections {

class RocksEvents;

struct RocksOptions {
  std::size_t write_buffer_bytes = 8U << 20;          // one family's memtable
  std::size_t write_buffers_total_bytes = 24U << 20;  // all families' memtables together
  std::size_t block_cache_bytes = 16U << 20;          // index and filter blocks among them
  int files_open_max = 256;  // table files; beyond, each is opened again when it is read
  std::size_t ingest_bytes_min = 2U << 20;  // a write() of so many bytes goes around the memtables
  // With so many files at the top of a family, writes go through the memtables, where RocksDB slows
  // them down until it has compacted: taking in files knows no such limit.
  unsigned top_files_max = 20;
  bool read_only = false;  // for tools; write() is refused
  // RocksDB's warnings, one line each; from any thread.
  std::function<void(const std::string&)> on_warning = [](const std::string&) {};
  rocksdb::Env* env = nullptr;  // null: the system's; must outlive the store
};

class RocksStore final : public DurableStore {
 public:
  // Creates the directory's last component if it is missing (not when read-only). kNotFound: it
  // holds files of rows, and no CURRENT that names those that count; nothing was changed.
  static wire::Result<std::unique_ptr<RocksStore>> open(const std::string& directory,
                                                        const RocksOptions& options = {});
  // Removes a store's files, so that it can be rebuilt from the log or a snapshot.
  static wire::Status destroy(const std::string& directory, const RocksOptions& options = {});
  // Reads a table file and compares the checksums of all its blocks: not that the rows are the
  // right ones, but that they are as they were written. Any thread that may block.
  static wire::Status verify_table(const std::string& path, const RocksOptions& options = {});
  ~RocksStore() override;

  void close() override;
  wire::Status reopen() override;
  bool is_open() const override { return impl_ != nullptr; }

  using Store::find;
  wire::Result<RowPtr> find(const RowKey& key) const override;
  std::shared_ptr<const StateReader> view() const override;
  wire::Status write(std::span<const RowPtr> rows) override;

  // Reads every block of every table file and compares it with its checksum. kCorrupt names what
  // differs. Any thread.
  wire::Status check_files() const;

  wire::Status flush() override;
  wire::Status checkpoint(const std::string& directory) override;
  std::optional<wire::Error> damage() const override;

  struct Memory {
    std::size_t memtables = 0;
    std::size_t block_cache = 0;
    std::size_t table_readers = 0;
  };
  Memory memory() const;

 private:
  struct Impl;
  class RowCursor;
  class View;
  wire::Status write_batch(std::span<const RowPtr> rows);
  wire::Status ingest(std::span<const RowPtr> rows);
  RocksStore(std::unique_ptr<Impl> impl, std::shared_ptr<RocksEvents> events, std::string directory,
             RocksOptions options);
  static wire::Result<std::unique_ptr<Impl>> open_impl(const std::string& directory,
                                                       const RocksOptions& options,
                                                       const std::shared_ptr<RocksEvents>& events);

  const std::shared_ptr<RocksEvents> events_;
  std::unique_ptr<Impl> impl_;
  const std::string directory_;
  const RocksOptions options_;
};

}  // namespace bib::projections
