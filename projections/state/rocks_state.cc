#include "projections/state/rocks_state.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "projections/state/rocks_events.h"
#include "projections/state/rocks_report.h"
#include "wire/base/check.h"

namespace bib::projections {

using wire::ByteView;
using wire::Result;

namespace {

rocksdb::Slice to_slice(std::string_view text) {
  return {text.data(), text.size()};
}
rocksdb::Slice to_slice(ByteView bytes) {
  return to_slice(wire::as_text(bytes));
}
std::string_view to_text(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

// Of the files at one level of a family, so many smaller ones become one: at most 32 MiB are
// written for it, on the store thread.
constexpr std::size_t kSmallFilesMax = 16;
constexpr std::uint64_t kSmallFileBytes = 1U << 20;
constexpr std::uint64_t kMergeRoomMin = 4 * kSmallFilesMax * kSmallFileBytes;
constexpr std::size_t kVerifyReadBytes = 1U << 20;
// What RocksDB's thread does then is to open the files that it made and to sync the MANIFEST. Where
// the disk takes longer, the rows go to the memtables.
constexpr std::chrono::milliseconds kInstallWait(500);

rocksdb::Options database_options(const RocksOptions& options) {
  rocksdb::Options result;
  result.create_if_missing = !options.read_only;
  result.create_missing_column_families = !options.read_only;
  if (options.env != nullptr) result.env = options.env;
  result.atomic_flush = true;
  result.db_write_buffer_size = options.write_buffers_total_bytes;
  result.allow_concurrent_memtable_write = false;  // one writer: the store thread
  result.max_background_jobs = 2;
  result.max_subcompactions = 1;  // RocksEvents knows one part of each merge
  result.max_open_files = options.files_open_max;
  result.max_bgerror_resume_count = 0;  // a store that failed is opened again by the next start
  // Who closes has flushed what must last; it would wait for merges that may find no room.
  result.avoid_flush_during_shutdown = true;
  result.info_log_level = rocksdb::WARN_LEVEL;
  result.info_log = make_rocks_log(options.on_warning);
  result.stats_dump_period_sec = 0;
  result.stats_persist_period_sec = 0;
  return result;
}

rocksdb::ColumnFamilyOptions family_options(const RocksOptions& options,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions result;
  result.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  result.write_buffer_size = options.write_buffer_bytes;
  result.max_write_buffer_number = 3;
  result.memtable_whole_key_filtering = true;
  result.memtable_prefix_bloom_size_ratio = 0.05;
  // What is rewritten soon is not worth compressing: only the large levels are.
  result.compression_per_level = {rocksdb::kNoCompression, rocksdb::kNoCompression,
                                  rocksdb::kLZ4Compression};
  // Rows that change often coalesce in level 0: half as many bytes are merged into level 1.
  result.level0_file_num_compaction_trigger = 8;
  result.level0_slowdown_writes_trigger = static_cast<int>(options.top_files_max);
  // Never: writes would wait without end, and without a word, for merges that find no room.
  result.level0_stop_writes_trigger = std::numeric_limits<int>::max();
  result.target_file_size_base = 32U << 20;
  result.max_bytes_for_level_base = 64U << 20;
  return result;
}

// Files that are about to become part of the database. A name that RocksDB takes for none of its
// own.
std::string incoming_directory(const std::string& directory) {
  return directory + "/incoming";
}

// The remains of a process that died before they did.
rocksdb::Status clear_incoming(rocksdb::Env& env, const std::string& directory) {
  const std::string incoming = incoming_directory(directory);
  const rocksdb::Status exists = env.FileExists(incoming);
  if (exists.IsNotFound()) return rocksdb::Status::OK();
  if (!exists.ok()) return exists;
  std::vector<std::string> names;
  if (const auto status = env.GetChildren(incoming, &names); !status.ok()) return status;
  for (const std::string& name : names) {
    if (name == "." || name == "..") continue;
    if (const auto status = env.DeleteFile(incoming + "/" + name); !status.ok()) return status;
  }
  return env.DeleteDir(incoming);
}

// Without CURRENT, RocksDB would begin a new state among the files of the old one.
wire::Status check_current(rocksdb::Env& env, const std::string& directory) {
  const rocksdb::Status current = env.FileExists(directory + "/CURRENT");
  if (current.ok()) return {};
  std::vector<std::string> names;
  const rocksdb::Status listed = env.GetChildren(directory, &names);
  if (!listed.ok()) return {};  // opening it says why, or makes it
  const auto table = std::find_if(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("MANIFEST-") || name.ends_with(".sst");
  });
  if (table == names.end()) return {};
  return wire::fail(wire::ErrorCode::kNotFound,
                    "The state in {} cannot be read: it holds {}, but CURRENT is missing",
                    directory, *table);
}

struct RowsOfFamily {
  Family family;
  std::span<const RowPtr> rows;
};

// `rows` is in order of families.
std::vector<RowsOfFamily> by_family(std::span<const RowPtr> rows) {
  std::vector<RowsOfFamily> parts;
  while (!rows.empty()) {
    const Family family = rows.front()->family();
    const auto end = std::find_if(rows.begin(), rows.end(),
                                  [&](const RowPtr& row) { return row->family() != family; });
    const auto count = static_cast<std::size_t>(end - rows.begin());
    parts.push_back({family, rows.first(count)});
    rows = rows.subspan(count);
  }
  return parts;
}

rocksdb::Status write_file(const std::string& path, const rocksdb::Options& options,
                           rocksdb::ColumnFamilyHandle* handle, std::span<const RowPtr> rows) {
  // What was just written is what is read next: it stays in the system's cache.
  constexpr bool kInvalidatePageCache = false;
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(options), options, handle,
                                kInvalidatePageCache);
  rocksdb::Status status = writer.Open(path);
  for (std::size_t i = 0; status.ok() && i < rows.size(); ++i) {
    const StoredRow& row = *rows[i];
    status = row.is_tombstone() ? writer.Delete(to_slice(row.key()))
                                : writer.Put(to_slice(row.key()), to_slice(row.value()));
  }
  if (status.ok()) status = writer.Finish();
  return status;
}

// The longest run of neighbours, as many as one merge may take.
std::vector<std::string> small_files_in_a_row(const std::vector<rocksdb::SstFileMetaData>& files) {
  std::vector<std::string> longest;
  std::vector<std::string> run;
  const auto end_run = [&] {
    if (run.size() > longest.size()) longest = std::move(run);
    run.clear();
  };
  for (const rocksdb::SstFileMetaData& file : files) {
    if (file.size >= kSmallFileBytes || file.being_compacted) {
      end_run();
      continue;
    }
    run.push_back(file.name);
    if (run.size() == 2 * kSmallFilesMax) end_run();
  }
  end_run();
  return longest;
}

}  // namespace

struct RocksStore::Impl {
  std::string directory;
  rocksdb::Env* env = nullptr;
  bool memtables_have_rows = false;  // store thread
  bool has_incoming_directory = false;
  rocksdb::Options file_options;  // of the files that ingest() writes
  std::shared_ptr<rocksdb::Cache> cache;
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;  // by family, then the default one
  RocksEvents* events = nullptr;                      // the store's

  ~Impl() {
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  }
  rocksdb::ColumnFamilyHandle* handle(Family family) const { return handles[family_index(family)]; }

  std::uint64_t most_top_files() const {
    std::uint64_t most = 0;
    for (auto* each : handles) {
      std::string count;
      if (!db->GetProperty(each, rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &count)) {
        continue;
      }
      most = std::max<std::uint64_t>(most, std::strtoull(count.c_str(), nullptr, 10));
    }
    return most;
  }

  wire::Status check(const rocksdb::Status& status, std::string_view doing) const {
    return events->check(status, doing);
  }
  bool has_room_to_merge() const {
    std::uint64_t free = 0;
    return !env->GetFreeSpace(directory, &free).ok() || free >= kMergeRoomMin;
  }
  wire::Status merge_small_files(Family family) const;

  Result<RowPtr> find(const RowKey& key, const rocksdb::ReadOptions& read) const {
    rocksdb::PinnableSlice value;
    const auto status = db->Get(read, handle(key.family), to_slice(key.key), &value);
    if (status.IsNotFound()) return RowPtr();
    BIB_TRY_VOID(check(status, "reading a row"));
    return StoredRow::make(key, wire::as_bytes(to_text(value)));
  }
};

// A file that is taken in goes as far down as nothing overlaps it: one with a few rows to the very
// bottom, where RocksDB never looks at it again. It merges by level's bytes, not by its files. A
// merge that fails loses nothing, and the rows are in: only damage is an error. A full disk or a
// merge of RocksDB's own is left for a later write to find, and the files for a later merge.
wire::Status RocksStore::Impl::merge_small_files(Family family) const {
  rocksdb::ColumnFamilyMetaData found;
  db->GetColumnFamilyMetaData(handle(family), &found);
  for (const rocksdb::LevelMetaData& level : found.levels) {
    if (level.level == 0) continue;  // there it counts files
    const std::vector<std::string> run = small_files_in_a_row(level.files);
    if (run.size() < kSmallFilesMax || !has_room_to_merge()) continue;
    rocksdb::CompactionOptions options;
    options.compression = rocksdb::kDisableCompressionOption;  // the level's own
    const auto status = db->CompactFiles(options, handle(family), run, level.level);
    if (status.IsCorruption()) return check(status, "merging small files");
  }
  return {};
}

class RocksStore::RowCursor final : public Cursor {
 public:
  RowCursor(std::unique_ptr<rocksdb::Iterator> iterator, const Impl& impl)
      : iterator_(std::move(iterator)), impl_(impl) {}
  void seek(std::string_view key) override { iterator_->Seek(to_slice(key)); }
  void next() override { iterator_->Next(); }
  bool valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return to_text(iterator_->key()); }
  ByteView value() const override { return wire::as_bytes(to_text(iterator_->value())); }
  wire::Status status() const override { return impl_.check(iterator_->status(), "listing rows"); }

 private:
  std::unique_ptr<rocksdb::Iterator> iterator_;
  const Impl& impl_;
};

class RocksStore::View final : public StateReader {
 public:
  explicit View(const Impl& impl) : impl_(impl), snapshot_(impl.db->GetSnapshot()) {
    read_.snapshot = snapshot_;
  }
  ~View() override { impl_.db->ReleaseSnapshot(snapshot_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  Result<RowPtr> find(const RowKey& key) const override { return impl_.find(key, read_); }
  std::unique_ptr<Cursor> cursor(Family family) const override {
    std::unique_ptr<rocksdb::Iterator> iterator(impl_.db->NewIterator(read_, impl_.handle(family)));
    return std::make_unique<RowCursor>(std::move(iterator), impl_);
  }

 private:
  const Impl& impl_;
  const rocksdb::Snapshot* snapshot_;
  rocksdb::ReadOptions read_;
};

RocksStore::RocksStore(std::unique_ptr<Impl> impl, std::shared_ptr<RocksEvents> events,
                       std::string directory, RocksOptions options)
    : events_(std::move(events)),
      impl_(std::move(impl)),
      directory_(std::move(directory)),
      options_(options) {}
RocksStore::~RocksStore() {
  close();
}

Result<std::unique_ptr<RocksStore>> RocksStore::open(const std::string& directory,
                                                     const RocksOptions& options) {
  auto events = std::make_shared<RocksEvents>(directory);
  BIB_TRY(auto impl, open_impl(directory, options, events));
  return std::unique_ptr<RocksStore>(
      new RocksStore(std::move(impl), std::move(events), directory, options));
}

wire::Status RocksStore::verify_table(const std::string& path, const RocksOptions& options) {
  rocksdb::SstFileReader reader({database_options(options), family_options(options, nullptr)});
  rocksdb::ReadOptions reading;
  reading.readahead_size = kVerifyReadBytes;
  rocksdb::Status status = reader.Open(path);
  if (status.ok()) status = reader.VerifyChecksum(reading);
  return check(status, "checking its blocks", path);
}

std::optional<wire::Error> RocksStore::damage() const {
  return events_->damage();
}

void RocksStore::close() {
  events_->closes();
  impl_.reset();
  events_->forget();
}

wire::Status RocksStore::reopen() {
  BIB_CHECK(impl_ == nullptr);
  auto opened = open_impl(directory_, options_, events_);
  if (!opened) {
    events_->forget();
    return tl::unexpected(opened.error());
  }
  impl_ = std::move(*opened);
  return {};
}

Result<std::unique_ptr<RocksStore::Impl>> RocksStore::open_impl(
    const std::string& directory, const RocksOptions& options,
    const std::shared_ptr<RocksEvents>& events) {
  auto impl = std::make_unique<Impl>();
  impl->directory = directory;
  impl->env = options.env != nullptr ? options.env : rocksdb::Env::Default();
  if (!options.read_only) {
    BIB_TRY_VOID(check(impl->env->CreateDirIfMissing(directory), "making it", directory));
    BIB_TRY_VOID(check(clear_incoming(*impl->env, directory), "tidying it up", directory));
  }
  BIB_TRY_VOID(check_current(*impl->env, directory));
  impl->cache = rocksdb::NewLRUCache(options.block_cache_bytes, 2);
  impl->events = events.get();
  rocksdb::Options database = database_options(options);
  database.listeners.push_back(events);
  const auto family = family_options(options, impl->cache);
  impl->file_options = rocksdb::Options(database, family);
  impl->file_options.compression_per_level.clear();  // or it would be the last level's
  impl->file_options.compression = rocksdb::kNoCompression;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const Family each : kFamilies) families.emplace_back(std::string(family_name(each)), family);
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
  rocksdb::DB* db = nullptr;
  const auto status =
      options.read_only
          ? rocksdb::DB::OpenForReadOnly(database, directory, families, &impl->handles, &db)
          : rocksdb::DB::Open(database, directory, families, &impl->handles, &db);
  BIB_TRY_VOID(check(status, "opening it", directory));
  impl->db.reset(db);
  return impl;
}

wire::Status RocksStore::destroy(const std::string& directory, const RocksOptions& options) {
  rocksdb::Env& env = options.env != nullptr ? *options.env : *rocksdb::Env::Default();
  BIB_TRY_VOID(check(clear_incoming(env, directory), "removing it", directory));
  return check(rocksdb::DestroyDB(directory, database_options(options)), "removing it", directory);
}

Result<RowPtr> RocksStore::find(const RowKey& key) const {
  return impl_->find(key, rocksdb::ReadOptions());
}

std::shared_ptr<const StateReader> RocksStore::view() const {
  return std::make_shared<View>(*impl_);
}

wire::Status RocksStore::write(std::span<const RowPtr> rows) {
  // The rows that are read would be spread over ever more files.
  if (events_->lacks_room() && impl_->most_top_files() >= options_.top_files_max) {
    return impl_->check(rocksdb::Status::NoSpace("its files cannot be merged"), "writing rows");
  }
  std::size_t bytes = 0;
  for (const RowPtr& row : rows) bytes += row->bytes();
  const bool as_files = !options_.read_only && bytes >= options_.ingest_bytes_min &&
                        impl_->most_top_files() < options_.top_files_max;
  return as_files ? ingest(rows) : write_batch(rows);
}

wire::Status RocksStore::write_batch(std::span<const RowPtr> rows) {
  rocksdb::WriteBatch batch;
  for (const RowPtr& row : rows) {
    auto* handle = impl_->handle(row->family());
    const auto status = row->is_tombstone()
                            ? batch.Delete(handle, to_slice(row->key()))
                            : batch.Put(handle, to_slice(row->key()), to_slice(row->value()));
    BIB_TRY_VOID(impl_->check(status, "collecting rows"));
  }
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  impl_->memtables_have_rows = true;
  return impl_->check(impl_->db->Write(write, &batch), "writing rows");
}

// The rows are in order already, so they can be written as the table files that a flush would
// write, without a way through batch and memtable; all families' files become visible, and durable,
// at once. What the memtables hold is older, and must not get lost when these rows do not.
wire::Status RocksStore::ingest(std::span<const RowPtr> rows) {
  Impl& impl = *impl_;
  if (impl.memtables_have_rows) BIB_TRY_VOID(flush());
  const std::string incoming = incoming_directory(impl.directory);
  if (!impl.has_incoming_directory) {
    BIB_TRY_VOID(impl.check(impl.env->CreateDirIfMissing(incoming), "writing rows"));
    impl.has_incoming_directory = true;
  }
  const std::vector<RowsOfFamily> parts = by_family(rows);
  std::vector<rocksdb::IngestExternalFileArg> files;
  for (const RowsOfFamily& part : parts) {
    rocksdb::IngestExternalFileArg file;
    file.column_family = impl.handle(part.family);
    file.external_files = {fmt::format("{}/{}.sst", incoming, family_name(part.family))};
    file.options.move_files = true;
    file.options.write_global_seqno = false;
    BIB_TRY_VOID(impl.check(
        write_file(file.external_files.front(), impl.file_options, file.column_family, part.rows),
        "writing rows"));
    files.push_back(std::move(file));
  }
  if (!events_->begin_ingestion(kInstallWait)) return write_batch(rows);
  const rocksdb::Status ingested = impl.db->IngestExternalFiles(files);
  events_->end_ingestion();
  BIB_TRY_VOID(impl.check(ingested, "taking in rows"));
  for (const RowsOfFamily& part : parts) {
    BIB_TRY_VOID(impl.merge_small_files(part.family));
  }
  return {};
}

wire::Status RocksStore::check_files() const {
  return check(impl_->db->VerifyChecksum(), "reading all its files", impl_->directory);
}

wire::Status RocksStore::flush() {
  rocksdb::FlushOptions flush;
  flush.wait = true;
  flush.allow_write_stall = true;  // write() is what is held up
  BIB_TRY_VOID(impl_->check(impl_->db->Flush(flush, impl_->handles), "flushing"));
  impl_->memtables_have_rows = false;
  return {};
}

wire::Status RocksStore::checkpoint(const std::string& directory) {
  BIB_TRY_VOID(flush());
  rocksdb::Checkpoint* made = nullptr;
  BIB_TRY_VOID(
      impl_->check(rocksdb::Checkpoint::Create(impl_->db.get(), &made), "preparing a checkpoint"));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  return impl_->check(checkpoint->CreateCheckpoint(directory), "making a checkpoint");
}

RocksStore::Memory RocksStore::memory() const {
  Memory memory;
  memory.block_cache = impl_->cache->GetUsage();
  for (auto* handle : impl_->handles) {
    std::uint64_t value = 0;
    if (impl_->db->GetIntProperty(handle, rocksdb::DB::Properties::kSizeAllMemTables, &value)) {
      memory.memtables += value;
    }
    if (impl_->db->GetIntProperty(handle, rocksdb::DB::Properties::kEstimateTableReadersMem,
                                  &value)) {
      memory.table_readers += value;
    }
  }
  return memory;
}

}  // namespace bib::projections
