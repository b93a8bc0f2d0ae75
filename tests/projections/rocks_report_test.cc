// What RocksDB says when its directory cannot be used, and what becomes of that.
#include "projections/state/rocks_report.h"

#include <rocksdb/env.h>
#include <rocksdb/status.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "projections/state/rocks_state.h"
#include "support/test_support.h"
#include "wire/base/check.h"

namespace bib::projections {
namespace {

using Catch::Matchers::Contains;
using wire::ErrorCode;

void make_store(const std::filesystem::path& directory) {
  auto store = RocksStore::open(directory);
  REQUIRE(store);
  const RowPtr row = StoredRow::make(make_row_key(Family::kTopics, "t"), wire::as_bytes("v"));
  REQUIRE((*store)->write({&row, 1}));
  REQUIRE((*store)->flush());
}

std::string advice(const rocksdb::Status& status) {
  const auto checked = check(status, "testing", "/d");
  REQUIRE_FALSE(checked);
  CHECK_THAT(checked.error().message, Contains("/d") && Contains("testing"));
  return checked.error().message;
}

}  // namespace

TEST_CASE("a state on a disk that takes nothing is an error, and no assertion of RocksDB's") {
  const support::TempDir scratch;
  make_store(scratch / "state");
  const auto opens = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, 0};
    BIB_CHECK(::setrlimit(RLIMIT_FSIZE, &none) == 0);
    for (int attempt = 0; attempt < 3; ++attempt) {
      const auto store = RocksStore::open(scratch / "state");
      BIB_CHECK(!store && store.error().code == ErrorCode::kIo, "{}", attempt);
    }
  };
  const auto said = support::aborts(opens);
  CHECK(said.value_or("").empty());
  // And it is as it was.
  auto store = RocksStore::open(scratch / "state");
  REQUIRE(store);
  CHECK((*store)->find(Family::kTopics, "t").value());
}

TEST_CASE("RocksDB writes no log of its own, and its warnings are handed on") {
  const support::TempDir scratch;
  make_store(scratch / "state");
  for (const auto& file : std::filesystem::directory_iterator(scratch / "state")) {
    CHECK_FALSE(file.path().filename().string().starts_with("LOG"));
  }
  std::vector<std::string> lines;
  const RocksOptions options{.on_warning = [&](const std::string& line) { lines.push_back(line); }};
  REQUIRE(RocksStore::open(scratch / "new", options));
  CHECK(lines.empty());
  const auto log = make_rocks_log([&](const std::string& line) { lines.push_back(line); });
  rocksdb::Log(rocksdb::INFO_LEVEL, log.get(), "%s", "news");
  rocksdb::Log(rocksdb::HEADER_LEVEL, log.get(), "%s", "options");
  rocksdb::Log(rocksdb::WARN_LEVEL, log.get(), "[f.cc:1] File Deletions Disabled, but already");
  rocksdb::Log(rocksdb::WARN_LEVEL, log.get(), "slow %d\n", 7);
  rocksdb::Log(rocksdb::ERROR_LEVEL, log.get(), "%s", std::string(5000, 'x').c_str());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "slow 7");
  CHECK(lines[1].size() < 1100);
}

TEST_CASE("an error of the system is named for what it is, and says what to do") {
  const auto of = [](int error_number) {
    return rocksdb::Status::IOError("While opening /d/CURRENT", ::strerrordesc_np(error_number));
  };
  CHECK_THAT(advice(rocksdb::Status::NoSpace("While appending")), Contains("Free space"));
  CHECK_THAT(advice(of(EDQUOT)), Contains("Free space"));
  CHECK_THAT(advice(of(EACCES)), Contains("to the node's user") && Contains("nothing is damaged") &&
                                     !Contains("health"));
  CHECK_THAT(advice(of(EROFS)), Contains("Mount that disk for writing"));
  CHECK_THAT(advice(of(EIO)), Contains("health"));
  for (const auto& status : {rocksdb::Status::Corruption("bad block"),
                             rocksdb::Status::PathNotFound("/d/MANIFEST-000005", "ENOENT")}) {
    CHECK(check(status, "testing", "/d").error().code == ErrorCode::kCorrupt);
    CHECK_THAT(advice(status), Contains("are damaged") && !Contains("health"));
  }
}

TEST_CASE("a state without CURRENT is not taken for a new one, and stays as it is") {
  const support::TempDir scratch;
  make_store(scratch / "state");
  std::filesystem::remove(scratch / "state/CURRENT");
  for (const bool read_only : {false, true}) {
    const auto store = RocksStore::open(scratch / "state", {.read_only = read_only});
    REQUIRE_FALSE(store);
    CHECK(store.error().code == ErrorCode::kNotFound);
    CHECK_THAT(store.error().message, Contains("CURRENT is missing"));
  }
  CHECK_FALSE(std::filesystem::exists(scratch / "state/CURRENT"));
}

}  // namespace bib::projections
