// The raft driver alone: whom a leader gives a vote, what it drops when a follower lags, and which
// confirmations a follower takes for its own.
#include "engine/node/raft_driver.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "driver_sides.h"
#include "engine/node/received_entries.h"
#include "wire/model/event.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

const NodeId kSelf(1);
const NodeId kLearner(4);

// Node 1 of voters 1, 2 and 3; 4 listens and wants a vote.
wire::Membership three_and_a_learner() {
  wire::Membership membership = voters({kSelf, NodeId(2), NodeId(3), kLearner});
  membership.voters.pop_back();
  membership.learners = {kLearner};
  return membership;
}

class Leader final : public LogSink, public QuietPeers, public QuietApplier, public QuietSnapshots {
 public:
  explicit Leader(RaftDriverOptions options, std::size_t append_entries_max = 1) {
    consensus::RaftConfig config;
    config.self = kSelf;
    config.own_log = 100 + kSelf.value();
    config.append_entries_max = append_entries_max;
    consensus::Restored restored;
    restored.memberships = {{LogIndex(), three_and_a_learner()}};
    options.cluster = test_options().cluster;
    driver =
        std::make_unique<RaftDriver>(config, restored, options, *this, *this, *this, *this, clock);
    for (int i = 0; i < 50 && raft().role() != consensus::Role::kLeader; ++i) {
      tick();
      if (raft().role() == consensus::Role::kPreCandidate) {
        reply(2, MessageKind::kPreVoteReply, raft().term() + 1);
      }
      if (raft().role() == consensus::Role::kCandidate) {
        reply(2, MessageKind::kVoteReply, raft().term());
      }
    }
    REQUIRE(raft().role() == consensus::Role::kLeader);
  }

  // ---- Applier
  bool takes_more() const override { return room > 0; }
  wire::Status apply(const wire::Bytes&) override {
    --room;
    clock.steady_us += apply_us;
    return {};
  }

  void on_read_ready(ReadAsker, std::uint64_t) override {
    ++reads_answered;
    clock.steady_us += read_us;
  }

  const consensus::Raft& raft() const { return driver->raft(); }
  bool learner_has_vote() const { return raft().membership().is_voter(kLearner); }

  // ---- LogSink
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    writes.push_back(write.append_sequence);
  }
  void read(std::uint64_t token, LogIndex first, LogIndex, std::size_t) override {
    ++reads;
    asked = {token, first};
  }
  void send(const PeerMessage& message) override {
    if (message.kind == MessageKind::kHeartbeat) round = message.context;
    if (message.kind != MessageKind::kAppend || message.to != kLearner) return;
    if (!message.entries.empty()) appends.push_back(message);
    for (const wire::EntryInfo& entry : message.entries) sent.push_back(entry.index.value());
  }

  // The read that was asked for last finds so many entries.
  void answer_read(std::uint64_t entries) {
    std::vector<wire::Bytes> found;
    for (std::uint64_t i = 0; i < entries; ++i) {
      found.push_back(make_entry(asked.second.value() + i, raft().term().value(), 100));
    }
    driver->on_log_read(asked.first, std::move(found));
    run();
  }

  void run() {
    REQUIRE(driver->run_effects());
    while (!writes.empty()) {
      driver->on_durable(writes.front());
      writes.pop_front();
      REQUIRE(driver->run_effects());
    }
  }
  void tick() {
    driver->tick();
    run();
  }
  void reply(std::uint64_t from, MessageKind kind, Term term, LogIndex match = LogIndex()) {
    PeerMessage message;
    message.kind = kind;
    message.from = NodeId(from);
    message.to = kSelf;
    message.term = term;
    message.match = match;
    driver->on_message(std::move(message));
    run();
  }
  void has_all(std::uint64_t follower) {
    reply(follower, MessageKind::kAppendReply, raft().term(), raft().last_index());
  }
  void ask_for_reads(int count) {
    for (int i = 0; i < count; ++i) driver->request_read(ReadAsker::kQueries);
    run();
  }
  // One more turn of effects.
  void confirm_reads() {
    PeerMessage message;
    message.kind = MessageKind::kHeartbeatReply;
    message.from = NodeId(2);
    message.to = kSelf;
    message.term = raft().term();
    message.context = round;
    driver->on_message(std::move(message));
    REQUIRE(driver->run_effects());
  }
  void propose() {
    const auto place = driver->raft().next_proposal();
    REQUIRE(driver->propose(make_entry(place.index.value(), place.term.value(), 100)));
    run();
  }

  QuietClock clock;
  std::deque<std::uint64_t> writes;
  int room = 1000;             // entries that may still be applied
  std::uint64_t apply_us = 0;  // that one takes
  std::uint64_t read_us = 0;
  std::uint64_t round = 0;  // of reads, as the last heartbeat has it
  int reads_answered = 0;
  unsigned reads = 0;
  std::pair<std::uint64_t, LogIndex> asked;
  std::vector<std::uint64_t> sent;  // the entries that went to the learner
  std::vector<PeerMessage> appends;
  std::unique_ptr<RaftDriver> driver;
};

// A follower of node 2 in term 1, whose disk is at once durable.
class Reader final : public LogSink, public QuietPeers, public QuietApplier, public QuietSnapshots {
 public:
  explicit Reader(std::uint64_t run_base) {
    consensus::RaftConfig config;
    config.self = kSelf;
    config.own_log = 100 + kSelf.value();
    consensus::Restored restored;
    restored.hard_state.term = Term(1);
    restored.memberships = {{LogIndex(), three_and_a_learner()}};
    RaftDriverOptions options;
    options.cluster = test_options().cluster;
    options.run_base = run_base;
    driver =
        std::make_unique<RaftDriver>(config, restored, options, *this, *this, *this, *this, clock);
  }

  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    writes.push_back(write.append_sequence);
  }
  void read(std::uint64_t, LogIndex, LogIndex, std::size_t) override { FAIL("a read"); }
  void send(const PeerMessage& message) override {
    if (message.kind == MessageKind::kReadIndex) asked.push_back(message.context);
  }
  void on_read_ready(ReadAsker, std::uint64_t of) override { ready.push_back(of); }

  void receive(PeerMessage message) {
    driver->on_message(std::move(message));
    REQUIRE(driver->run_effects());
    for (const std::uint64_t sequence : std::exchange(writes, {})) driver->on_durable(sequence);
    REQUIRE(driver->run_effects());
  }
  void append(std::uint64_t from, std::uint64_t to) {
    receive(append_of(NodeId(2), kSelf, from, to, to));
  }
  void confirm(std::uint64_t context, std::uint64_t index) {
    PeerMessage message;
    message.kind = MessageKind::kReadIndexReply;
    message.from = NodeId(2);
    message.to = kSelf;
    message.term = Term(1);
    message.context = context;
    message.match = LogIndex(index);
    receive(std::move(message));
  }
  // As the wire has it.
  std::uint64_t ask() {
    token = driver->request_read(ReadAsker::kQueries);
    REQUIRE(driver->run_effects());
    REQUIRE_FALSE(asked.empty());
    return asked.back();
  }

  QuietClock clock;
  std::vector<std::uint64_t> writes;
  std::vector<std::uint64_t> asked;
  std::uint64_t token = 0;  // of the last read
  std::vector<std::uint64_t> ready;
  std::unique_ptr<RaftDriver> driver;
};

}  // namespace

TEST_CASE("a read is not answered by what an earlier run of the node has asked") {
  Reader before(0x1111111111111111);
  before.append(1, 1);
  const std::uint64_t asked_before = before.ask();

  Reader reader(0xeeeeeeeeeeeeeeee);
  reader.append(1, 1);
  reader.confirm(asked_before, 2);  // late, and ahead of what is applied here
  const std::uint64_t asked = reader.ask();
  REQUIRE(reader.token == before.token);
  reader.append(2, 2);
  CHECK(std::count(reader.ready.begin(), reader.ready.end(), reader.token) == 0);
  reader.confirm(asked, 3);
  reader.append(3, 3);
  CHECK(std::count(reader.ready.begin(), reader.ready.end(), reader.token) == 1);
}

TEST_CASE("a learner that has caught up gets its vote by itself") {
  Leader leader({.promote_every_ticks = 1});
  leader.has_all(2);
  leader.tick();
  CHECK_FALSE(leader.learner_has_vote());
  leader.has_all(4);
  leader.tick();
  CHECK(leader.learner_has_vote());
}

TEST_CASE("a learner gets no vote while the voters that the larger quorum needs are not in reach") {
  Leader leader({.promote_every_ticks = 1});
  leader.has_all(2);
  leader.driver->on_peer_silent(NodeId(3));
  leader.driver->on_peer_disconnected(NodeId(2));
  leader.has_all(4);
  leader.tick();
  CHECK_FALSE(leader.learner_has_vote());  // it would take three of four, and there are two
  leader.has_all(2);
  leader.has_all(4);
  leader.tick();
  CHECK(leader.learner_has_vote());
}

TEST_CASE("a learner that has fallen silent gets no vote, however much of the log it has") {
  Leader leader({.promote_every_ticks = 1});
  leader.has_all(2);
  leader.has_all(3);
  leader.has_all(4);
  leader.driver->on_peer_silent(kLearner);
  leader.tick();
  CHECK_FALSE(leader.learner_has_vote());
  leader.has_all(4);
  leader.tick();
  CHECK(leader.learner_has_vote());
}

namespace {

// Six entries that are in the leader's file alone; the learner has the one before them.
void leave_learner_behind(Leader& leader) {
  leader.has_all(2);
  leader.has_all(3);
  for (int i = 0; i < 6; ++i) {
    leader.propose();
    leader.has_all(2);
    leader.has_all(3);
  }
  leader.sent.clear();
  leader.reply(4, MessageKind::kAppendReply, leader.raft().term(), LogIndex(1));
}

}  // namespace

TEST_CASE("appends that too many others wait before, for the log's file, are sent after them") {
  Leader leader({.cache_bytes = 1, .waiting_appends_max = 2, .promote_every_ticks = 1000});
  leave_learner_behind(leader);
  CHECK(leader.driver->appends_dropped() == 4);
  leader.answer_read(2);
  CHECK(leader.sent == std::vector<std::uint64_t>{2, 3});
  leader.answer_read(2);
  leader.answer_read(2);
  // Without a word from the learner: nothing was lost.
  CHECK(leader.sent == std::vector<std::uint64_t>{2, 3, 4, 5, 6, 7});
}

TEST_CASE(
    "of an append of which one read finds the beginning the rest is sent after the next read") {
  Leader leader({.cache_bytes = 1, .promote_every_ticks = 1000}, 6);
  leave_learner_behind(leader);
  leader.answer_read(2);
  leader.answer_read(3);
  CHECK(leader.sent == std::vector<std::uint64_t>{2, 3, 4, 5, 6});
  leader.answer_read(1);
  CHECK(leader.sent == std::vector<std::uint64_t>{2, 3, 4, 5, 6, 7});
}

TEST_CASE("appends whose entries were cut from the file while they were read are sent again") {
  Leader leader({.cache_bytes = 1, .waiting_appends_max = 2, .promote_every_ticks = 1000});
  leave_learner_behind(leader);
  const auto cut = leader.asked;
  leader.driver->on_log_read(cut.first, wire::fail(wire::ErrorCode::kNotFound, "cut"));
  leader.run();
  CHECK(leader.sent.empty());
  CHECK(leader.asked.first != cut.first);
  CHECK(leader.asked.second == cut.second);
  for (int i = 0; i < 3; ++i) leader.answer_read(2);
  CHECK(leader.sent == std::vector<std::uint64_t>{2, 3, 4, 5, 6, 7});
}

TEST_CASE("an append that would be too much when decompressed leaves in several") {
  constexpr std::size_t kValue = 600U << 10;
  constexpr std::size_t kEntries = 2 * (kAppendDecodedBytesMax / kValue);
  wire::EventEncoder encoder;
  const std::string value(kValue, 'x');
  Leader leader({.promote_every_ticks = 1000}, kEntries);
  leader.has_all(2);
  leader.has_all(4);
  leader.appends.clear();
  leader.sent.clear();
  for (std::size_t i = 0; i < kEntries; ++i) {
    const auto place = leader.driver->raft().next_proposal();
    wire::EntryBuilder builder;
    builder.add_event(encoder.encode({.body = wire::ConfigSet{.key = "k", .value = value}}));
    REQUIRE(
        leader.driver->propose(builder.seal({test_options().cluster, place.term, place.index, 1})));
  }
  leader.run();
  CHECK(leader.appends.size() == 2);
  for (const PeerMessage& append : leader.appends) {
    REQUIRE(append.payload.size() == append.entries.size());
    CHECK(entries_in_one_append(append.payload) == append.payload.size());
    CHECK(append.log_index + 1 == append.entries.front().index);
  }
  REQUIRE(leader.sent.size() == kEntries);
  CHECK(std::is_sorted(leader.sent.begin(), leader.sent.end()));
}

TEST_CASE("what there is no room for is logged and committed, and applied when there is room") {
  Leader leader({.promote_every_ticks = 1000});
  leader.has_all(2);
  const LogIndex before = leader.raft().applied();
  leader.room = 2;
  for (int i = 0; i < 5; ++i) leader.propose();
  leader.has_all(2);
  CHECK(leader.raft().durable_index() == before + 5);
  CHECK(leader.raft().commit() == before + 5);
  CHECK(leader.raft().applied() == before + 2);
  CHECK_FALSE(leader.driver->has_more_work());  // no turn helps before there is room
  leader.run();
  CHECK(leader.raft().applied() == before + 2);
  leader.room = 1000;
  leader.run();
  CHECK(leader.raft().applied() == before + 5);
}

TEST_CASE("a turn applies for so long, one entry at least, and the next one goes on") {
  Leader leader({.apply_us_per_turn = 1000, .promote_every_ticks = 1000});
  leader.has_all(2);
  const LogIndex before = leader.raft().applied();
  for (int i = 0; i < 5; ++i) leader.propose();
  leader.apply_us = 500;
  leader.has_all(2);
  CHECK(leader.raft().commit() == before + 5);
  CHECK(leader.raft().applied() == before + 2);
  CHECK(leader.driver->has_more_work());
  leader.apply_us = 10'000;
  leader.run();
  CHECK(leader.raft().applied() == before + 3);
  leader.apply_us = 0;
  leader.run();
  CHECK(leader.raft().applied() == before + 5);
  CHECK_FALSE(leader.driver->has_more_work());
}

TEST_CASE("a turn answers confirmed reads for so long, one at least, and the next one goes on") {
  Leader leader({.reads_us_per_turn = 1000, .promote_every_ticks = 1000});
  leader.has_all(2);
  leader.ask_for_reads(5);
  CHECK(leader.reads_answered == 0);
  leader.read_us = 500;
  leader.confirm_reads();
  CHECK(leader.reads_answered == 2);
  CHECK(leader.driver->has_more_work());
  leader.read_us = 10'000;
  REQUIRE(leader.driver->run_effects());  // nothing has come since
  CHECK(leader.reads_answered == 3);
  leader.read_us = 0;
  REQUIRE(leader.driver->run_effects());
  CHECK(leader.reads_answered == 5);
  CHECK_FALSE(leader.driver->has_more_work());
}

TEST_CASE("reads that a turn has left are answered although nothing can be applied") {
  Leader leader({.reads_us_per_turn = 1000, .promote_every_ticks = 1000});
  leader.has_all(2);
  leader.ask_for_reads(5);
  leader.read_us = 10'000;
  leader.confirm_reads();
  CHECK(leader.reads_answered == 1);
  leader.room = 0;
  leader.propose();
  leader.has_all(2);
  CHECK(leader.raft().commit() > leader.raft().applied());
  for (int i = 0; i < 5; ++i) REQUIRE(leader.driver->run_effects());
  CHECK(leader.reads_answered == 5);
  CHECK_FALSE(leader.driver->has_more_work());
}

TEST_CASE("a follower that has no room for rows acknowledges all the same") {
  struct Full final : LogSink, QuietPeers, QuietApplier, QuietSnapshots {
    void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
      written = write.append_sequence;
    }
    void read(std::uint64_t, LogIndex, LogIndex, std::size_t) override {}
    void send(const PeerMessage& message) override {
      if (message.kind == MessageKind::kAppendReply) acknowledged = message.match;
    }
    bool takes_more() const override { return false; }
    std::uint64_t written = 0;
    LogIndex acknowledged;
  } sides;
  QuietClock clock;
  consensus::RaftConfig config;
  config.self = kSelf;
  config.own_log = 100 + kSelf.value();
  consensus::Restored restored;
  restored.hard_state.term = Term(1);
  restored.memberships = {{LogIndex(), three_and_a_learner()}};
  RaftDriver driver(config, restored, {}, sides, sides, sides, sides, clock);
  driver.on_message(append_of(NodeId(2), kSelf, 1, 10, 8));
  REQUIRE(driver.run_effects());
  driver.on_durable(sides.written);
  REQUIRE(driver.run_effects());
  CHECK(sides.acknowledged == LogIndex(10));
  CHECK(driver.raft().commit() == LogIndex(8));
  CHECK(driver.raft().applied() == LogIndex());
}

}  // namespace bib::engine
