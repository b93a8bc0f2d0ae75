// What the projector costs the node loop, per command: `projections_bench [memory|rocks
// DIRECTORY]`.
//
// SetConfig of 256 bytes over 100,000 keys by 256 clients, exactly-once records included, 64
// commands to an entry. The leader decides, seals and applies; a follower applies the same entries.
// Writing to the store happens on another thread in a node: here it runs between the timed parts,
// every 8 MB of rows, and is timed by itself.

#include <fmt/format.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "projections/apply/projector.h"
#include "projections/state/rocks_state.h"
#include "wire/base/check.h"
#include "wire/base/prng.h"

namespace bib::projections {
namespace {

constexpr std::size_t kKeys = 100000;
constexpr std::size_t kValueSize = 256;
constexpr std::size_t kClients = 256;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kWarmUp = 200000;
constexpr std::size_t kCommands = 600000;
constexpr std::size_t kWriteBytes = 8U << 20;

// Sums up the processor time of its scopes: other programs' share of the machine does not count.
class Timer {
 public:
  template <typename Action>
  decltype(auto) operator()(Action&& action) {
    struct Scope {
      Timer& timer;
      std::int64_t begin = now_ns();
      ~Scope() { timer.sum_ns_ += now_ns() - begin; }
    } scope{*this};
    return action();
  }
  double ns_per(std::size_t count) const {
    return static_cast<double>(sum_ns_) / static_cast<double>(count);
  }

 private:
  static std::int64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }

  std::int64_t sum_ns_ = 0;
};

struct Timers {
  Timer decide, seal, apply, freeze, store;
  void reset() { *this = {}; }
};

void write_behind(Projector& projector, Store& store, Timers& timers) {
  if (projector.sizes().active_bytes < kWriteBytes) return;
  const auto deltas = timers.freeze([&] { return projector.take_for_store(); });
  const auto status = timers.store([&] { return store_deltas(deltas, store); });
  BIB_CHECK(status.has_value(), "{}", status.error().message);
  timers.freeze([&] { projector.written(deltas.back()->mark().applied_index); });
}

class Load {
 public:
  Load() : random_(1) {
    for (std::size_t i = 0; i < kKeys; ++i)
      keys_.push_back(fmt::format("service/settings/{:06}", i));
    // Text that is neither constant nor noise.
    for (std::size_t i = 0; i < kValueSize * 64; ++i) {
      text_.push_back("etaoinshrdlu,:{}\"0123456789 abcd"[random_.below(32)]);
    }
  }
  wire::Command next() {
    const std::size_t client = random_.below(kClients);
    wire::Command command;
    command.client.bytes[0] = static_cast<std::uint8_t>(client);
    command.client.bytes[15] = 1;
    command.sequence = wire::RequestSequence(++sequences_[client]);
    // The client has the answers to all but what is in the same batch.
    command.acknowledged_below = wire::RequestSequence(acknowledged_[client]);
    command.digest = random_.next();
    const std::size_t at = random_.below(text_.size() - kValueSize);
    command.body = wire::SetConfig{keys_[random_.below(kKeys)],
                                   std::string_view(text_).substr(at, kValueSize)};
    return command;
  }
  void acknowledge() {
    for (std::size_t i = 0; i < kClients; ++i) acknowledged_[i] = sequences_[i] + 1;
  }

 private:
  wire::Prng random_;
  std::vector<std::string> keys_;
  std::string text_;
  std::array<std::uint64_t, kClients> sequences_{};
  std::array<std::uint64_t, kClients> acknowledged_{};
};

std::unique_ptr<Store> make_store(std::string_view kind, const std::string& directory) {
  if (kind == "memory") return std::make_unique<MemoryStore>();
  auto store = RocksStore::open(directory);
  BIB_CHECK(store.has_value(), "{}", store.error().message);
  return std::move(*store);
}

template <typename T>
T must(wire::Result<T> result) {
  BIB_CHECK(result.has_value(), "{}", result.error().message);
  return *std::move(result);
}

void report(std::string_view who, const Timers& timers, std::size_t count) {
  const double decide = timers.decide.ns_per(count);
  const double seal = timers.seal.ns_per(count);
  const double apply = timers.apply.ns_per(count);
  const double freeze = timers.freeze.ns_per(count);
  const double sum = decide + seal + apply + freeze;
  fmt::print(
      "{:<9} decide {:5.0f}  seal {:4.0f}  apply {:5.0f}  freeze {:4.0f}  = {:5.0f} ns: {:.0f}/s"
      "   ({:.0f} ns on the store thread)\n",
      who, decide, seal, apply, freeze, sum, 1e9 / sum, timers.store.ns_per(count));
}

// Runs the leader; returns the entries of the timed part's beginning and all, for the follower.
std::vector<wire::Bytes> lead(Store& store) {
  const auto projector = must(Projector::open(store));
  Load load;
  Timers timers;
  std::vector<wire::Bytes> entries;
  std::array<wire::Command, kBatch> commands;
  for (std::size_t done = 0; done < kWarmUp + kCommands; done += kBatch) {
    if (done >= kWarmUp && done - kWarmUp < kBatch) timers.reset();
    for (wire::Command& command : commands) command = load.next();
    const auto now = static_cast<std::int64_t>(done);
    timers.decide([&] {
      projector->begin_turn(projector->applied_index() + 1, now);
      for (const wire::Command& command : commands) must(projector->decide(command, now));
    });
    entries.push_back(timers.seal([&] { return projector->seal({}, wire::Term(1)); }));
    timers.apply([&] { must(projector->apply(entries.back(), true)); });
    load.acknowledge();
    write_behind(*projector, store, timers);
  }
  report("leader", timers, kCommands);
  return entries;
}

void follow(Store& store, const std::vector<wire::Bytes>& entries) {
  const auto projector = must(Projector::open(store));
  Timers timers;
  std::size_t done = 0;
  for (const wire::Bytes& entry : entries) {
    if (done >= kWarmUp && done - kWarmUp < kBatch) timers.reset();
    timers.apply([&] { must(projector->apply(entry, true)); });
    done += kBatch;
    write_behind(*projector, store, timers);
  }
  report("follower", timers, kCommands);
}

}  // namespace
}  // namespace bib::projections

int main(int argc, char** argv) {
  using namespace bib::projections;
  const std::string kind = argc > 1 ? argv[1] : "memory";
  const std::string directory = argc > 2 ? argv[2] : "";
  if ((kind != "memory" && kind != "rocks") || (kind == "rocks" && directory.empty())) {
    fmt::print(stderr, "usage: projections_bench [memory | rocks DIRECTORY]\n");
    return 2;
  }
  const auto entries = lead(*make_store(kind, directory + "-leader"));
  follow(*make_store(kind, directory + "-follower"), entries);
  return 0;
}
