// State: what the projections' rows are read from and written to.
//
// A Store keeps one ordered map of bytes for each family: RocksStore (rocks_state.h), or the
// in-memory twin below. get() and view() are called on the node loop, write() on the store thread;
// a Store serves these concurrently. A view never changes, may be read on any
// threads (a cursor on one), and must not outlive its Store. Errors: kIo and kCorrupt, after which
// the node stops.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "projections/state/family.h"
#include "projections/state/stored_row.h"
#include "wire/base/result.h"

namespace bib::projections {

// Rows of one family in order of their keys' bytes.
class Cursor {
 public:
  virtual ~Cursor() = default;
  // Moves to the first row whose key is not below `key`.
  virtual void seek(std::string_view key) = 0;
  virtual void next() = 0;
  // False at the end, and after an error.
  virtual bool valid() const = 0;
  // Valid until the cursor moves.
  virtual std::string_view key() const = 0;
  virtual wire::ByteView value() const = 0;
  virtual bool is_tombstone() const { return false; }
  virtual wire::Status status() const { return {}; }
};

class RowReader {
 public:
  virtual ~RowReader() = default;
  // Null when there is no such row; never a tombstone.
  virtual wire::Result<RowPtr> find(const RowKey& key) const = 0;

  wire::Result<RowPtr> find(Family family, std::string_view key) const {
    return find(make_row_key(family, key));
  }
};

// One consistent state that can be listed.
class StateReader : public RowReader {
 public:
  using RowReader::find;
  virtual std::unique_ptr<Cursor> cursor(Family family) const = 0;
};

struct ScanRange {
  std::string_view prefix = {};
  std::optional<std::string_view> after = std::nullopt;  // begin after this key
  std::size_t limit = SIZE_MAX;
};
// Calls `visit` for each row of the range in order, until it returns false.
wire::Status scan(const StateReader& reader, Family family, const ScanRange& range,
                  const std::function<bool(std::string_view key, wire::ByteView value)>& visit);

class Store : public RowReader {
 public:
  using RowReader::find;
  virtual std::shared_ptr<const StateReader> view() const = 0;
  // Puts and tombstones, in order of (family, key), without repeats, all or nothing.
  virtual wire::Status write(std::span<const RowPtr> rows) = 0;
};

// A Store whose rows are in a directory, and outlast the process. After a crash it is as it was
// after some write() as a whole, not before the last flush().
class DurableStore : public Store {
 public:
  // Around an exchange of the directory's files, on the store thread: between the two no one may
  // call anything else, and no view may be alive at close(). No one may count on what was not
  // flushed.
  virtual void close() = 0;
  virtual wire::Status reopen() = 0;
  virtual bool is_open() const = 0;

  // Makes all that was written durable. What the applied index was before the call survives a
  // crash after it: the log may be trimmed to there.
  virtual wire::Status flush() = 0;
  // Flushes, then links or copies the files into `directory`, which must not exist: a store of its
  // own, at one applied index.
  virtual wire::Status checkpoint(const std::string& directory) = 0;
  // The first damage that anybody, its own threads among them, has met in its files since it was
  // opened; none once it is closed. Any thread, at any time.
  virtual std::optional<wire::Error> damage() const { return std::nullopt; }
};

// The in-memory twin: tests, the simulator, replay. Shares the rows that are written to it.
class MemoryStore final : public Store {
 public:
  using Rows = std::map<std::string_view, RowPtr>;  // keys point into their rows

  MemoryStore();
  using Store::find;
  wire::Result<RowPtr> find(const RowKey& key) const override;
  std::shared_ptr<const StateReader> view() const override;
  wire::Status write(std::span<const RowPtr> rows) override;

  // The same rows in a store of its own: "the disk as it was", for crash tests.
  std::unique_ptr<MemoryStore> copy() const;

 private:
  class View;
  mutable std::mutex mutex_;
  struct FamilyRows {
    std::shared_ptr<Rows> rows;
    bool shared = false;  // a view was given out: copied before the next write
  };
  mutable std::array<FamilyRows, kFamilyCount> families_;
};

}  // namespace bib::projections
