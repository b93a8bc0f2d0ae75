// Whoever asks too much is told so, before memory runs out: each limit of the driver and of the
// answerers of commands and queries, on a leader of one whose disk and rows the test holds back.
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/node/commands.h"
#include "engine/node/queries.h"
#include "engine/uv/client_server.h"
#include "engine/uv/stderr_logger.h"
#include "engine/uv/uv_pool.h"
#include "projections/state/state.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::engine;
using wire::ErrorCode;
using wire::FrameKind;
using wire::NodeId;

namespace {

struct FixedClock final : Clock {
  std::int64_t now_us() const override { return 1'000'000; }
};

struct RigLimits {
  RaftDriverOptions driver;
  CommandsOptions commands;
  QueriesOptions queries;
  std::size_t raft_reads_waiting_max = 65536;
  // What waits to leave, as it is said to be; nullopt: as it is.
  std::optional<std::size_t> waits_for_all;
  std::optional<std::size_t> waits_for_session;
  bool applies = true;  // otherwise nothing is ever applied
};

// Sockets with as much in them as a test wants.
struct CrowdedClients final : ClientPort {
  CrowdedClients(ClientServer& clients, const RigLimits& limits)
      : real(clients), all(limits.waits_for_all), one(limits.waits_for_session) {}

  void answer(Asker asker, FrameKind kind, wire::ByteView body) override {
    real.answer(asker, kind, body);
  }
  void answer_partly(Asker asker, FrameKind kind, wire::ByteView body) override {
    real.answer_partly(asker, kind, body);
  }
  bool is_open(SessionId session) const override { return real.is_open(session); }
  std::size_t outgoing_bytes(SessionId session) const override {
    return one.value_or(real.outgoing_bytes(session));
  }
  std::size_t outgoing_bytes() const override { return all.value_or(real.outgoing_bytes()); }
  void stop_listening() override { real.stop_listening(); }
  void flush() override { real.flush(); }

  ClientServer& real;
  std::optional<std::size_t> all;
  std::optional<std::size_t> one;
};

// A node of one voter without a disk: what it hands to the log is durable at the end of the turn.
struct Rig final : LogSink, PeerSender, Applier, SnapshotKeeper, ClientServer::Handler {
  explicit Rig(const RigLimits& limits) {
    RaftDriverOptions driver_options = limits.driver;
    if (!limits.applies) driver_options.apply_bytes_per_turn = 0;
    consensus::RaftConfig raft;
    raft.self = NodeId(1);
    raft.reads_waiting_max = limits.raft_reads_waiting_max;
    consensus::Restored restored;
    wire::Membership alone;
    alone.voters = {NodeId(1)};
    alone.members = {{NodeId(1), "h:1", "h:2"}};
    restored.memberships.push_back({wire::LogIndex(), alone});
    driver = std::make_unique<RaftDriver>(raft, restored, driver_options, *this, *this, *this,
                                          *this, clock);
    projector = projections::Projector::open(store).value();
    ClientServerOptions api;
    clients = std::make_unique<ClientServer>(
        loop, logger, api, ClientListeners{Listener::open(loop, "127.0.0.1:0").value(), nullptr},
        this);
    commands = std::make_unique<Commands>(limits.commands, *driver, *projector, *clients, clock);
    crowd = std::make_unique<CrowdedClients>(*clients, limits);
    queries = std::make_unique<Queries>(loop, pool, limits.queries, *driver, *projector, *crowd,
                                        *commands);
    driver->tick();
    turn();  // its vote is durable
    REQUIRE(driver->raft().role() == consensus::Role::kLeader);
    turn();  // and its first entry
    REQUIRE(driver->raft().has_committed_own_term());
  }

  // ---- LogSink and its like
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    submitted = write.append_sequence;
  }
  void read(std::uint64_t, wire::LogIndex, wire::LogIndex, std::size_t) override {}
  void send(const wire::PeerMessage&) override {}
  wire::Status apply(const wire::Bytes& entry) override {
    BIB_TRY(const projections::Applied applied, projector->apply(entry));
    commands->on_outcomes(applied.outcomes);
    return {};
  }
  void on_role(const consensus::RoleChange&) override {}
  void on_membership(const wire::Membership&) override {}
  void on_read_ready(ReadAsker asker, std::uint64_t token) override {
    if (queries && asker == ReadAsker::kQueries) queries->on_read_ready(token);
    if (commands && asker == ReadAsker::kCommands) commands->on_read_ready(token);
    ready.push_back(token);
  }
  void on_read_refused(ReadAsker asker, std::uint64_t token,
                       consensus::ReadRefusal reason) override {
    if (queries && asker == ReadAsker::kQueries) queries->on_read_refused(token, reason);
    if (commands && asker == ReadAsker::kCommands) commands->on_read_refused(token, reason);
    if (reason == consensus::ReadRefusal::kOverloaded) overloaded.push_back(token);
  }
  void send_snapshot(NodeId, wire::LogIndex) override {}
  void receive_snapshot(NodeId, wire::LogPosition) override {}
  void on_install_durable(wire::LogPosition) override {}

  // ---- ClientServer::Handler
  wire::ServerHello hello() override { return {}; }
  void on_command(Asker asker, const wire::Command& command) override {
    commands->on_command(asker, command);
  }
  void on_query(Asker asker, const wire::Query& query) override { queries->on_query(asker, query); }
  void on_read_events(Asker, const wire::ReadEvents&) override {}
  void on_status(Asker) override {}
  void on_change_membership(Asker, const wire::ChangeMembership&) override {}
  void on_transfer(Asker, const wire::TransferLeadership&) override {}
  void on_snapshots(Asker, const wire::ListSnapshots&) override {}
  void on_session_end(SessionId) override {}
  void on_session_drained(SessionId) override {}

  void turn() {
    commands->propose_open_batch();
    REQUIRE(driver->run_effects());
    if (disk_works && submitted != 0) {
      driver->on_durable(std::exchange(submitted, 0));
      REQUIRE(driver->run_effects());
    }
    clients->flush();
  }

  FixedClock clock;
  EventLoop loop;
  UvPool pool{loop};
  StderrLogger logger{LogLevel::kError};
  projections::MemoryStore store;
  std::unique_ptr<RaftDriver> driver;
  std::unique_ptr<projections::Projector> projector;
  std::unique_ptr<ClientServer> clients;
  std::unique_ptr<CrowdedClients> crowd;
  std::unique_ptr<Commands> commands;
  std::unique_ptr<Queries> queries;
  std::uint64_t submitted = 0;
  bool disk_works = true;
  std::vector<std::uint64_t> ready;
  std::vector<std::uint64_t> overloaded;
};

// A client of the rig: sends these requests at once and collects the answers.
struct Client final : Connection::Handler {
  std::unique_ptr<Connection> connection;
  std::function<void(Connection&)> requests;
  std::size_t answered = 0;
  std::size_t overloads = 0;
  std::string last_error;

  void on_frame(wire::Frame&& frame) override {
    if (frame.kind == FrameKind::kServerHello) return;
    if (frame.kind == FrameKind::kErrorReply) {
      const auto error = wire::decode_error_reply(frame.body.view()).value();
      if (error.code == ErrorCode::kOverloaded) {
        ++overloads;
        last_error = error.message;
        return;
      }
    }
    ++answered;
  }
  void on_closed(const wire::Error&) override { connection.reset(); }
  void on_connected() override {
    wire::ClientHello hello;
    hello.client.bytes[0] = 1;
    wire::ClientEncoder encoder;
    connection->send(FrameKind::kClientHello, 0, encoder.encode(hello));
    requests(*connection);
    connection->flush();
  }
};

struct Outcome {
  std::size_t answered = 0;
  std::size_t overloads = 0;
  std::string last_error;
};

// Runs until so many requests were refused as overloaded and so many were answered.
Outcome run(Rig& rig, std::size_t overloads, std::size_t answered,
            std::function<void(Connection&)> requests) {
  Client client;
  client.requests = std::move(requests);
  client.connection =
      Connection::dial(rig.loop, rig.clients->listen_address(), ConnectionLimits{}, &client)
          .value();
  bool timed_out = true;
  std::unique_ptr<Timer> deadline;
  const auto end = [&] {
    client.connection.reset();
    rig.queries.reset();
    rig.commands.reset();
    rig.clients.reset();
    deadline.reset();
    rig.loop.stop();
  };
  deadline = std::make_unique<Timer>(rig.loop, end);
  deadline->start(20000, 0);
  rig.loop.set_turn_handler([&] {
    if (!rig.clients) return;
    rig.turn();
    if (client.overloads < overloads || client.answered < answered) return;
    timed_out = false;
    end();
  });
  REQUIRE(rig.loop.run());
  CHECK_FALSE(timed_out);
  return {client.answered, client.overloads, client.last_error};
}

std::function<void(Connection&)> queries(std::size_t count, wire::Consistency level,
                                         std::optional<std::string_view> key = "k") {
  return [=](Connection& connection) {
    wire::ClientEncoder encoder;
    for (std::size_t i = 1; i <= count; ++i) {
      wire::Query query;
      query.consistency = level;
      query.table = wire::QueryTable::kConfig;
      query.key = key;
      connection.send(FrameKind::kQuery, i, encoder.encode(query));
    }
  };
}

std::function<void(Connection&)> writes(std::size_t count, std::size_t bytes) {
  return [=](Connection& connection) {
    wire::ClientEncoder encoder;
    const std::string value(bytes, 'x');
    for (std::size_t i = 1; i <= count; ++i) {
      wire::Command command;
      command.client.bytes[0] = 7;
      command.sequence = wire::RequestSequence(i);
      const std::string key = "k" + std::to_string(i);
      command.body = wire::SetConfig{.key = key, .value = value};
      connection.send(FrameKind::kCommand, i, encoder.encode(command));
    }
  };
}

}  // namespace

TEST_CASE("reads that are confirmed and wait for rows are bounded in the driver") {
  RigLimits limits;
  limits.applies = false;
  limits.driver.reads_waiting_max = 2;
  Rig rig(limits);
  std::vector<std::uint64_t> tokens;
  for (int i = 0; i < 5; ++i) tokens.push_back(rig.driver->request_read(ReadAsker::kQueries));
  REQUIRE(rig.driver->run_effects());
  CHECK(rig.overloaded == std::vector<std::uint64_t>{tokens[2], tokens[3], tokens[4]});
  CHECK(rig.ready.empty());
  rig.queries.reset();
  rig.commands.reset();
  rig.clients.reset();
  rig.loop.stop();
  REQUIRE(rig.loop.run());
}

TEST_CASE("reads that wait for the leader are bounded by number") {
  RigLimits limits;
  limits.applies = false;
  limits.queries.waiting_max = 3;
  Rig rig(limits);
  const Outcome outcome = run(rig, 2, 0, queries(5, wire::Consistency::kLinearizable));
  CHECK(outcome.overloads == 2);
  CHECK(outcome.answered == 0);
  CHECK(outcome.last_error.find("too many reads are waiting") != std::string::npos);
}

TEST_CASE("reads that wait for the leader are bounded by their bytes") {
  RigLimits limits;
  limits.applies = false;
  limits.queries.waiting_bytes_max = 4000;
  Rig rig(limits);
  const std::string key(1000, 'k');
  const Outcome outcome = run(rig, 1, 0, queries(4, wire::Consistency::kLinearizable, key));
  CHECK(outcome.overloads >= 1);
  CHECK(outcome.answered == 0);
}

TEST_CASE("lists under way are bounded, and what is no longer under way makes room") {
  RigLimits limits;
  limits.queries.pages_max = 0;
  Rig none(limits);
  CHECK(run(none, 3, 0, queries(3, wire::Consistency::kStale, std::nullopt)).answered == 0);
  limits.queries.pages_max = 1;
  Rig one(limits);
  const Outcome outcome = run(one, 0, 1, queries(1, wire::Consistency::kStale, std::nullopt));
  CHECK(outcome.overloads == 0);
}

TEST_CASE("clients that do not read shut their own lists, and not those of all") {
  const auto lists = queries(2, wire::Consistency::kStale, std::nullopt);
  RigLimits limits;
  limits.queries.outgoing_bytes_max = 1000;
  limits.queries.session_bytes_max = 100;
  limits.waits_for_session = 101;
  limits.waits_for_all = 101;
  Rig own(limits);
  const Outcome unread = run(own, 2, 0, lists);
  CHECK(unread.answered == 0);
  CHECK(unread.last_error.find("limits.unread_bytes") != std::string::npos);
  // Too much waits for others.
  limits.waits_for_session = 0;
  limits.waits_for_all = 1500;
  Rig others(limits);
  CHECK(run(others, 0, 2, lists).overloads == 0);
  limits.waits_for_session = 1;
  Rig crowded(limits);
  const Outcome refused = run(crowded, 2, 0, lists);
  CHECK(refused.answered == 0);
  CHECK(refused.last_error.find("limits.outgoing_bytes") != std::string::npos);
  limits.waits_for_session = 0;
  limits.waits_for_all = 2002;
  Rig full(limits);
  CHECK(run(full, 2, 0, lists).answered == 0);
}

TEST_CASE("commands that wait for a new leader to be ready are bounded") {
  RigLimits limits;
  limits.applies = false;
  limits.commands.parked_max = 2;
  Rig rig(limits);
  const Outcome outcome = run(rig, 3, 0, writes(5, 10));
  CHECK(outcome.overloads == 3);
  CHECK(outcome.answered == 0);
}

TEST_CASE("commands that wait for a new leader to be ready are bounded by their bytes") {
  RigLimits limits;
  limits.applies = false;
  limits.commands.parked_bytes_max = 3000;
  Rig rig(limits);
  const Outcome outcome = run(rig, 3, 0, writes(5, 1000));
  CHECK(outcome.overloads == 3);
  CHECK(outcome.answered == 0);
  CHECK(outcome.last_error.find("not ready yet") != std::string::npos);
}

TEST_CASE(
    "rows that the store does not have yet are bounded: the leader refuses, and then goes on") {
  RigLimits limits;
  limits.commands.unwritten_bytes_max = 20'000;
  Rig rig(limits);
  rig.turn();
  // Each is applied before the next one is taken, and none is written to the store.
  const auto write = [&](std::uint64_t sequence) {
    wire::Command command;
    command.client.bytes[0] = 7;
    command.sequence = wire::RequestSequence(sequence);
    const std::string key = "k" + std::to_string(sequence);
    const std::string value(5000, 'x');
    command.body = wire::SetConfig{.key = key, .value = value};
    const std::uint64_t before = rig.commands->overloaded();
    rig.commands->on_command({}, command);
    rig.turn();
    CHECK(rig.commands->waiting() == 0);
    return rig.commands->overloaded() == before;
  };
  std::uint64_t sequence = 0;
  while (sequence < 100 && write(++sequence)) continue;
  CHECK(sequence > 3);
  CHECK(sequence < 10);
  CHECK(rig.projector->sizes().unwritten_bytes() > limits.commands.unwritten_bytes_max);
  CHECK_FALSE(write(++sequence));
  const auto deltas = rig.projector->take_for_store();
  REQUIRE(projections::store_deltas(deltas, rig.store));
  rig.projector->written(deltas.back()->mark().applied_index);
  CHECK(write(++sequence));
  rig.queries.reset();
  rig.commands.reset();
  rig.clients.reset();
  rig.loop.stop();
  REQUIRE(rig.loop.run());
}

TEST_CASE("writes that are not on the leader's own disk yet are bounded, and then go on") {
  RigLimits limits;
  limits.commands.uncommitted_bytes_max = 100'000;
  Rig rig(limits);
  rig.turn();
  rig.disk_works = false;
  const Outcome outcome = run(rig, 5, 0, writes(20, 10'000));
  CHECK(outcome.overloads >= 5);
  CHECK(outcome.answered == 0);
  CHECK(rig.driver->raft().bytes_under_way() < 100'000);
  CHECK(outcome.last_error.find("too much is under way") != std::string::npos);
}

TEST_CASE("askers of commands under way are bounded") {
  RigLimits limits;
  limits.commands.waiting_max = 4;
  Rig rig(limits);
  rig.turn();
  rig.disk_works = false;
  const Outcome outcome = run(rig, 3, 0, writes(7, 10));
  CHECK(outcome.overloads == 3);
}
