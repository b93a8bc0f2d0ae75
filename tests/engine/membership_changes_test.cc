// MembershipChanges over the real driver: when a request is answered, and with what. The peers say
// what the test lets them say, and the clock stands still unless it is moved.
#include "engine/node/membership_changes.h"

#include <catch2/catch.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "driver_sides.h"
#include "engine/uv/stderr_logger.h"
#include "node_ports.h"
#include "projections/apply/projector.h"
#include "projections/state/state.h"

namespace bib::engine {
namespace {

using Catch::Matchers::Contains;
using wire::ErrorCode;
using wire::FrameKind;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;

const NodeId kSelf(1);
const NodeId kSecond(2);
const NodeId kThird(3);

// The views in what these return point into the answer.
wire::ChangeMembershipReply change_of(const Answer& answer) {
  REQUIRE(answer.kind == FrameKind::kChangeMembershipReply);
  return wire::decode_change_membership_reply(answer.body).value();
}
wire::TransferReply transfer_of(const Answer& answer) {
  REQUIRE(answer.kind == FrameKind::kTransferReply);
  return wire::decode_transfer_reply(answer.body).value();
}

// Node 1 of voters 1, 2 and 3, elected by 2; its disk is at once durable. Heartbeats are sent when
// it ticks and when a read is asked for, and at no other time.
class Leader final : public LogSink, public QuietApplier, public QuietSnapshots {
 public:
  explicit Leader(std::size_t reads_waiting_max = 8) {
    projector = projections::Projector::open(store).value();
    consensus::RaftConfig config;
    config.self = kSelf;
    config.own_log = 100 + kSelf.value();
    config.commit_notify_ticks = 1000;
    config.reads_waiting_max = reads_waiting_max;
    consensus::Restored restored;
    restored.memberships = {{wire::LogIndex(), voters({kSelf, kSecond, kThird})}};
    RaftDriverOptions options;
    options.cluster = test_options().cluster;
    driver = std::make_unique<RaftDriver>(config, restored, options, *this, network, *this, *this,
                                          clock);
    CommandsOptions command_options;
    command_options.cluster = options.cluster;
    commands = std::make_unique<Commands>(command_options, *driver, *projector, clients, clock);
    changes = std::make_unique<MembershipChanges>(MembershipChangesOptions{}, turns, network,
                                                  *driver, clients, *commands, logger);
    for (int i = 0; i < 50 && raft().role() != consensus::Role::kLeader; ++i) {
      driver->tick();
      turn();
      consent_to(take(kSecond, MessageKind::kPreVote));
      consent_to(take(kSecond, MessageKind::kVote));
    }
    REQUIRE(raft().role() == consensus::Role::kLeader);
    REQUIRE_FALSE(raft().has_committed_own_term());
  }

  const consensus::Raft& raft() const { return driver->raft(); }

  // 2 takes the first entry of this leader's term; how many turns were asked for.
  int commit_own_term() {
    const int asked_for = consent_to(take(kSecond, MessageKind::kAppend));
    REQUIRE(raft().has_committed_own_term());
    return asked_for;
  }

  // As Node::on_turn. True: another one was asked for at once.
  bool turn() {
    commands->propose_open_batch();
    REQUIRE(driver->run_effects());
    const bool more = changes->step();
    while (durable != written) {
      driver->on_durable(durable = written);
      REQUIRE(driver->run_effects());
    }
    return more;
  }
  // Turns until none is asked for; how many were.
  int settle() {
    int asked_for = 0;
    while (turn()) {
      REQUIRE(++asked_for < 10);
    }
    return asked_for;
  }

  std::vector<PeerMessage> take(NodeId to, MessageKind kind) { return network.take(to, kind); }
  int consent_to(const std::vector<PeerMessage>& messages) {
    int asked_for = 0;
    for (const PeerMessage& message : messages) {
      auto reply = consent(message);
      REQUIRE(reply);
      driver->on_message(*std::move(reply));
      asked_for += settle();
    }
    return asked_for;
  }

  // 2 is a voter already.
  void ask_for_nothing_new() {
    wire::ChangeMembership request;
    request.changes = {{wire::MemberChangeKind::kAddVoter, kSecond, {}, {}}};
    changes->on_change_membership({}, request);
  }
  void ask_to_hand_over(NodeId target) {
    changes->on_transfer({}, {.target = target, .from = kSelf});
  }
  // Another node leads, in a later term.
  void hear_other_leader() {
    PeerMessage heartbeat;
    heartbeat.kind = MessageKind::kHeartbeat;
    heartbeat.from = kSecond;
    heartbeat.to = kSelf;
    heartbeat.term = raft().term() + 1;
    driver->on_message(std::move(heartbeat));
    settle();
    REQUIRE(raft().role() == consensus::Role::kFollower);
  }

  // ---- LogSink
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    written = write.append_sequence;
  }
  void read(std::uint64_t, wire::LogIndex, wire::LogIndex, std::size_t) override { FAIL("a read"); }
  // ---- Applier
  wire::Status apply(const wire::Bytes& entry) override {
    BIB_TRY(const projections::Applied applied, projector->apply(entry, true));
    commands->on_outcomes(applied.outcomes);
    return {};
  }
  void on_role(const consensus::RoleChange& change) override {
    const bool leads = change.role == consensus::Role::kLeader;
    if (std::exchange(was_leading, leads) && !leads) {
      commands->on_leadership_lost();
      changes->on_leadership_lost();
    }
  }
  void on_read_ready(ReadAsker asker, std::uint64_t token) override {
    REQUIRE(asker == ReadAsker::kMembershipChanges);
    changes->on_read_ready(token);
  }
  void on_read_refused(ReadAsker asker, std::uint64_t token,
                       consensus::ReadRefusal reason) override {
    REQUIRE(asker == ReadAsker::kMembershipChanges);
    ++reads_refused;
    changes->on_read_refused(token, reason);
  }

  ManualTurns turns;
  RecordedPeers network;
  RecordedClients clients;
  std::unique_ptr<MembershipChanges> changes;
  std::unique_ptr<RaftDriver> driver;
  int reads_refused = 0;

 private:
  StderrLogger logger{LogLevel::kError};
  QuietClock clock;
  projections::MemoryStore store;
  std::unique_ptr<projections::Projector> projector;
  std::unique_ptr<Commands> commands;
  std::uint64_t written = 0;
  std::uint64_t durable = 0;
  bool was_leading = false;
};

}  // namespace

TEST_CASE("that a change leaves nothing to do is said once a majority has confirmed it since") {
  Leader leader;
  leader.commit_own_term();
  leader.driver->tick();
  leader.settle();
  const auto before = leader.take(kSecond, MessageKind::kHeartbeat);
  REQUIRE_FALSE(before.empty());
  leader.network.said.clear();

  leader.ask_for_nothing_new();
  leader.settle();
  CHECK(leader.clients.answers.empty());
  // The answer to what was asked before the change came proves nothing about now.
  leader.consent_to(before);
  CHECK(leader.clients.answers.empty());

  const auto since = leader.take(kSecond, MessageKind::kHeartbeat);
  REQUIRE(since.size() == 1);
  leader.consent_to(since);
  REQUIRE(leader.clients.answers.size() == 1);
  const auto reply = change_of(leader.clients.answers[0]);
  CHECK(reply.done);
  CHECK(reply.unchanged);
  CHECK(leader.raft().last_index() == leader.raft().commit());
}

TEST_CASE("a change that leaves nothing to do asks for one read, and for no turn while it waits") {
  Leader leader;
  leader.commit_own_term();
  leader.ask_for_nothing_new();
  for (int i = 0; i < 20; ++i) CHECK_FALSE(leader.turn());
  CHECK(leader.take(kSecond, MessageKind::kHeartbeat).size() == 1);
  CHECK(leader.reads_refused == 0);
  CHECK(leader.clients.answers.empty());

  // Its time is up: what it waits for, and the client asks again.
  leader.turns.now += MembershipChangesOptions{}.answer_ms;
  CHECK_FALSE(leader.turn());
  REQUIRE(leader.clients.answers.size() == 1);
  const auto reply = change_of(leader.clients.answers[0]);
  CHECK_FALSE(reply.done);
  CHECK_FALSE(reply.unchanged);
  CHECK_THAT(std::string(reply.waits_for), Contains("a quorum to confirm"));
}

TEST_CASE("a new leader asks for no read before its own term's first entry is committed") {
  Leader leader;
  leader.ask_for_nothing_new();
  for (int i = 0; i < 20; ++i) CHECK_FALSE(leader.turn());
  CHECK(leader.take(kSecond, MessageKind::kHeartbeat).empty());
  CHECK(leader.reads_refused == 0);
  CHECK(leader.clients.answers.empty());

  CHECK(leader.commit_own_term() == 1);
  CHECK(leader.reads_refused == 0);
  CHECK(leader.clients.answers.empty());
  const auto since = leader.take(kSecond, MessageKind::kHeartbeat);
  REQUIRE(since.size() == 1);
  leader.consent_to(since);
  REQUIRE(leader.clients.answers.size() == 1);
  CHECK(change_of(leader.clients.answers[0]).unchanged);
}

TEST_CASE("a change that waits when leadership is lost is answered with who leads, and once") {
  Leader leader;
  SECTION("it waits for the first entry of the leader's term") {}
  SECTION("it waits for a majority to confirm the leader") {
    leader.commit_own_term();
  }
  leader.ask_for_nothing_new();
  leader.settle();
  REQUIRE(leader.clients.answers.empty());
  const auto since = leader.take(kSecond, MessageKind::kHeartbeat);
  leader.hear_other_leader();
  REQUIRE(leader.clients.answers.size() == 1);
  const auto reply = error_of(leader.clients.answers[0]);
  CHECK(reply.code == ErrorCode::kNotLeader);
  CHECK(reply.leader == kSecond);
  leader.consent_to(since);  // too late
  CHECK(leader.clients.answers.size() == 1);
}

TEST_CASE("a change whose read is refused because too many wait is told so, and asks no other") {
  Leader leader(0);
  leader.commit_own_term();
  leader.ask_for_nothing_new();
  leader.settle();
  REQUIRE(leader.clients.answers.size() == 1);
  CHECK(error_of(leader.clients.answers[0]).code == ErrorCode::kOverloaded);
  CHECK(leader.reads_refused == 1);
  for (int i = 0; i < 20; ++i) CHECK_FALSE(leader.turn());
  CHECK(leader.reads_refused == 1);
  CHECK(leader.clients.answers.size() == 1);
}

TEST_CASE("a hand-over to a node that is known not to be connected waits for no other voter") {
  Leader leader;
  leader.commit_own_term();  // so that 2 is heard, and 3 is not
  leader.network.connected = {kThird};
  leader.ask_to_hand_over(kSecond);
  REQUIRE(leader.clients.answers.size() == 1);
  const auto reply = error_of(leader.clients.answers[0]);
  CHECK(reply.code == ErrorCode::kRefused);
  CHECK_THAT(std::string(reply.message), Contains("0000000000000002 is not healthy"));
  CHECK_FALSE(leader.raft().is_transferring());
}

TEST_CASE("a hand-over to a node that the new leader has not heard yet waits until it is heard") {
  Leader leader;
  leader.commit_own_term();
  leader.ask_to_hand_over(kThird);
  for (int i = 0; i < 20; ++i) CHECK_FALSE(leader.turn());
  CHECK(leader.clients.answers.empty());
  SECTION("it is heard") {
    leader.driver->tick();
    leader.settle();
    leader.consent_to(leader.take(kThird, MessageKind::kAppend));
    leader.consent_to(leader.take(kThird, MessageKind::kHeartbeat));
    CHECK(leader.raft().transferee() == kThird);
    CHECK(leader.clients.answers.empty());
  }
  SECTION("its time is up before") {
    leader.turns.now += MembershipChangesOptions{}.answer_ms;
    leader.turn();
    REQUIRE(leader.clients.answers.size() == 1);
    const auto reply = transfer_of(leader.clients.answers[0]);
    CHECK_FALSE(reply.done);
    CHECK_THAT(std::string(reply.waits_for), Contains("0000000000000003 to be heard"));
    CHECK_FALSE(leader.raft().is_transferring());
  }
}

}  // namespace bib::engine
