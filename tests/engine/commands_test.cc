// Commands over the real driver and projector, with a store whose reads can fail.
#include "engine/node/commands.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver_sides.h"
#include "engine/node/joins.h"
#include "engine/uv/client_server.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/stderr_logger.h"
#include "projections/state/state.h"
#include "wire/base/prng.h"
#include "wire/base/secret.h"

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
  std::int64_t now_us() const override { return 1'700'000'000'000'000; }
  // Each look at it takes so long.
  std::uint64_t monotonic_us() const override { return steady_us += look_us; }

  mutable std::uint64_t steady_us = 0;
  std::uint64_t look_us = 0;
};

// A log that is durable when sync() is called.
struct SlowLog final : LogSink {
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    last = write.append_sequence;
  }
  void read(std::uint64_t, wire::LogIndex, wire::LogIndex, std::size_t) override {}

  std::uint64_t last = 0;
};

// What was said to the peers, for whoever answers in their name.
struct Peers final : PeerSender {
  void send(const wire::PeerMessage& message) override { said.push_back(message); }

  std::vector<wire::PeerMessage> said;
};

// A node without disks, from the driver upwards; its peers consent when they are asked to.
struct Leader final : Applier, ClientServer::Handler {
  EventLoop loop;
  StderrLogger logger{LogLevel::kError};
  FailingStore store;
  FixedClock clock;
  SlowLog log;
  Peers peers;
  QuietSnapshots snapshots;
  std::unique_ptr<projections::Projector> projector;
  std::unique_ptr<RaftDriver> driver;
  std::unique_ptr<ClientServer> clients;
  std::unique_ptr<Commands> commands;
  wire::ClientEncoder encoder;
  std::uint64_t next_sequence = 0;

  explicit Leader(std::uint64_t nodes = 1, const CommandsOptions& options = {}) {
    // Without a cache every row comes from the store.
    projector = projections::Projector::open(store, {.cache_bytes = 0}).value();
    consensus::RaftConfig config;
    config.self = wire::NodeId(1);
    config.uncommitted_bytes_max = options.uncommitted_bytes_max;
    consensus::Restored restored;
    wire::Membership membership;
    for (std::uint64_t node = 1; node <= nodes; ++node) {
      membership.members.push_back({wire::NodeId(node), "127.0.0.1:1", "127.0.0.1:2", true});
      membership.voters.push_back(wire::NodeId(node));
    }
    restored.memberships.push_back({wire::LogIndex(), membership});
    driver = std::make_unique<RaftDriver>(config, restored, RaftDriverOptions{}, log, peers, *this,
                                          snapshots, clock);
    clients = std::make_unique<ClientServer>(
        loop, logger, ClientServerOptions{},
        ClientListeners{Listener::open(loop, "127.0.0.1:0").value(), nullptr}, this);
    commands = std::make_unique<Commands>(options, *driver, *projector, *clients, clock);
    for (int i = 0; i < 10'000 && !driver->is_ready_to_decide(); ++i) {
      driver->tick();
      settle();
      peers_consent();
    }
    REQUIRE(driver->is_ready_to_decide());
  }
  ~Leader() override {
    clients.reset();
    loop.stop();
    CHECK(loop.run());
  }

  void set_config(std::string_view key) { ask(wire::SetConfig{key, "value"}); }
  void ask(const wire::CommandBody& body_asked,
           std::optional<wire::Revision> expected = std::nullopt) {
    wire::Command command;
    command.client.bytes[0] = 9;
    command.sequence = wire::RequestSequence(++next_sequence);
    command.expected_revision = expected;
    command.body = body_asked;
    const wire::ByteView bytes = encoder.encode(command);
    const std::vector<std::uint8_t> body(bytes.begin(), bytes.end());
    const auto decoded = wire::decode_command(body);
    REQUIRE(decoded);
    commands->on_command({}, *decoded);
  }
  // "key" has its value, on a majority, and nobody waits.
  void commit_key() {
    set_config("key");
    settle();
    peers_consent();
    REQUIRE(commands->waiting() == 0);
    peers.said.clear();
  }
  // Everything that follows from what was decided: written, durable, committed, applied.
  void settle() {
    commands->propose_open_batch();
    std::uint64_t durable = 0;
    do {
      durable = log.last;
      driver->on_durable(durable);
      REQUIRE(driver->run_effects());
    } while (log.last != durable);
  }

  // The peers answer what they have heard, and so on until all is said.
  void peers_consent() {
    while (!peers.said.empty()) {
      const auto said = std::exchange(peers.said, {});
      for (const wire::PeerMessage& message : said) {
        if (auto reply = consent(message)) driver->on_message(std::move(*reply));
      }
      settle();
    }
  }

  // ---- Applier
  wire::Status apply(const wire::Bytes& entry) override {
    BIB_TRY(const projections::Applied applied, projector->apply(entry, true));
    commands->on_outcomes(applied.outcomes);
    return {};
  }
  void on_role(const consensus::RoleChange& change) override {
    if (change.role == consensus::Role::kFollower && commands) commands->on_leadership_lost();
  }
  void on_snapshots(Asker, const wire::ListSnapshots&) override {}
  void on_membership(const wire::Membership&) override {}
  void on_read_ready(ReadAsker, std::uint64_t token) override { commands->on_read_ready(token); }
  void on_read_refused(ReadAsker, std::uint64_t token, consensus::ReadRefusal reason) override {
    commands->on_read_refused(token, reason);
  }
  // ---- ClientServer::Handler: nobody connects
  wire::ServerHello hello() override { return {}; }
  void on_command(Asker, const wire::Command&) override {}
  void on_query(Asker, const wire::Query&) override {}
  void on_read_events(Asker, const wire::ReadEvents&) override {}
  void on_status(Asker) override {}
  void on_change_membership(Asker, const wire::ChangeMembership&) override {}
  void on_transfer(Asker, const wire::TransferLeadership&) override {}
  void on_session_end(SessionId) override {}
  void on_session_drained(SessionId) override {}
};

std::string incompressible(wire::Prng& random, std::size_t size) {
  std::string text(size, ' ');
  for (char& letter : text) letter = static_cast<char>('!' + random.below(90));
  return text;
}

}  // namespace

TEST_CASE("a leader that loses its place forgets what was on its way and goes on") {
  Leader leader;
  leader.set_config("first");
  leader.settle();
  CHECK(leader.commands->waiting() == 0);
  leader.set_config("second");
  CHECK(leader.commands->waiting() == 1);
  leader.commands->on_leadership_lost();
  CHECK_FALSE(leader.commands->failure());
  CHECK(leader.commands->waiting() == 0);
  CHECK_FALSE(leader.projector->has_open_batch());
  leader.set_config("third");
  CHECK(leader.commands->waiting() == 1);
}

TEST_CASE("a store that cannot be read when leadership is lost is a failure, and nothing follows") {
  Leader leader;
  leader.set_config("key");
  CHECK(leader.commands->waiting() == 1);
  leader.store.fails = true;
  leader.commands->on_leadership_lost();
  REQUIRE(leader.commands->failure());
  CHECK(leader.commands->failure()->code == wire::ErrorCode::kIo);
  CHECK(leader.commands->failure()->message == "the disk does not answer");
  CHECK(leader.commands->waiting() == 0);  // whoever waited was told

  leader.store.fails = false;
  leader.set_config("other");
  CHECK(leader.commands->waiting() == 0);
  CHECK_FALSE(leader.commands->decide_own(wire::SetConfig{"other", "value"}));
  CHECK_FALSE(leader.projector->has_open_batch());
}

TEST_CASE("while the disk is nearly full commands are refused, and what is under way goes on") {
  Leader leader;
  leader.set_config("first");
  leader.commands->refuse_all(wire::Error{wire::ErrorCode::kOverloaded, "no room"});
  leader.set_config("second");
  CHECK(leader.commands->waiting() == 1);
  CHECK(leader.commands->overloaded() == 1);
  leader.settle();
  CHECK(leader.commands->waiting() == 0);
  const wire::LogIndex last = leader.driver->raft().last_index();
  leader.set_config("third");
  leader.settle();
  CHECK(leader.driver->raft().last_index() == last);
  // The leader's own are few, and some make room.
  CHECK(leader.commands->decide_own(wire::SetConfig{"own", "value"}));
  leader.commands->refuse_all(std::nullopt);
  leader.set_config("fourth");
  CHECK(leader.commands->waiting() == 1);
}

TEST_CASE("a leader that stands back takes no command and decides none of its own") {
  Leader leader;
  leader.driver->stand_back(true);
  const wire::LogIndex last = leader.driver->raft().last_index();
  leader.set_config("first");
  leader.settle();
  CHECK(leader.commands->waiting() == 0);
  CHECK_FALSE(leader.commands->has_parked_work());
  CHECK_FALSE(leader.commands->decide_own(wire::SetConfig{"own", "value"}));
  CHECK(leader.driver->raft().last_index() == last);
  leader.driver->stand_back(false);
  leader.set_config("second");
  CHECK(leader.commands->waiting() == 1);
}

TEST_CASE("what an earlier try has done is answered by a leader that takes no new commands") {
  Leader leader;
  leader.set_config("first");
  leader.settle();
  leader.commands->refuse_all(wire::Error{wire::ErrorCode::kOverloaded, "no room"});
  --leader.next_sequence;
  leader.set_config("first");
  CHECK(leader.commands->overloaded() == 0);
  --leader.next_sequence;
  leader.set_config("another under its number");
  CHECK(leader.commands->overloaded() == 1);
}

TEST_CASE("that a value is there already is not said before it is committed") {
  Leader leader;
  leader.set_config("key");
  leader.commands->propose_open_batch();
  REQUIRE(leader.driver->run_effects());
  // The same again, decided against an entry that is not durable yet.
  leader.set_config("key");
  REQUIRE(leader.driver->run_effects());
  CHECK(leader.commands->waiting() == 2);
  leader.settle();
  CHECK(leader.commands->waiting() == 0);
}

TEST_CASE("what is not logged is answered only once a majority has confirmed the leader") {
  Leader leader(3);
  leader.commit_key();

  leader.set_config("key");                                      // nothing to change
  leader.ask(wire::UnsetConfig{"other"});                        // nothing to unset
  leader.ask(wire::SetConfig{"key", "new"}, wire::Revision(7));  // a conflict
  leader.settle();
  // Another node may lead by now and have other values.
  CHECK(leader.commands->waiting() == 3);
  leader.peers_consent();
  CHECK(leader.commands->waiting() == 0);
}

TEST_CASE("what is not logged is not answered on acknowledgements older than its request") {
  Leader leader(3);
  leader.commit_key();

  leader.set_config("other");
  leader.settle();
  // A peer has the entry, and its answer is on its way when the next request comes.
  std::vector<wire::PeerMessage> late;
  for (const wire::PeerMessage& message : std::exchange(leader.peers.said, {})) {
    if (message.kind == wire::MessageKind::kAppend && !message.entries.empty()) {
      late.push_back(*consent(message));
    }
  }
  REQUIRE(late.size() == 2);
  leader.set_config("key");  // nothing to change
  leader.settle();
  CHECK(leader.commands->waiting() == 2);
  // Another node may have been elected since that peer answered.
  leader.driver->on_message(std::move(late.front()));
  leader.settle();
  CHECK(leader.driver->raft().commit() == leader.projector->applied_index());
  CHECK(leader.commands->waiting() == 1);
  leader.peers_consent();
  CHECK(leader.commands->waiting() == 0);
}

TEST_CASE("what is not logged needs no question where an entry leaves after it was decided") {
  Leader leader(3);
  leader.commit_key();

  leader.set_config("other");
  leader.set_config("key");  // nothing to change
  leader.settle();
  CHECK(leader.commands->waiting() == 2);
  for (const wire::PeerMessage& message : std::exchange(leader.peers.said, {})) {
    CHECK(message.kind != wire::MessageKind::kHeartbeat);
    if (message.kind == wire::MessageKind::kAppend) leader.driver->on_message(*consent(message));
  }
  leader.settle();
  CHECK(leader.commands->waiting() == 0);
}

TEST_CASE("an entry that does not fit beside what is under way leaves when that is committed") {
  CommandsOptions options;
  options.uncommitted_bytes_max = 4096;
  Leader leader(3, options);
  wire::Prng random(1);
  const std::string small = incompressible(random, 1000);
  leader.ask(wire::SetConfig{"small", small});
  leader.settle();
  const std::string large = incompressible(random, 3500);
  leader.ask(wire::SetConfig{"large", large});
  leader.set_config("one more");  // too much with that: it is refused, and only it
  CHECK(leader.commands->overloaded() == 1);
  leader.settle();
  CHECK(leader.projector->has_open_batch());
  CHECK(leader.commands->waiting() == 2);
  leader.peers_consent();
  CHECK_FALSE(leader.projector->has_open_batch());
  CHECK(leader.commands->waiting() == 0);
  CHECK(leader.projector->applied_index() == leader.driver->raft().last_index());
}

TEST_CASE("parked commands are decided in order, as many in a turn as fit its time") {
  Leader leader;
  leader.driver->decide_only_after_log();
  leader.set_config("first");
  leader.commands->propose_open_batch();
  leader.driver->decide_only_after_log();  // not ready before that entry is applied
  for (const char* key : {"a", "b", "c", "d", "e"}) leader.set_config(key);
  CHECK(leader.commands->waiting() == 1);
  leader.settle();
  REQUIRE(leader.commands->has_parked_work());
  leader.clock.look_us = CommandsOptions{}.parked_turn_us / 2;
  leader.commands->decide_parked();
  CHECK(leader.commands->waiting() == 2);
  CHECK(leader.commands->has_parked_work());
  leader.set_config("f");  // behind those
  CHECK(leader.commands->waiting() == 2);
  int turns = 1;
  for (; leader.commands->has_parked_work() && turns < 20; ++turns)
    leader.commands->decide_parked();
  CHECK(turns == 3);
  CHECK(leader.commands->waiting() == 6);
  leader.settle();
  CHECK(leader.commands->waiting() == 0);
}

TEST_CASE("a command that was parked is known again by the bytes that its client sent") {
  Leader leader;
  leader.driver->decide_only_after_log();
  leader.set_config("first");
  leader.commands->propose_open_batch();
  leader.driver->decide_only_after_log();  // not ready before that entry is applied
  wire::Command command;
  command.client.bytes[0] = 3;
  command.sequence = wire::RequestSequence(1);
  command.digest = 77;  // of another layout than this program's encoder makes
  command.body = wire::SetConfig{"key", "value"};
  leader.commands->on_command({}, command);
  leader.settle();
  REQUIRE(leader.commands->has_parked_work());
  leader.commands->decide_parked();
  leader.settle();
  CHECK(leader.projector->find_answer(command).value());
}

TEST_CASE("a leader that was deposed without knowing does not acknowledge what its rows say") {
  Leader leader(3);
  leader.commit_key();

  leader.set_config("key");
  leader.settle();
  CHECK(leader.commands->waiting() == 1);
  wire::PeerMessage heartbeat;
  heartbeat.kind = wire::MessageKind::kHeartbeat;
  heartbeat.from = wire::NodeId(2);
  heartbeat.to = wire::NodeId(1);
  heartbeat.term = leader.driver->raft().term() + 1;
  leader.driver->on_message(std::move(heartbeat));
  leader.settle();
  // Told to ask the new leader.
  CHECK(leader.driver->raft().role() == consensus::Role::kFollower);
  CHECK(leader.commands->waiting() == 0);
  // What the peers said before comes too late.
  leader.peers_consent();
  CHECK(leader.commands->waiting() == 0);
}

TEST_CASE("a node that joins before the first token is committed is told to try again") {
  Leader leader;
  Joins joins("cluster", {}, *leader.driver, *leader.projector, *leader.commands, leader.clock,
              leader.logger);
  std::vector<wire::ErrorCode> answers;
  const auto ask = [&](const std::string& token) {
    wire::JoinRequest request;
    request.cluster_name = "cluster";
    request.token = token;
    request.node = {wire::NodeId(2), "127.0.0.1:3", "127.0.0.1:4", true};
    joins.on_join_request(request, [&](const auto& reply) { answers.push_back(reply.error.code); });
  };
  const std::string secret = "the first token";
  const auto hash = wire::sha256(wire::as_bytes(secret));
  REQUIRE(leader.commands->decide_own(
      wire::IssueJoinToken{wire::ByteView(hash), leader.clock.now_us() + 1'000'000}));
  joins.set_first_token_entry(leader.driver->raft().next_index());
  ask(secret);
  ask("another one");
  CHECK(answers == std::vector{wire::ErrorCode::kNoQuorum, wire::ErrorCode::kNoQuorum});
  leader.settle();
  answers.clear();
  ask("another one");
  CHECK(answers == std::vector{wire::ErrorCode::kUnauthenticated});
  answers.clear();
  ask(secret);
  leader.settle();
  joins.answer_committed();
  CHECK(answers == std::vector{wire::ErrorCode::kNone});
}

TEST_CASE(
    "a turn takes at least 32 events, and of a burst as many as half of those who wait lately") {
  Leader leader;
  const auto taken_in_a_turn = [&](std::size_t at_most) {
    std::size_t taken = 0;
    while (taken < at_most && !leader.commands->has_enough_for_a_turn()) {
      leader.set_config(fmt::format("key {}", leader.next_sequence));
      ++taken;
    }
    leader.commands->propose_open_batch();
    return taken;
  };
  CHECK(taken_in_a_turn(1000) == 32);
  // Nothing is answered, so each turn finds more of them waiting.
  for (int turn = 0; turn < 7; ++turn) CHECK(taken_in_a_turn(1000) >= 32);
  CHECK(leader.commands->waiting() > 256);
  CHECK(taken_in_a_turn(1000) >= 128);
  leader.settle();
  CHECK(leader.commands->waiting() == 0);
  // What was is forgotten in time.
  for (int turn = 0; turn < 40; ++turn) {
    taken_in_a_turn(1);
    leader.settle();
  }
  CHECK(taken_in_a_turn(1000) == 32);
}
