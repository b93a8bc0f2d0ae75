// What the log has no room for waits in the node, in order, also when the node stops.
#include "engine/node/log_outbox.h"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

using namespace bib;
using namespace bib::engine;

namespace {

class SmallLog final : public LogPort {
 public:
  bool submit(LogStoreWrite&& write) override {
    if (room == 0) return false;
    --room;
    taken.push_back(std::move(write).append_sequence);
    return true;
  }
  void read(std::uint64_t, wire::LogIndex, wire::LogIndex, std::size_t) override {}
  void compact(wire::LogIndex) override {}
  std::chrono::microseconds append_running() const override { return {}; }
  wire::Status stop(std::vector<LogStoreWrite> rest) override {
    for (const LogStoreWrite& write : rest) taken.push_back(write.append_sequence);
    return {};
  }

  std::size_t room = 1;
  std::vector<std::uint64_t> taken;
};

consensus::LogWrite write_of(std::uint64_t sequence) {
  consensus::LogWrite write;
  write.append_sequence = sequence;
  return write;
}

}  // namespace

TEST_CASE("what a full log does not take waits, and goes in order") {
  SmallLog log;
  LogOutbox outbox(log);
  for (const std::uint64_t sequence : {1, 2, 3}) outbox.submit(write_of(sequence), {});
  outbox.flush();
  CHECK(log.taken == std::vector<std::uint64_t>{1});
  log.room = 5;
  outbox.flush();
  CHECK(log.taken == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE("a node that stops hands its log everything, also what there was no room for") {
  SmallLog log;
  LogOutbox outbox(log);
  for (const std::uint64_t sequence : {1, 2, 3}) outbox.submit(write_of(sequence), {});
  outbox.flush();
  REQUIRE(outbox.stop());
  CHECK(log.taken == std::vector<std::uint64_t>{1, 2, 3});
}
