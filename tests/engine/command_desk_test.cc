// The command desk over the real driver and projector, with a store whose reads can fail.
#include "engine/command_desk.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "engine/event_loop.h"
#include "projections/state.h"

using namespace bib;
using namespace bib::engine;

namespace {

// Rows in memory, until reading fails.
class FailingStore final : public projections::Store {
 public:
  using Store::find;
  wire::Result<projections::RowPtr> find(const projections::RowKey& key) const override {
    if (fails) return wire::fail(wire::ErrorCode::kIo, "the disk does not answer");
    return rows_.find(key);
  }
  std::shared_ptr<const projections::StateReader> view() const override { return rows_.view(); }
  wire::Status write(std::span<const projections::RowPtr> rows) override {
    return rows_.write(rows);
  }

  bool fails = false;

 private:
  projections::MemoryStore rows_;
};

struct FixedClock final : Clock {
  std::int64_t now_us() override { return 1'700'000'000'000'000; }
};

// A log that is durable when sync() is called.
struct SlowLog final : LogSink {
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    last = write.append_sequence;
  }
  void read(std::uint64_t, wire::LogIndex, wire::LogIndex, std::size_t) override {}

  std::uint64_t last = 0;
};

struct NoPeers final : PeerSender {
  void send(const wire::PeerMessage&) override {}
};

struct NoSnapshots final : SnapshotKeeper {
  void send_snapshot(wire::NodeId, wire::LogIndex) override {}
  void receive_snapshot(wire::NodeId, consensus::LogPosition) override {}
  void on_install_durable(consensus::LogPosition) override {}
};

// A node without peers and without disks, from the driver upwards.
struct Leader final : Applier, ClientServer::Handler {
  EventLoop loop;
  Logger logger{LogLevel::kError};
  FailingStore store;
  FixedClock clock;
  SlowLog log;
  NoPeers peers;
  NoSnapshots snapshots;
  std::unique_ptr<projections::Projector> projector;
  std::unique_ptr<RaftDriver> driver;
  std::unique_ptr<ClientServer> clients;
  std::unique_ptr<CommandDesk> desk;
  wire::ClientEncoder encoder;
  std::uint64_t next_sequence = 0;

  Leader() {
    // Without a cache every row comes from the store.
    projector = projections::Projector::open(store, {.cache_bytes = 0}).value();
    consensus::RaftConfig config;
    config.self = wire::NodeId(1);
    consensus::Restored restored;
    wire::Membership membership;
    membership.members = {{wire::NodeId(1), "127.0.0.1:1", "127.0.0.1:2", true}};
    membership.voters = {wire::NodeId(1)};
    restored.memberships.push_back({wire::LogIndex(), membership});
    driver = std::make_unique<RaftDriver>(config, restored, RaftDriverOptions{}, log, peers, *this,
                                          snapshots, clock);
    clients = ClientServer::open(loop, logger, {.listen_address = "127.0.0.1:0"}, this).value();
    desk =
        std::make_unique<CommandDesk>(CommandDeskOptions{}, *driver, *projector, *clients, clock);
    driver->tick();
    REQUIRE(driver->run_effects());
    settle();
    REQUIRE(driver->is_ready_to_decide());
  }
  ~Leader() override {
    clients.reset();
    loop.stop();
    CHECK(loop.run());
  }

  void set_config(std::string_view key) {
    wire::Command command;
    command.client.bytes[0] = 9;
    command.sequence = wire::RequestSequence(++next_sequence);
    command.body = wire::SetConfig{key, "value"};
    const wire::ByteView bytes = encoder.encode(command);
    const std::vector<std::uint8_t> body(bytes.begin(), bytes.end());
    const auto decoded = wire::decode_command(body);
    REQUIRE(decoded);
    desk->on_command({}, *decoded);
  }
  // Everything that follows from what was decided: written, durable, committed, applied.
  void settle() {
    desk->propose_open_batch();
    std::uint64_t durable = 0;
    do {
      durable = log.last;
      driver->on_durable(durable);
      REQUIRE(driver->run_effects());
    } while (log.last != durable);
  }

  // ---- Applier
  wire::Status apply(const wire::Bytes& entry) override {
    BIB_TRY(const projections::Applied applied, projector->apply(entry, true));
    desk->on_outcomes(applied.outcomes);
    return {};
  }
  void on_role(const consensus::RoleChange&) override {}
  void on_membership(const wire::Membership&) override {}
  void on_read_ready(std::uint64_t) override {}
  void on_read_refused(std::uint64_t, consensus::ReadRefusal) override {}
  // ---- ClientServer::Handler: nobody connects
  wire::ServerHello hello() override { return {}; }
  void on_command(ClientServer::Asker, const wire::Command&) override {}
  void on_query(ClientServer::Asker, const wire::Query&) override {}
  void on_read_events(ClientServer::Asker, const wire::ReadEvents&) override {}
  void on_status(ClientServer::Asker) override {}
  void on_session_end(SessionId) override {}
  void on_session_drained(SessionId) override {}
};

}  // namespace

TEST_CASE("a leader that loses its place forgets what was on its way and goes on") {
  Leader leader;
  leader.set_config("first");
  leader.settle();
  CHECK(leader.desk->waiting() == 0);
  leader.set_config("second");
  CHECK(leader.desk->waiting() == 1);
  leader.desk->on_leadership_lost();
  CHECK_FALSE(leader.desk->failure());
  CHECK(leader.desk->waiting() == 0);
  CHECK_FALSE(leader.projector->has_open_batch());
  leader.set_config("third");
  CHECK(leader.desk->waiting() == 1);
}

TEST_CASE("a store that cannot be read when leadership is lost is a failure, and nothing follows") {
  Leader leader;
  leader.set_config("key");
  CHECK(leader.desk->waiting() == 1);
  leader.store.fails = true;
  leader.desk->on_leadership_lost();
  REQUIRE(leader.desk->failure());
  CHECK(leader.desk->failure()->code == wire::ErrorCode::kIo);
  CHECK(leader.desk->failure()->message == "the disk does not answer");
  CHECK(leader.desk->waiting() == 0);  // whoever waited was told

  leader.store.fails = false;
  leader.set_config("other");
  CHECK(leader.desk->waiting() == 0);
  CHECK_FALSE(leader.desk->decide_own(wire::SetConfig{"other", "value"}));
  CHECK_FALSE(leader.projector->has_open_batch());
}
