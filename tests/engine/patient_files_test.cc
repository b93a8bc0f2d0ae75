// Files that are opened when the process has no descriptor left.
#include "engine/storage/patient_files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "engine/storage/log_store.h"
#include "engine/uv/file_posix.h"
#include "log_model.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::engine;
using Catch::Matchers::Contains;

// UBSan asks the kernel through a pipe whether an object's memory can be read: it needs what these
// tests take away, and it comes with ASan here.
#ifndef __SANITIZE_ADDRESS__

namespace {

// No descriptor is left from take() on, until the end or give_back().
class NoDescriptors {
 public:
  NoDescriptors() { ::getrlimit(RLIMIT_NOFILE, &before_); }
  ~NoDescriptors() { give_back(); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

  void take() {
    give_back();
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // the lowest that is free
    const rlimit none{static_cast<rlim_t>(next), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    ::close(next);
  }
  void give_back() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// Gives them back at the third try.
struct Waiter {
  NoDescriptors& none;
  unsigned waits = 0;

  bool operator()(unsigned attempt) {
    CHECK(attempt <= 3);
    ++waits;
    if (attempt == 3) none.give_back();
    return true;
  }
};

}  // namespace

TEST_CASE("what cannot be opened for want of a descriptor is opened when there is one") {
  const support::TempDir scratch;
  const std::string directory = scratch.path().string();
  NoDescriptors none;
  Waiter waiter{none};
  PatientFiles files(posix_file_system(), std::ref(waiter));
  none.take();
  REQUIRE(files.open(directory + "/new", {.mode = OpenMode::kCreate}));
  CHECK(waiter.waits == 3);
  none.take();
  CHECK(files.list(directory).value() == std::vector<std::string>{"new"});
  none.take();
  CHECK(files.sync_directory(directory));
  none.take();
  CHECK(files.make_directories(directory + "/a/b"));
  none.take();
  CHECK(files.lock(directory));
  CHECK(waiter.waits == 15);
  CHECK_FALSE(files.open(directory + "/absent", {}));  // another error is not waited for
  CHECK(waiter.waits == 15);
}

TEST_CASE("waiting for a descriptor has an end, and says what to do") {
  const support::TempDir scratch;
  NoDescriptors none;
  unsigned waits = 0;
  PatientFiles files(posix_file_system(), [&](unsigned attempt) {
    ++waits;
    return attempt < 5;
  });
  none.take();
  const auto opened = files.open((scratch / "new").string(), {.mode = OpenMode::kCreate});
  none.give_back();
  REQUIRE_FALSE(opened);
  CHECK(waits == 5);
  CHECK(opened.error().code == wire::ErrorCode::kIo);
  CHECK_THAT(opened.error().message, Contains("new") && Contains("no descriptor left") &&
                                         Contains("limits.client_connections"));
}

TEST_CASE("a log whose next file cannot be opened for want of a descriptor waits for one") {
  const support::TempDir scratch;
  NoDescriptors none;
  Waiter waiter{none};
  PatientFiles files(posix_file_system(), std::ref(waiter));
  auto log = LogStore::open(files, (scratch / "log").string(), test_options());
  REQUIRE(log);
  LogStore& store = *log->store;
  std::uint64_t index = 0;
  while (store.counters().segments_made < 4) {
    LogStoreWrite write;
    write.entries.push_back(make_entry(++index, 1, 3000));
    none.take();
    REQUIRE(store.append({&write, 1}));
  }
  none.give_back();
  CHECK(waiter.waits >= 9);
  CHECK(store.last().index == wire::LogIndex(index));
  REQUIRE(store.close());
}

#endif  // __SANITIZE_ADDRESS__
