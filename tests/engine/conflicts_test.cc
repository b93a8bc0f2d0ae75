// Conflicts over a real driver: a follower whose leader turns out to have other entries than those
// that are committed here, and the members that hear of it. What the leader says is the test's.
#include "engine/node/conflicts.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver_sides.h"
#include "engine/node/node_parts.h"
#include "engine/storage/log_store.h"
#include "faulty_file_system.h"
#include "lines.h"
#include "node_ports.h"
#include "projections/state/state.h"

namespace bib::engine {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using wire::ErrorCode;
using wire::FrameKind;
using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

const NodeId kSelf(1);
const NodeId kLeader(2);
const NodeId kThird(3);
const Asker kReader{SessionId(1), 1};
const Asker kFollowerOfEvents{SessionId(2), 1};

struct NoLog final : LogPort {
  bool submit(LogStoreWrite&&) override { return false; }
  void read(std::uint64_t, LogIndex, LogIndex, std::size_t) override {}
  void compact(LogIndex) override {}
  std::chrono::microseconds append_running() const override { return {}; }
  wire::Status stop(std::vector<LogStoreWrite>) override { return {}; }
};

struct NoStoreThread final : StorePort {
  void run(std::function<void()>, std::function<void()>) override { FAIL("a job for the store"); }
  bool is_busy() const override { return false; }
  void stop() override {}
};

struct NoEntropy final : Entropy {
  std::uint64_t next() override { return 0; }
};

// The ports of a node; those that conflicts have nothing to do with do nothing.
struct World {
  ManualTurns turns;
  NoLog log;
  RecordedPeers peers;
  RecordedClients clients;
  NoStoreThread store_thread;
  ManualJobs jobs;
  FaultyFileSystem files;
  QuietClock clock;
  NoEntropy entropy;
  Lines logger;
  NodePace pace;

  NodeWorld ports() {
    return {turns, log, peers, clients, store_thread, jobs, files, clock, entropy, logger, pace};
  }
};

wire::Membership three() {
  return voters({kSelf, kLeader, kThird});
}

wire::NodeConfig config_of(NodeId self) {
  wire::NodeConfig config;
  config.node_id = self;
  config.data_dir = "/var/lib/bib";
  return config;
}

// One of three; follows node 2 in term 1, and knows the three entries of its log to be committed.
// Its disk is at once durable.
class Follower final : public LogSink, public QuietApplier, public QuietSnapshots {
 public:
  explicit Follower(NodeId self = kSelf) : parts(world.ports(), config_of(self)), self_(self) {
    raft_config.self = self;
    raft_config.own_log = 100 + self.value();
    consensus::Restored restored;
    restored.hard_state.term = Term(1);
    restored.memberships = {{LogIndex(), three()}};
    RaftDriverOptions options;
    options.cluster = test_options().cluster;
    auto log = LogStore::open(world.files, kLogDirectory, test_options()).value().store;
    auto reader = std::make_shared<LogReader>(world.files, kLogDirectory, log->locations());
    parts.fail = [this](const wire::Error& error) {
      CHECK(world.peers.is_flushed);
      failure = error;
    };
    parts.conflicts = std::make_unique<Conflicts>(parts);
    parts.projector = projections::Projector::open(store_).value();
    parts.driver = std::make_unique<RaftDriver>(raft_config, restored, options, *this, world.peers,
                                                *this, *this, world.clock);
    parts.commands = std::make_unique<Commands>(CommandsOptions{}, *parts.driver, *parts.projector,
                                                world.clients, world.clock);
    parts.queries =
        std::make_unique<Queries>(world.turns, world.jobs, QueriesOptions{}, *parts.driver,
                                  *parts.projector, world.clients, *parts.commands);
    parts.feed = std::make_unique<EventFeed>(EventFeedOptions{}, world.jobs, world.clients, reader);
    hear(append_of(kLeader, self, 1, 3, 3));
    REQUIRE(raft().commit() == LogIndex(3));
    world.peers.said.clear();
  }

  const consensus::Raft& raft() const { return parts.driver->raft(); }
  Conflicts& conflicts() { return *parts.conflicts; }
  const std::vector<std::string>& lines() const { return world.logger.lines; }

  // As Node::on_turn.
  void turn() {
    REQUIRE(parts.driver->run_effects());
    while (durable_ != written_) {
      parts.driver->on_durable(durable_ = written_);
      REQUIRE(parts.driver->run_effects());
    }
    conflicts().on_turn();
    parts.feed->on_turn(parts.driver->readable_index());
  }
  void hear(PeerMessage&& message) {
    parts.driver->on_message(std::move(message));
    turn();
  }
  void hear_heartbeat(NodeId from, Term term) {
    PeerMessage heartbeat;
    heartbeat.kind = MessageKind::kHeartbeat;
    heartbeat.from = from;
    heartbeat.to = self_;
    heartbeat.term = term;
    hear(std::move(heartbeat));
  }
  // The leader, elected in that term by nodes without the second entry, has another one there.
  void hear_contradiction(Term term = Term(4)) {
    PeerMessage message = append_of(kLeader, self_, 2, 2, 0);
    message.term = term;
    message.entries.front().term = term;
    message.payload.front() = make_entry(2, term.value(), 10);
    hear(std::move(message));
    REQUIRE(raft().is_contradicted());
  }
  // It says the same again and again, until that is no accident any more.
  void hear_leader_insist() {
    for (unsigned tick = 0; tick < raft_config.election_ticks_min; ++tick) {
      hear_heartbeat(kLeader, Term(4));
      hear_contradiction();
      parts.driver->tick();
      turn();
    }
  }
  // A fourth entry after those that are committed here, of the leader that has contradicted.
  void hear_agreement() {
    PeerMessage message = append_of(kLeader, self_, 4, 4, 0);
    message.term = Term(4);
    hear(std::move(message));
  }
  void hear_membership(const wire::Membership& membership) {
    PeerMessage message = append_of(kLeader, self_, 4, 4, 0);
    message.entries.front().membership = membership;
    message.payload.front() = wire::make_membership_entry(
        {test_options().cluster, Term(1), LogIndex(4), 1}, wire::encode_membership(membership));
    hear(std::move(message));
  }

  // What a client is answered that asks for rows.
  Answer answer_to_query() {
    const std::size_t before = world.clients.answers.size();
    wire::Query query;
    query.consistency = wire::Consistency::kStale;
    parts.queries->on_query(kReader, query);
    world.jobs.run_all();
    REQUIRE(world.clients.answers.size() == before + 1);
    return world.clients.answers.back();
  }
  bool answers_reads() { return answer_to_query().kind == FrameKind::kQueryReply; }
  // A client follows the events that are to come, where it may.
  void follow_events() {
    parts.queries->when_consistent(kFollowerOfEvents, wire::Consistency::kStale, [this] {
      parts.feed->start(kFollowerOfEvents, {.from = {LogIndex(100), 0}, .follow = true});
    });
  }
  std::vector<Answer> answers_to_follower() const {
    std::vector<Answer> found;
    for (const Answer& answer : world.clients.answers) {
      if (answer.asker.session == kFollowerOfEvents.session) found.push_back(answer);
    }
    return found;
  }

  // ---- LogSink
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    written_ = write.append_sequence;
  }
  void read(std::uint64_t, LogIndex, LogIndex, std::size_t) override { FAIL("a read"); }
  // ---- Applier
  void on_conflict(const consensus::CommittedConflict& conflict) override {
    conflicts().on_conflict(conflict);
  }
  void on_membership(const wire::Membership& membership) override {
    conflicts().on_membership(membership);
  }

  World world;
  consensus::RaftConfig raft_config;
  std::optional<wire::Error> failure;  // that the node does not survive

 private:
  projections::MemoryStore store_;  // before the parts, which read it

 public:
  NodeParts parts;

 private:
  NodeId self_;
  std::uint64_t written_ = 0;
  std::uint64_t durable_ = 0;
};

void check_names_leader(const Answer& answer) {
  const wire::ErrorReply reply = error_of(answer);
  CHECK(reply.code == ErrorCode::kNotLeader);
  CHECK(reply.leader == kLeader);
  CHECK_THAT(std::string(reply.message), Contains("entry 2, which it knows to be committed"));
}

// What node 1 says to this member when it has found the conflict.
PeerMessage report_to(NodeId member) {
  Follower finder;
  finder.hear_contradiction();
  const auto reports = finder.world.peers.take(member, MessageKind::kConflict);
  REQUIRE(reports.size() == 1);
  return reports.front();
}

}  // namespace

TEST_CASE("a node that its leader contradicts refuses reads of rows and names that leader") {
  Follower node;
  REQUIRE(node.answers_reads());
  node.hear_contradiction();
  check_names_leader(node.answer_to_query());
  node.turn();
  check_names_leader(node.answer_to_query());
}

TEST_CASE("a node that its leader contradicts ends what follows its events and lets none begin") {
  Follower node;
  node.follow_events();
  REQUIRE(node.answers_to_follower().size() == 1);
  REQUIRE(node.answers_to_follower().back().kind == FrameKind::kEventsReply);
  node.hear_contradiction();
  REQUIRE(node.answers_to_follower().size() == 2);
  check_names_leader(node.answers_to_follower().back());
  node.follow_events();
  REQUIRE(node.answers_to_follower().size() == 3);
  check_names_leader(node.answers_to_follower().back());
}

TEST_CASE("a conflict is reported to each other member") {
  Follower node;
  node.hear_contradiction();
  CHECK(node.world.peers.take(kSelf, MessageKind::kConflict).empty());
  for (const NodeId member : {kLeader, kThird}) {
    const auto reports = node.world.peers.take(member, MessageKind::kConflict);
    REQUIRE(reports.size() == 1);
    const PeerMessage& report = reports.front();
    CHECK(report.from == kSelf);
    CHECK(report.term == Term(4));
    CHECK(report.log_index == LogIndex(2));
    CHECK(report.log_term == Term(1));
    CHECK(report.hint_term == Term(4));
    CHECK(report.commit == LogIndex(3));
  }
}

TEST_CASE("a conflict is logged once, as an error, and does not end the node") {
  Follower node;
  for (int i = 0; i < 5; ++i) node.hear_contradiction();
  REQUIRE(node.lines().size() == 1);
  CHECK(node.world.logger.errors == 1);
  CHECK_THAT(node.lines().front(),
             StartsWith("raft: entry 2 is committed on this node, with term 1, but the leader "
                        "0000000000000002 has another entry there, of term 4"));
  CHECK_FALSE(node.failure);
}

TEST_CASE("a conflict that lasts ends the node, which says where the lost entries are") {
  Follower node;
  node.hear_contradiction();
  node.world.peers.said.clear();
  REQUIRE_FALSE(node.failure);
  node.hear_leader_insist();
  REQUIRE(node.failure);
  CHECK(node.failure->code == ErrorCode::kConflict);
  CHECK_THAT(node.failure->message,
             StartsWith("entry 2 is committed on this node, with term 1, but the leader "
                        "0000000000000002 has another entry there, of term 4") &&
                 Contains("has changed nothing in /var/lib/bib.") && Contains("entries 2 to 3.") &&
                 Contains("`raft-inspect log /var/lib/bib 2..3`"));
  // Reported again: the first time may have been lost.
  for (const NodeId member : {kLeader, kThird}) {
    CHECK(node.world.peers.take(member, MessageKind::kConflict).size() == 1);
  }
  check_names_leader(node.answer_to_query());
}

TEST_CASE("reads go on, with a line, once no leader contradicts what is committed") {
  Follower node;
  node.hear_contradiction();
  REQUIRE(node.lines().size() == 1);
  SECTION("the leader turns out to have the same entries") {
    node.hear_agreement();
  }
  SECTION("another node leads") {
    node.hear_heartbeat(kThird, Term(5));
  }
  REQUIRE_FALSE(node.raft().is_contradicted());
  CHECK(node.answers_reads());
  node.follow_events();
  CHECK(node.answers_to_follower().back().kind == FrameKind::kEventsReply);
  node.turn();
  REQUIRE(node.lines().size() == 2);
  CHECK_THAT(node.lines().back(), StartsWith("raft: ") && Contains("reads go on"));
  CHECK(node.world.logger.errors == 1);
  CHECK_FALSE(node.failure);
}

TEST_CASE("leaders that contradict and agree in turn get few lines, and a count of the others") {
  Follower node;
  for (std::uint64_t round = 0; round < 10; ++round) {
    node.hear_contradiction(Term(4 + 2 * round));
    node.hear_heartbeat(kThird, Term(5 + 2 * round));
    REQUIRE(node.answers_reads());
  }
  CHECK(node.lines().size() == 6);
  node.world.turns.now += LimitedLog::kPeriodMs;
  node.conflicts().on_housekeeping();
  REQUIRE(node.lines().size() == 7);
  CHECK(node.lines().back() == "raft: 14 more lines about contradictions within 10 s");
}

TEST_CASE("a member's report of a conflict is logged once, and shown with that member") {
  const PeerMessage report = report_to(kThird);
  Follower other(kThird);
  REQUIRE(other.conflicts().report_of(kSelf).empty());
  for (int i = 0; i < 3; ++i) other.conflicts().on_report(report);
  REQUIRE(other.lines().size() == 1);
  CHECK(other.world.logger.errors == 1);
  CHECK_THAT(other.lines().front(),
             StartsWith("peer: node 0000000000000001 reports that it has entries 2 to 3"));
  const std::string shown(other.conflicts().report_of(kSelf));
  CHECK_THAT(shown, StartsWith("it has entries 2 to 3 that were acknowledged") &&
                        Contains("entry 2 to be committed with term 1") &&
                        Contains("the leader has one of term 4 there"));
  CHECK(other.conflicts().report_of(kLeader).empty());
  // It is the word of another node.
  CHECK(other.answers_reads());
  CHECK_FALSE(other.failure);

  PeerMessage longer = report;
  longer.commit = LogIndex(7);
  other.conflicts().on_report(longer);
  CHECK(other.lines().size() == 2);
  CHECK_THAT(std::string(other.conflicts().report_of(kSelf)), Contains("entries 2 to 7"));
}

TEST_CASE("a member's report is forgotten when that member connects again") {
  const PeerMessage report = report_to(kThird);
  Follower other(kThird);
  other.conflicts().on_report(report);
  other.conflicts().on_peer_connected(kLeader);
  CHECK_FALSE(other.conflicts().report_of(kSelf).empty());
  other.conflicts().on_peer_connected(kSelf);
  CHECK(other.conflicts().report_of(kSelf).empty());
  // It may still say so.
  other.conflicts().on_report(report);
  CHECK_FALSE(other.conflicts().report_of(kSelf).empty());
  CHECK(other.lines().size() == 2);
}

TEST_CASE("a report is forgotten when the node that made it is no longer a member") {
  Follower other(kThird);
  other.conflicts().on_report(report_to(kThird));
  wire::Membership membership = three();
  membership.members.front().raft_address = "a:9";
  other.hear_membership(membership);
  REQUIRE(other.raft().membership() == membership);
  CHECK_FALSE(other.conflicts().report_of(kSelf).empty());

  Follower another(kThird);
  another.conflicts().on_report(report_to(kThird));
  membership.voters.erase(membership.voters.begin());
  membership.members.erase(membership.members.begin());
  another.hear_membership(membership);
  REQUIRE(another.raft().membership().find(kSelf) == nullptr);
  CHECK(another.conflicts().report_of(kSelf).empty());
}

TEST_CASE("a report of a node that is no member is ignored") {
  PeerMessage report = report_to(kThird);
  report.from = NodeId(9);
  Follower other(kThird);
  other.conflicts().on_report(report);
  CHECK(other.lines().empty());
  CHECK(other.conflicts().report_of(NodeId(9)).empty());
}

TEST_CASE("a member that reports something else each time gets few lines, and the last is shown") {
  PeerMessage report = report_to(kThird);
  Follower other(kThird);
  for (std::uint64_t commit = 3; commit < 103; ++commit) {
    report.commit = LogIndex(commit);
    other.conflicts().on_report(report);
  }
  CHECK(other.lines().size() == 6);
  CHECK_THAT(std::string(other.conflicts().report_of(kSelf)), Contains("entries 2 to 102"));
  other.world.turns.now += LimitedLog::kPeriodMs;
  other.conflicts().on_housekeeping();
  REQUIRE(other.lines().size() == 7);
  CHECK(other.lines().back() == "peer: 94 more reports of conflicts within 10 s");
}

}  // namespace bib::engine
