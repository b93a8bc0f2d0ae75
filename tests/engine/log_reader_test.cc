#include "engine/storage/log_reader.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <thread>

#include "engine/storage/log_store.h"
#include "engine/uv/file_posix.h"
#include "faulty_file_system.h"
#include "log_model.h"
#include "support/test_support.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;
using wire::LogIndex;

struct Filled {
  std::unique_ptr<LogStore> store;
  std::vector<wire::Bytes> entries;
};

Filled fill(FileSystem& files, const std::string& directory, std::uint64_t count, std::size_t size,
            std::size_t per_append) {
  auto log = LogStore::open(files, directory, test_options());
  REQUIRE(log);
  Filled filled{std::move(log->store), {}};
  while (filled.entries.size() < count) {
    LogStoreWrite write;
    for (std::size_t n = 0; n < per_append; ++n) {
      write.entries.push_back(make_entry(filled.entries.size() + 1, 1, size));
      filled.entries.push_back(write.entries.back());
    }
    REQUIRE(filled.store->append({&write, 1}));
  }
  return filled;
}

bool same(const wire::Bytes& left, const wire::Bytes& right) {
  return std::equal(left.view().begin(), left.view().end(), right.view().begin(),
                    right.view().end());
}

TEST_CASE("a reader gives any range of entries, across blocks and segments") {
  FaultyFileSystem files;
  for (const std::size_t size : {20U, 1500U, 30000U}) {
    const std::string directory = fmt::format("/log{}", size);
    const Filled filled = fill(files, directory, 60, size, 3);
    LogReader reader(files, directory, filled.store->locations());
    for (std::uint64_t first = 1; first <= 60; first += 7) {
      for (std::uint64_t last = first; last <= 60; last += 11) {
        const auto read = reader.read(LogIndex(first), LogIndex(last), UINT64_MAX);
        REQUIRE(read);
        REQUIRE(read->size() == last - first + 1);
        for (std::uint64_t i = first; i <= last; ++i) {
          CHECK(same((*read)[i - first], filled.entries[i - 1]));
        }
      }
    }
  }
}

TEST_CASE("a reader keeps to the bytes allowed but gives at least one entry") {
  FaultyFileSystem files;
  const Filled filled = fill(files, kLogDirectory, 100, 2000, 2);
  LogReader reader(files, kLogDirectory, filled.store->locations());
  const std::size_t size = filled.entries.front().size();
  for (std::uint64_t first = 1; first <= 90; ++first) {
    for (const std::size_t bytes : {std::size_t{0}, size - 1, size, 5 * size - 1, 5 * size}) {
      const auto read = reader.read(LogIndex(first), LogIndex(100), bytes);
      REQUIRE(read);
      CHECK(read->size() == std::max<std::size_t>(1, bytes / size));
    }
  }
}

TEST_CASE("a reader stops at the durable end and refuses what is not there") {
  FaultyFileSystem files;
  const Filled filled = fill(files, kLogDirectory, 10, 100, 1);
  LogReader reader(files, kLogDirectory, filled.store->locations());
  CHECK(reader.read(LogIndex(8), LogIndex(1000), UINT64_MAX)->size() == 3);
  for (const std::uint64_t first : {0U, 11U, 500U}) {
    const auto read = reader.read(LogIndex(first), LogIndex(1000), UINT64_MAX);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::kNotFound);
    CHECK(read.error().message.find("1 to 10") != std::string::npos);
  }
  CHECK(reader.read(LogIndex(5), LogIndex(4), 100)->empty());
}

TEST_CASE("a reader skips what was truncated between two entries") {
  FaultyFileSystem files;
  Filled filled = fill(files, kLogDirectory, 40, 4000, 1);
  LogStoreWrite write;
  write.truncate_from = LogIndex(3);
  for (std::uint64_t i = 3; i <= 6; ++i) write.entries.push_back(make_entry(i, 2, 100));
  REQUIRE(filled.store->append({&write, 1}));
  LogReader reader(files, kLogDirectory, filled.store->locations());
  const auto read = reader.read(LogIndex(1), LogIndex(99), UINT64_MAX);
  REQUIRE(read);
  REQUIRE(read->size() == 6);
  CHECK(same((*read)[1], filled.entries[1]));
  CHECK(same((*read)[2], write.entries[0]));
  CHECK(same((*read)[5], write.entries[3]));
}

TEST_CASE("readers on other threads see whole, right entries while the log is appended to") {
  const support::TempDir temp;
  const std::string directory = temp / "log";
  Filled filled = fill(posix_file_system(), directory, 5, 100, 1);
  LogReader reader(posix_file_system(), directory, filled.store->locations());
  const auto locations = filled.store->locations();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> failures{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      wire::Prng prng(t);
      while (!stop) {
        // Near the end, where blocks share pages with what was just written.
        const std::uint64_t end = locations->last().index.value();
        const std::uint64_t first = end - prng.below(std::min<std::uint64_t>(end, 8));
        const auto read = reader.read(LogIndex(first), LogIndex(end), UINT64_MAX);
        const bool whole =
            read && read->size() == end - first + 1 && same(read->back(), make_entry(end, 1, 100));
        if (!whole) ++failures;
        ++reads;
      }
    });
  }
  for (std::uint64_t index = 6; index < 400 || reads < 100; ++index) {
    LogStoreWrite write;
    write.entries = {make_entry(index, 1, 100)};
    const auto status = filled.store->append({&write, 1});
    if (!status) ++failures;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
}

}  // namespace
}  // namespace bib::engine
