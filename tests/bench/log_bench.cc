// log_bench DIRECTORY: what the log costs on the disk below DIRECTORY.
//
// First the ways to make one block durable in a pre-written file, in interleaved rounds; then the
// log store, the log thread, the reader and recovery. Writes up to 2 GB below DIRECTORY and removes
// it again. Compare only figures of one run.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "engine/uv/file_posix.h"
#include "engine/uv/log_thread.h"
#include "wire/base/check.h"
#include "wire/base/prng.h"
#include "wire/config/node_config.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

namespace bib::engine {
namespace {

using Clock = std::chrono::steady_clock;
using wire::Bytes;
using wire::LogIndex;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <typename Result>
auto must(Result result) {
  BIB_CHECK(result.has_value(), "{}", result.error().message);
  if constexpr (!std::is_void_v<typename Result::value_type>) return *std::move(result);
}

class Latencies {
 public:
  void add(double seconds) { seconds_.push_back(seconds); }
  std::string summary() {
    std::sort(seconds_.begin(), seconds_.end());
    double total = 0;
    for (const double s : seconds_) total += s;
    const auto at = [&](double part) {
      return 1e6 *
             seconds_[static_cast<std::size_t>(part * static_cast<double>(seconds_.size() - 1))];
    };
    return fmt::format("{:7.0f} a second, p50 {:6.1f} us, p99 {:7.1f} us",
                       static_cast<double>(seconds_.size()) / total, at(0.5), at(0.99));
  }

 private:
  std::vector<double> seconds_;
};

// How a block can be made durable.
struct Way {
  const char* name;
  int open_flags;
  int write_flags;
  bool sync;
};
constexpr Way kWays[] = {
    {"direct, write + fdatasync", O_DIRECT, 0, true},
    {"direct, RWF_DSYNC", O_DIRECT, RWF_DSYNC, false},
    {"buffered, write + fdatasync", 0, 0, true},
    {"buffered, RWF_DSYNC", 0, RWF_DSYNC, false},
};

void one_round(const std::string& path, const Way& way, std::size_t size, std::size_t count,
               Latencies& latencies) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | way.open_flags);
  BIB_CHECK(descriptor >= 0);
  AlignedBuffer buffer(size);
  std::memset(buffer.data(), 0x5a, size);
  for (std::size_t i = 0; i < count; ++i) {
    iovec part{buffer.data(), size};
    const auto start = Clock::now();
    BIB_CHECK(::pwritev2(descriptor, &part, 1, static_cast<off_t>(i * size), way.write_flags) ==
              static_cast<ssize_t>(size));
    if (way.sync) BIB_CHECK(::fdatasync(descriptor) == 0);
    latencies.add(seconds_since(start));
  }
  ::close(descriptor);
}

void compare_ways(const std::string& directory) {
  const PreparedSegment file =
      must(prepare_segment({&posix_file_system(), directory, "ways", 64U << 20}));
  for (const std::size_t size : {512U, 4096U, 65536U, 1048576U}) {
    Latencies latencies[std::size(kWays)];
    for (int round = 0; round < 8; ++round) {
      for (std::size_t i = 0; i < std::size(kWays); ++i) {
        one_round(file.path, kWays[i], size, size >= 1048576 ? 60 : 250, latencies[i]);
      }
    }
    for (std::size_t i = 0; i < std::size(kWays); ++i) {
      fmt::print("block of {:7} bytes, {:28} {}\n", size, kWays[i].name, latencies[i].summary());
    }
  }
}

LogStoreOptions options_for(std::uint32_t alignment) {
  LogStoreOptions options;
  options.cluster.bytes.fill(1);
  options.node = wire::NodeId(1);
  options.segment_bytes = wire::NodeConfig().log.segment_bytes;
  options.alignment = alignment;
  options.schema = wire::event_schema();
  options.random = [] { return 42; };
  options.now_us = [] { return std::int64_t{0}; };
  return options;
}

// Entries of one size, made before the clock starts where that is possible.
Bytes make_entry(std::uint64_t index, std::size_t size) {
  static const std::vector<std::uint8_t> event = [] {
    wire::Prng prng(1);
    std::vector<std::uint8_t> bytes(1U << 20);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    return bytes;
  }();
  wire::EntryBuilder builder;
  builder.add_event(wire::ByteView(event).first(size));
  return builder.seal(
      {options_for(0).cluster, wire::Term(1), LogIndex(index), static_cast<std::int64_t>(index)});
}

void measure_store(const std::string& directory, std::uint32_t alignment) {
  auto log = must(LogStore::open(posix_file_system(), directory, options_for(alignment)));
  Latencies latencies;
  for (std::uint64_t index = 1; index <= 5000; ++index) {
    LogStoreWrite write;
    write.entries = {make_entry(index, 256)};
    const auto start = Clock::now();
    must(log.store->append({&write, 1}));
    latencies.add(seconds_since(start));
  }
  fmt::print("store, blocks of {:4}, one entry of 256 bytes an append: {}, {:.0f} bytes an entry\n",
             alignment, latencies.summary(),
             static_cast<double>(log.store->counters().bytes) / 5000);
  must(log.store->close());
}

// A log thread that is kept `in_flight` writes ahead.
void measure_thread(const std::string& directory, std::size_t entry_bytes, std::size_t per_write,
                    std::uint64_t in_flight, std::uint64_t writes) {
  auto log = must(LogStore::open(posix_file_system(), directory, options_for(0)));
  std::uint64_t index = log.log.last_index().value();
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t durable = 0;
  LogThreadOptions options;
  options.queue_bytes_max = 1U << 30;
  options.on_durable = [&](const LogDurable& done) {
    const std::lock_guard lock(mutex);
    durable = done.append_sequence;
    changed.notify_one();
  };
  LogThread thread(std::move(log.store), std::move(options));
  const auto start = Clock::now();
  for (std::uint64_t sequence = 1; sequence <= writes; ++sequence) {
    LogStoreWrite write;
    write.append_sequence = sequence;
    for (std::size_t i = 0; i < per_write; ++i) {
      write.entries.push_back(make_entry(++index, entry_bytes));
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return sequence - durable <= in_flight; });
    lock.unlock();
    BIB_CHECK(thread.submit(std::move(write)));
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return durable == writes; });
  }
  const double seconds = seconds_since(start);
  const LogThreadMetrics metrics = thread.metrics();
  fmt::print(
      "thread, {:5} writes in flight, {:2} x {:6} bytes: {:8.0f} writes, {:6.0f} syncs, {:6.1f} MB "
      "of entries a second; longest append {:.1f} ms, {} segments not ready\n",
      in_flight, per_write, entry_bytes, static_cast<double>(writes) / seconds,
      static_cast<double>(metrics.batches) / seconds,
      static_cast<double>(writes * per_write * entry_bytes) / seconds / 1e6,
      static_cast<double>(metrics.append_max.count()) / 1e3, metrics.segments_not_ready);
  must(thread.stop());
}

void measure_reading(const std::string& directory) {
  auto start = Clock::now();
  auto log = must(LogStore::open(posix_file_system(), directory, options_for(0)));
  double seconds = seconds_since(start);
  const std::uint64_t last = log.log.last_index().value();
  const double bytes =
      static_cast<double>(log.log.bytes_in(log.log.base().index, log.log.last_index()));
  fmt::print("recovery of {} entries, {:.0f} MB: {:.2f} s, {:.0f} MB a second\n", last, bytes / 1e6,
             seconds, bytes / seconds / 1e6);
  LogReader reader(posix_file_system(), directory, log.store->locations());
  start = Clock::now();
  for (std::uint64_t next = 1; next <= last;) {
    next += must(reader.read(LogIndex(next), LogIndex(last), 1U << 20)).size();
  }
  seconds = seconds_since(start);
  fmt::print("reading them in pieces of 1 MiB: {:.2f} s, {:.0f} MB a second\n", seconds,
             bytes / seconds / 1e6);
}

int run(const std::string& parent) {
  const std::string root = join_path(parent, fmt::format("log-bench-{}", ::getpid()));
  must(posix_file_system().make_directories(root));
  fmt::print("the disk's write unit: {} bytes\n", must(posix_file_system().write_unit(root)));
  compare_ways(root);
  for (const std::uint32_t alignment : {512U, 4096U, 512U, 4096U}) {
    const std::string directory = join_path(root, "store");
    measure_store(directory, alignment);
    std::filesystem::remove_all(directory);
  }
  measure_thread(join_path(root, "one"), 256, 1, 1, 5000);
  measure_thread(join_path(root, "one"), 256, 1, 16, 40000);
  measure_thread(join_path(root, "one"), 256, 1, 256, 200000);
  measure_thread(join_path(root, "big"), 65536, 16, 1, 400);
  measure_thread(join_path(root, "big"), 65536, 16, 8, 600);
  measure_reading(join_path(root, "one"));
  measure_reading(join_path(root, "big"));
  std::filesystem::remove_all(root);
  return 0;
}

}  // namespace
}  // namespace bib::engine

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: log_bench DIRECTORY\n");
    return 2;
  }
  return bib::engine::run(argv[1]);
}
