#include "sim_state.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/storage/snapshot_files.h"
#include "projections/apply/replay.h"
#include "projections/state/keys.h"
#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/model/row.h"

namespace bib::sim {

using projections::Family;
using projections::MemoryStore;
using projections::RowPtr;
using projections::StoredRow;
using wire::ErrorCode;
using wire::Result;
using wire::Status;

namespace {

constexpr char kRocksDirectory[] = "/state";
constexpr char kCurrentName[] = "CURRENT";  // the names of the files that count, one a line
constexpr std::size_t kFilesMax = 6;        // more are made one
constexpr std::size_t kFileSizeMax = 64U << 20;

void put(std::vector<std::uint8_t>& out, std::uint64_t number) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(number >> 8 * i));
}

class RowFileReader {
 public:
  explicit RowFileReader(wire::ByteView bytes) : bytes_(bytes) {}
  bool at_end() const { return bytes_.empty(); }
  std::uint64_t number() {
    std::uint64_t number = 0;
    const wire::ByteView bytes = take(8);
    for (std::size_t i = 0; i < 8; ++i) number |= std::uint64_t{bytes[i]} << 8 * i;
    return number;
  }
  wire::ByteView take(std::uint64_t size) {
    BIB_CHECK(size <= bytes_.size());  // behind a checksum: nobody else writes these files
    const wire::ByteView taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }

 private:
  wire::ByteView bytes_;
};

// Batches: their number of rows; each row's family, tombstone, sizes, key and value.
void put_batch(std::vector<std::uint8_t>& out, std::span<const RowPtr> rows) {
  put(out, rows.size());
  for (const RowPtr& row : rows) {
    put(out, projections::family_index(row->family()) << 1 | (row->is_tombstone() ? 1 : 0));
    put(out, row->key().size());
    put(out, row->value().size());
    out.insert(out.end(), row->key().begin(), row->key().end());
    out.insert(out.end(), row->value().begin(), row->value().end());
  }
}

// Its last eight bytes are the checksum of those before.
Status check_row_file(const std::string& path, wire::ByteView bytes) {
  const bool is_whole = bytes.size() >= 8 && RowFileReader(bytes.last(8)).number() ==
                                                 wire::checksum64(bytes.first(bytes.size() - 8));
  if (is_whole) return {};
  return wire::fail(ErrorCode::kCorrupt, "the rows in {} are damaged", path);
}

Status read_batches(wire::ByteView bytes, MemoryStore& store) {
  RowFileReader reader(bytes);
  while (!reader.at_end()) {
    std::vector<RowPtr> rows(reader.number());
    for (RowPtr& row : rows) {
      const std::uint64_t kind = reader.number();
      const std::uint64_t key_size = reader.number();
      const std::uint64_t value_size = reader.number();
      const auto key = projections::make_row_key(static_cast<Family>(kind >> 1),
                                                 wire::as_text(reader.take(key_size)));
      const wire::ByteView value = reader.take(value_size);
      row = (kind & 1) != 0 ? StoredRow::make_tombstone(key) : StoredRow::make(key, value);
    }
    BIB_TRY_VOID(store.write(rows));
  }
  return {};
}

}  // namespace

class SimState::Twin final : public projections::DurableStore {
 public:
  Twin(engine::FileSystem& disk, std::string directory)
      : disk_(disk), directory_(std::move(directory)) {}

  using Store::find;
  Result<RowPtr> find(const projections::RowKey& key) const override { return live_->find(key); }
  std::shared_ptr<const projections::StateReader> view() const override { return live_->view(); }
  Status write(std::span<const RowPtr> rows) override {
    unflushed_.emplace_back(rows.begin(), rows.end());
    return live_->write(rows);
  }

  void close() override {
    live_.reset();
    unflushed_.clear();
  }

  // `read_only`: of a snapshot, in which nothing changes any more.
  Status load(bool read_only) {
    live_ = std::make_unique<MemoryStore>();
    unflushed_.clear();
    names_.clear();
    if (!read_only) BIB_TRY_VOID(disk_.make_directories(directory_));
    BIB_TRY(const auto present, disk_.list(directory_));
    if (std::find(present.begin(), present.end(), kCurrentName) != present.end()) {
      BIB_TRY(const auto current,
              engine::read_small_file(disk_, engine::join_path(directory_, kCurrentName),
                                      kFileSizeMax));
      std::string_view text = wire::as_text(current);
      while (!text.empty()) {
        names_.emplace_back(text.substr(0, text.find('\n')));
        text.remove_prefix(std::min(text.size(), names_.back().size() + 1));
      }
    } else if (read_only) {
      return wire::fail(ErrorCode::kCorrupt, "{} holds no {}", directory_, kCurrentName);
    }
    for (const std::string& name : names_) BIB_TRY_VOID(load_file(name));
    if (read_only) return {};
    BIB_TRY_VOID(remove_others(present));
    return disk_.sync_directory(directory_);  // what is found is relied on
  }
  Status reopen() override { return load(false); }
  bool is_open() const override { return live_ != nullptr; }

  Status flush() override { return flush_batches(unflushed_.size()); }
  Status flush_batches(std::size_t count) {
    if (count == 0) return {};
    const bool all = count == unflushed_.size();
    std::vector<std::string> names = names_;
    std::vector<std::uint8_t> bytes;
    if (all && names.size() >= kFilesMax) {
      names.clear();
      put_batch(bytes, all_rows());
    } else {
      for (std::size_t i = 0; i < count; ++i) put_batch(bytes, unflushed_[i]);
    }
    names.push_back(fmt::format("{:06}.sst", ++last_number_));
    BIB_TRY_VOID(write_file(names.back(), bytes));
    BIB_TRY_VOID(set_current(names));
    unflushed_.erase(unflushed_.begin(), unflushed_.begin() + static_cast<std::ptrdiff_t>(count));
    for (const std::string& old : names_) {
      if (std::find(names.begin(), names.end(), old) == names.end()) {
        BIB_TRY_VOID(disk_.remove(engine::join_path(directory_, old)));
      }
    }
    names_ = std::move(names);
    return {};
  }

  // What is not linked is not synced: that is the caller's.
  Status checkpoint(const std::string& directory) override {
    BIB_TRY_VOID(flush());
    BIB_TRY_VOID(disk_.make_directories(directory));
    for (const std::string& name : names_) {
      BIB_TRY_VOID(
          disk_.link(engine::join_path(directory_, name), engine::join_path(directory, name)));
    }
    BIB_TRY(const auto file, disk_.open(engine::join_path(directory, kCurrentName),
                                        {.mode = engine::OpenMode::kCreate, .direct = false}));
    return file->write(0, wire::as_bytes(current_text(names_)));
  }

  std::size_t unflushed() const { return unflushed_.size(); }

 private:
  Status load_file(const std::string& name) {
    last_number_ = std::max<std::uint64_t>(last_number_, std::stoull(name));
    BIB_TRY(const auto bytes,
            engine::read_small_file(disk_, engine::join_path(directory_, name), kFileSizeMax));
    BIB_TRY_VOID(check_row_file(engine::join_path(directory_, name), bytes));
    return read_batches(wire::ByteView(bytes).first(bytes.size() - 8), *live_);
  }

  Status remove_others(const std::vector<std::string>& present) {
    for (const std::string& name : present) {
      if (name == kCurrentName || std::find(names_.begin(), names_.end(), name) != names_.end()) {
        continue;
      }
      BIB_TRY_VOID(disk_.remove(engine::join_path(directory_, name)));
    }
    return {};
  }

  std::vector<RowPtr> all_rows() const {
    std::vector<RowPtr> rows;
    const auto view = live_->view();
    for (const Family family : projections::kFamilies) {
      const auto cursor = view->cursor(family);
      for (cursor->seek(""); cursor->valid(); cursor->next()) {
        rows.push_back(
            StoredRow::make(projections::make_row_key(family, cursor->key()), cursor->value()));
      }
    }
    return rows;
  }

  Status write_file(const std::string& name, std::vector<std::uint8_t>& bytes) {
    put(bytes, wire::checksum64(bytes));
    BIB_TRY(const auto file, disk_.open(engine::join_path(directory_, name),
                                        {.mode = engine::OpenMode::kCreate, .direct = false}));
    BIB_TRY_VOID(file->write(0, bytes));
    return file->sync();
  }

  static std::string current_text(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += name + "\n";
    return text;
  }
  Status set_current(const std::vector<std::string>& names) {
    return engine::write_small_file(disk_, directory_, kCurrentName,
                                    wire::as_bytes(current_text(names)));
  }

  engine::FileSystem& disk_;
  const std::string directory_;
  std::unique_ptr<MemoryStore> live_;
  std::vector<std::vector<RowPtr>> unflushed_;
  std::vector<std::string> names_;  // of the files that count, oldest first
  std::uint64_t last_number_ = 0;
};

SimState::SimState(engine::FileSystem& disk, bool on_rocksdb)
    : disk_(disk), on_rocksdb_(on_rocksdb) {
  wipe();
}

SimState::~SimState() = default;

Result<std::unique_ptr<projections::DurableStore>> SimState::open(const std::string& directory) {
  if (on_rocksdb_) {
    projections::RocksOptions options;
    options.env = env_.get();
    options.ingest_bytes_min = 1024;
    return projections::RocksStore::open(kRocksDirectory, options);
  }
  auto twin = std::make_unique<Twin>(disk_, directory);
  BIB_TRY_VOID(twin->load(false));
  return twin;
}

Result<projections::StateMark> SimState::verify(const std::string& directory) {
  Twin twin(disk_, directory);
  BIB_TRY_VOID(twin.load(true));
  return projections::verify_state(*twin.view());
}

Result<std::string> SimState::change_row(const std::string& directory, bool digest_too,
                                         wire::Prng& random) {
  BIB_CHECK(!on_rocksdb_);
  Twin twin(disk_, directory);
  BIB_TRY_VOID(twin.load(false));
  std::vector<RowPtr> rows;
  const char tag[] = {projections::keys::kConfigTag};
  BIB_TRY_VOID(projections::scan(
      *twin.view(), Family::kConfig, {.prefix = {tag, 1}}, [&](auto key, wire::ByteView value) {
        rows.push_back(StoredRow::make(projections::make_row_key(Family::kConfig, key), value));
        return true;
      }));
  if (rows.empty()) return std::string();
  const RowPtr before = rows[random.below(rows.size())];
  BIB_TRY(wire::ConfigRow row, wire::read_row_as<wire::ConfigRow>(before->value()));
  const std::string value = std::string(row.value) + "?";
  row.value = value;
  wire::RowEncoder encoder;
  const RowPtr after = StoredRow::make(projections::make_row_key(Family::kConfig, before->key()),
                                       encoder.encode(row));
  std::vector<RowPtr> batch;
  if (digest_too) {
    BIB_TRY(const projections::StateMark mark, projections::read_mark(twin));
    projections::Digest digest = mark.digests[family_index(Family::kConfig)];
    digest.remove(before->digest());
    digest.add(after->digest());
    std::string text;
    for (const std::uint64_t part : {digest.low, digest.high, digest.rows}) {
      projections::keys::append_u64(text, part);
    }
    const std::string name = projections::keys::digest(family_name(Family::kConfig));
    batch.push_back(
        StoredRow::make(projections::make_row_key(Family::kMeta, name), wire::as_bytes(text)));
  }
  batch.push_back(after);
  BIB_TRY_VOID(twin.write(batch));
  BIB_TRY_VOID(twin.flush());
  return std::string(row.key);
}

Status SimState::verify_table(const std::string& path) {
  BIB_TRY(const auto bytes, engine::read_small_file(disk_, path, kFileSizeMax));
  return check_row_file(path, bytes);
}

// Of RocksDB's memtables nothing is left.
void SimState::flush_part(projections::DurableStore& store, wire::Prng& random) {
  if (on_rocksdb_) return;
  auto& twin = static_cast<Twin&>(store);
  (void)twin.flush_batches(random.below(twin.unflushed() + 1));
}

void SimState::wipe() {
  if (on_rocksdb_) env_.reset(rocksdb::NewMemEnv(rocksdb::Env::Default()));
}

}  // namespace bib::sim
