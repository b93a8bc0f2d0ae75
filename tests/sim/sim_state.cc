#include "sim_state.h"

#include <rocksdb/env.h>

#include <utility>

namespace bib::sim {

using projections::MemoryStore;
using projections::RowPtr;

namespace {

constexpr char kDirectory[] = "/state";

}  // namespace

class SimState::Twin final : public projections::Store {
 public:
  using Store::find;
  wire::Result<RowPtr> find(const projections::RowKey& key) const override {
    return live_->find(key);
  }
  std::shared_ptr<const projections::StateReader> view() const override { return live_->view(); }
  wire::Status write(std::span<const RowPtr> rows) override {
    unflushed_.emplace_back(rows.begin(), rows.end());
    return live_->write(rows);
  }

  wire::Status flush() { return keep(unflushed_.size()); }
  void crash(wire::Prng& random) {
    (void)keep(random.below(unflushed_.size() + 1));
    live_ = flushed_->copy();
  }

 private:
  wire::Status keep(std::size_t batches) {
    for (std::size_t i = 0; i < batches; ++i) BIB_TRY_VOID(flushed_->write(unflushed_[i]));
    unflushed_.clear();
    return {};
  }

  std::unique_ptr<MemoryStore> live_ = std::make_unique<MemoryStore>();
  std::unique_ptr<MemoryStore> flushed_ = std::make_unique<MemoryStore>();
  std::vector<std::vector<RowPtr>> unflushed_;
};

SimState::SimState(bool on_rocksdb) : on_rocksdb_(on_rocksdb) {
  wipe();
}

SimState::~SimState() {
  rocks_.reset();
}

wire::Result<projections::Store*> SimState::open() {
  if (!on_rocksdb_) return twin_.get();
  if (!rocks_) {
    projections::RocksOptions options;
    options.env = env_.get();
    options.ingest_bytes_min = 1024;
    BIB_TRY(rocks_, projections::RocksStore::open(kDirectory, options));
  }
  return rocks_.get();
}

wire::Status SimState::flush() {
  return on_rocksdb_ ? rocks_->flush() : twin_->flush();
}

void SimState::crash(wire::Prng& random) {
  // Of RocksDB's memtables nothing would be left; closing it writes them, which is as legal.
  rocks_.reset();
  if (twin_) twin_->crash(random);
}

void SimState::wipe() {
  rocks_.reset();
  if (on_rocksdb_) {
    env_.reset(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  } else {
    twin_ = std::make_unique<Twin>();
  }
}

}  // namespace bib::sim
