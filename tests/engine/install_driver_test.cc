// The raft driver while a snapshot takes the place of the state: nothing is applied in between,
// whatever happens to the node's role and log meanwhile.
#include <catch2/catch.hpp>

#include <deque>
#include <vector>

#include "driver_sides.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::LogPosition;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

const NodeId kSelf(1);
const NodeId kLeader(2);
const NodeId kOther(3);

wire::Membership three_voters() {
  return voters({kSelf, kLeader, kOther});
}

class Node final : public LogSink, public PeerSender, public QuietApplier, public QuietSnapshots {
 public:
  Node() {
    consensus::RaftConfig config;
    config.self = kSelf;
    config.own_log = 100 + kSelf.value();
    config.seed = 1;
    consensus::Restored restored;
    restored.hard_state.term = Term(1);
    restored.memberships = {{LogIndex(0), three_voters()}};
    RaftDriverOptions options;
    options.cluster = test_options().cluster;
    driver =
        std::make_unique<RaftDriver>(config, restored, options, *this, *this, *this, *this, clock);
  }

  // ---- LogSink
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    writes.push_back(write);
  }
  void read(std::uint64_t, LogIndex, LogIndex, std::size_t) override { FAIL("a read"); }
  // ---- PeerSender
  void send(const PeerMessage& message) override { sent.push_back(message); }
  // ---- Applier
  wire::Status apply(const wire::Bytes& entry) override {
    applied.push_back(wire::read_entry_header(entry.view())->index.value());
    return {};
  }
  // ---- SnapshotKeeper
  void receive_snapshot(NodeId from, LogPosition last) override { offers.push_back({from, last}); }
  void on_install_durable(LogPosition last) override { durable.push_back(last); }

  void run() { REQUIRE(driver->run_effects()); }
  void ends_with(const std::string& text) {
    const wire::Status status = driver->run_effects();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == wire::ErrorCode::kCorrupt);
    CAPTURE(status.error().message);
    CHECK(status.error().message.find(text) != std::string::npos);
  }
  void sync() {
    while (!writes.empty()) {
      const std::uint64_t sequence = writes.front().append_sequence;
      all_writes.push_back(writes.front());
      writes.pop_front();
      driver->on_durable(sequence);
      run();
    }
  }
  void receive(PeerMessage message) {
    message.to = kSelf;
    driver->on_message(std::move(message));
    run();
  }
  // From the leader of term 1.
  void append(std::uint64_t from, std::uint64_t to, std::uint64_t commit) {
    receive(append_of(kLeader, kSelf, from, to, commit));
  }
  void offer(std::uint64_t index) {
    PeerMessage message;
    message.kind = MessageKind::kSnapshot;
    message.from = kLeader;
    message.term = Term(1);
    message.log_index = LogIndex(index);
    message.log_term = Term(1);
    receive(std::move(message));
  }
  void reply(MessageKind kind, std::uint64_t term, std::uint64_t match = 0) {
    PeerMessage message;
    message.kind = kind;
    message.from = kOther;
    message.term = Term(term);
    message.match = LogIndex(match);
    receive(std::move(message));
  }
  // The leader is gone, and the other node votes for this one.
  void come_to_lead() {
    driver->on_peer_disconnected(kLeader);
    for (int i = 0; i < 50 && driver->raft().role() != consensus::Role::kLeader; ++i) {
      driver->tick();
      run();
      sync();
      if (driver->raft().role() == consensus::Role::kPreCandidate) {
        reply(MessageKind::kPreVoteReply, driver->raft().term().value() + 1);
        sync();
      }
      if (driver->raft().role() == consensus::Role::kCandidate) {
        reply(MessageKind::kVoteReply, driver->raft().term().value());
        sync();
      }
    }
    REQUIRE(driver->raft().role() == consensus::Role::kLeader);
  }

  struct Offer {
    NodeId from;
    LogPosition last;
  };
  QuietClock clock;
  std::unique_ptr<RaftDriver> driver;
  std::deque<consensus::LogWrite> writes;
  std::vector<consensus::LogWrite> all_writes;
  std::vector<PeerMessage> sent;
  std::vector<std::uint64_t> applied;
  std::vector<Offer> offers;
  std::vector<LogPosition> durable;
};

const consensus::MembershipAt kMembership{LogIndex(3), three_voters()};

LogPosition at(std::uint64_t index) {
  return {LogIndex(index), Term(1)};
}

std::vector<std::uint64_t> numbers(std::uint64_t from, std::uint64_t to) {
  std::vector<std::uint64_t> result;
  for (; from <= to; ++from) result.push_back(from);
  return result;
}

}  // namespace

TEST_CASE("an installed snapshot resets the log to begin after it, and what follows is applied") {
  Node node;
  node.append(1, 4, 2);
  node.sync();
  CHECK(node.applied == numbers(1, 2));
  node.offer(50);
  REQUIRE(node.offers.size() == 1);
  CHECK(node.offers[0].from == kLeader);
  CHECK(node.offers[0].last == at(50));
  REQUIRE(node.driver->begin_install(at(50)));
  CHECK_FALSE(node.driver->begin_install(at(60)));
  node.append(5, 6, 6);
  node.sync();
  CHECK(node.applied == numbers(1, 2));  // the state is being exchanged
  node.driver->finish_install(at(50), kMembership);
  node.run();
  CHECK(node.durable.empty());
  REQUIRE(node.writes.size() == 1);
  CHECK(node.writes.front().reset_to == at(50));
  CHECK(node.writes.front().reset_membership->index == LogIndex(3));
  CHECK(node.writes.front().reset_membership->membership == three_voters());
  node.sync();
  REQUIRE(node.durable.size() == 1);
  CHECK(node.durable[0] == at(50));
  node.append(51, 53, 53);
  node.sync();
  CHECK(node.applied == std::vector<std::uint64_t>{1, 2, 51, 52, 53});
}

TEST_CASE("what the log's files have is not read while a snapshot may replace it") {
  Node node;
  node.append(1, 4, 2);
  node.sync();
  CHECK(node.driver->readable_index() == LogIndex(4));
  REQUIRE(node.driver->begin_install(at(50)));
  CHECK(node.driver->readable_index() == LogIndex());
  node.driver->finish_install(at(50), kMembership);
  node.run();
  CHECK(node.driver->readable_index() == LogIndex());  // the log does not begin after it yet
  node.sync();
  CHECK(node.driver->readable_index() == LogIndex(50));
  node.append(51, 53, 53);
  node.sync();
  CHECK(node.driver->readable_index() == LogIndex(53));
}

TEST_CASE("a snapshot that the log continues leaves the log, and is durable with it") {
  Node node;
  node.append(1, 4, 2);
  node.sync();
  REQUIRE(node.driver->begin_install(at(6)));
  node.append(5, 8, 2);
  node.driver->finish_install(at(6), kMembership);
  node.run();
  CHECK(node.durable.empty());  // entries 5 and 6 are not, and the rows include them
  node.sync();
  CHECK(node.durable.size() == 1);
  for (const consensus::LogWrite& write : node.all_writes) CHECK_FALSE(write.reset_to);
  node.append(9, 9, 9);
  node.sync();
  CHECK(node.applied == std::vector<std::uint64_t>{1, 2, 7, 8, 9});
}

TEST_CASE("a snapshot older than what was committed meanwhile only moves the state") {
  Node node;
  node.append(1, 4, 2);
  node.sync();
  REQUIRE(node.driver->begin_install(at(6)));
  node.append(5, 9, 9);
  node.sync();
  CHECK(node.applied == numbers(1, 2));
  node.driver->finish_install(at(6), kMembership);
  node.run();
  CHECK(node.applied == std::vector<std::uint64_t>{1, 2, 7, 8, 9});
  CHECK(node.durable.size() == 1);
  CHECK_FALSE(node.driver->begin_install(at(9)));
}

TEST_CASE("an installation that is given up lets applying continue where it was") {
  Node node;
  node.append(1, 4, 2);
  REQUIRE(node.driver->begin_install(at(6)));
  node.append(5, 9, 9);
  node.sync();
  CHECK(node.applied == numbers(1, 2));
  node.driver->cancel_install();
  node.run();
  CHECK(node.applied == numbers(1, 9));
}

TEST_CASE("a node that comes to lead while its state is exchanged waits for the commit") {
  Node node;
  node.append(1, 4, 2);
  node.sync();
  REQUIRE(node.driver->begin_install(at(6)));
  node.append(5, 8, 2);
  node.sync();
  node.come_to_lead();
  const std::uint64_t noop = node.driver->raft().last_index().value();
  CHECK(noop == 9);
  node.driver->finish_install(at(6), kMembership);
  node.run();
  CHECK(node.applied == numbers(1, 2));
  CHECK_FALSE(node.driver->is_ready_to_decide());
  node.reply(MessageKind::kAppendReply, node.driver->raft().term().value(), noop);
  CHECK(node.applied == std::vector<std::uint64_t>{1, 2, 7, 8, 9});
  CHECK(node.driver->is_ready_to_decide());
  node.sync();
  CHECK(node.durable.size() == 1);
  CHECK_FALSE(node.driver->begin_install(at(20)));  // a leader needs nobody's snapshot
}

TEST_CASE(
    "a snapshot of what was never committed ends the node that leads without it, and says so") {
  for (const std::uint64_t index : {6U, 50U}) {  // within its log in another term, and beyond it
    Node node;
    node.append(1, 8, 2);
    node.sync();
    const LogPosition false_one{LogIndex(index), index == 6 ? Term(2) : Term(1)};
    REQUIRE(node.driver->begin_install(false_one));
    node.come_to_lead();
    node.driver->finish_install(false_one, kMembership);
    node.ends_with("was not committed");
  }
}

TEST_CASE("so does one that contradicts what a later leader has committed meanwhile") {
  Node node;
  node.append(1, 4, 2);
  node.sync();
  const LogPosition false_one{LogIndex(6), Term(2)};
  REQUIRE(node.driver->begin_install(false_one));
  node.append(5, 9, 9);
  node.sync();
  node.driver->finish_install(false_one, kMembership);
  node.ends_with("entry 6 of term 2");
}

}  // namespace bib::engine
