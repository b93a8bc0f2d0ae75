// A stream of events against nodes that go away, do not lead, have no quorum, or refuse.
#include "cli/commands/event_stream.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <deque>

#include "fake_node.h"
#include "run.h"

using namespace bib;
using namespace bib::test;
using namespace std::chrono_literals;
using wire::ErrorCode;
using wire::FrameKind;
using wire::LogIndex;
using wire::Position;

namespace {

// A reply with events of one entry each, from `first` to `last`; none when `last` is below `first`.
Answer events(std::uint64_t first, std::uint64_t last, bool end = false) {
  static const std::vector<std::uint8_t> kBytes(16, 1);
  wire::EventsReply message;
  for (std::uint64_t index = first; index <= last; ++index) {
    message.events.push_back({{LogIndex(index), 0}, wire::Term(1), 1000, kBytes});
  }
  message.next = {LogIndex(last + 1), 0};
  message.end = end;
  wire::ClientEncoder encoder;
  return reply(FrameKind::kEventsReply, encoder.encode(message));
}

Answer then_dropped(Answer answer) {
  answer.drop_after = true;
  return answer;
}

// One answer after another; afterwards always the last one.
FakeNode::Handler in_turn(std::vector<Answer> answers) {
  auto left = std::make_shared<std::deque<Answer>>(answers.begin(), answers.end());
  return [left](const Received&) {
    const Answer answer = left->front();
    if (left->size() > 1) left->pop_front();
    return answer;
  };
}

// One run of stream_events() from a node.
struct Run {
  explicit Run(const FakeNode& node, wire::ReadEvents request = {},
               std::chrono::milliseconds timeout = 10s, std::size_t stop_after = SIZE_MAX) {
    Session session({});
    session.context().servers = {node.address()};
    session.context().timeout = timeout;
    result = cli::stream_events(session.context(), request, [&](const wire::LoggedEvent& event) {
      seen.push_back(event.position.index.value());
      return seen.size() < stop_after;
    });
  }

  wire::Result<Position> result;
  std::vector<std::uint64_t> seen;
};

using Seen = std::vector<std::uint64_t>;

wire::ReadEvents request_of(const Received& received) {
  const auto request = wire::decode_read_events(received.body);
  REQUIRE(request);
  return *request;
}

}  // namespace

TEST_CASE("an event stream continues on another connection, after the last event") {
  FakeNode other(2, [](const Received&) { return events(4, 5, true); });
  FakeNode node(1, [](const Received&) { return then_dropped(events(1, 3)); });
  node.set_members({node.address(), other.address()});
  const Run run(node, {.from = {LogIndex(1), 0}});
  REQUIRE(run.result);
  CHECK(run.seen == Seen{1, 2, 3, 4, 5});
  CHECK(*run.result == Position{LogIndex(6), 0});
  REQUIRE(node.received().size() == 1);
  REQUIRE(other.received().size() == 1);
  CHECK(request_of(node.received()[0]).from == Position{LogIndex(1), 0});
  CHECK(request_of(other.received()[0]).from == Position{LogIndex(4), 0});
}

TEST_CASE("an event stream with one node continues when that node comes back") {
  FakeNode node(1, in_turn({then_dropped(events(1, 2)), dropped(), dropped(), events(3, 3, true)}));
  const Run run(node, {.from = {LogIndex(1), 0}});
  REQUIRE(run.result);
  CHECK(run.seen == Seen{1, 2, 3});
  CHECK(node.received().size() == 4);
}

TEST_CASE("the limit of an event stream counts across lost connections") {
  FakeNode other(2, [](const Received&) { return events(4, 9); });
  FakeNode node(1, [](const Received&) { return then_dropped(events(1, 3)); });
  node.set_members({other.address()});
  const Run run(node, {.from = {LogIndex(1), 0}, .limit = 5});
  REQUIRE(run.result);
  CHECK(run.seen == Seen{1, 2, 3, 4, 5});
  CHECK(*run.result == Position{LogIndex(5), 1});
  CHECK(request_of(other.received()[0]).limit == 2);
}

TEST_CASE("a follower of events survives lost connections until it has seen enough") {
  FakeNode node(1, in_turn({then_dropped(events(1, 1)), then_dropped(events(2, 2)), events(3, 3)}));
  const Run run(node, {.from = {LogIndex(1), 0}, .follow = true}, 10s, 3);
  REQUIRE(run.result);
  CHECK(run.seen == Seen{1, 2, 3});
  for (const Received& received : node.received()) CHECK(request_of(received).follow);
}

TEST_CASE("events that two nodes lose with their connection are not asked of a third") {
  const bool follow = GENERATE(false, true);
  const bool begins_well = GENERATE(false, true);
  FakeNode first(
      1, [&](const Received&) { return begins_well ? then_dropped(events(1, 3)) : dropped(); });
  FakeNode second(2, [](const Received&) { return dropped(); });
  FakeNode third(3, [](const Received&) { return dropped(); });
  first.set_members({first.address(), second.address(), third.address()});
  const Run run(first, {.from = {LogIndex(1), 0}, .follow = follow});
  REQUIRE_FALSE(run.result);
  CHECK(run.result.error().code == ErrorCode::kIo);
  const std::string& message = run.result.error().message;
  INFO(message);
  const FakeNode& other = second.received().empty() ? third : second;
  CHECK(message.find(first.address()) != std::string::npos);
  CHECK(message.find(other.address()) != std::string::npos);
  CHECK(message.find("bib cluster status") != std::string::npos);
  CHECK(run.seen.size() == (begins_well ? 3 : 0));
  CHECK(second.received().size() + third.received().size() == 1);
}

TEST_CASE("who follows and has everything goes on, however many nodes go away") {
  std::atomic<int> asked = 0;
  const auto handler = [&](const Received&) {
    return ++asked <= 3 ? then_dropped(events(1, 0)) : events(1, 1);
  };
  FakeNode first(1, handler);
  FakeNode second(2, handler);
  FakeNode third(3, handler);
  first.set_members({first.address(), second.address(), third.address()});
  const Run run(first, {.from = {LogIndex(1), 0}, .follow = true}, 10s, 1);
  REQUIRE(run.result);
  CHECK(run.seen == Seen{1});
  CHECK(asked == 4);
}

TEST_CASE("a node that takes every connection and loses it is given up after the timeout") {
  const bool follow = GENERATE(false, true);
  FakeNode node(1, [](const Received&) { return dropped(); });
  const Run run(node, {.from = {LogIndex(1), 0}, .follow = follow}, 300ms);
  REQUIRE_FALSE(run.result);
  CHECK(run.result.error().code == ErrorCode::kIo);
  CHECK(run.seen.empty());
  // With waiting times, not as fast as the network allows.
  CHECK(node.received().size() > 1);
  CHECK(node.received().size() < 100);
}

TEST_CASE("a node that cannot confirm a read is asked again, and its word is the last one") {
  FakeNode late(1, in_turn({refused(ErrorCode::kNoQuorum, "no leader"), events(1, 1, true)}));
  CHECK(Run(late, {.from = {LogIndex(1), 0}}).seen == Seen{1});

  FakeNode never(1, [](const Received&) { return refused(ErrorCode::kNoQuorum, "no leader"); });
  const Run run(never, {.from = {LogIndex(1), 0}}, 300ms);
  REQUIRE_FALSE(run.result);
  CHECK(run.result.error().code == ErrorCode::kNoQuorum);
  CHECK(run.result.error().message == "no leader");
  CHECK(never.received().size() > 1);

  // The other members are down.
  FakeNode last(1, [](const Received&) { return refused(ErrorCode::kNoQuorum, "no leader"); });
  last.set_members({last.address(), FakeNode(7).address(), FakeNode(8).address()});
  const Run alone(last, {.from = {LogIndex(1), 0}}, 300ms);
  REQUIRE_FALSE(alone.result);
  CHECK(alone.result.error().code == ErrorCode::kNoQuorum);
}

TEST_CASE("who wants the leader's events is sent on to the leader") {
  const wire::ReadEvents request{.from = {LogIndex(1), 0},
                                 .consistency = wire::Consistency::kLeader};
  FakeNode leader(1, [](const Received&) { return events(1, 2, true); });
  FakeNode follower(2);
  follower.set_leader(leader.id(), leader.address());
  CHECK(Run(follower, request).seen == Seen{1, 2});
  CHECK(follower.received().empty());

  FakeNode deposed(3, [&](const Received&) {
    return refused(ErrorCode::kNotLeader, "ask the leader", leader.address());
  });
  CHECK(Run(deposed, request).seen == Seen{1, 2});
  CHECK(deposed.received().size() == 1);

  FakeNode alone(4);
  alone.set_no_leader();
  const Run run(alone, request, 300ms);
  REQUIRE_FALSE(run.result);
  CHECK(run.result.error().code == ErrorCode::kNoQuorum);
}

TEST_CASE("a refused stream is refused at once") {
  FakeNode node(1, [](const Received&) { return refused(ErrorCode::kInvalid, "not so"); });
  const Run run(node);
  REQUIRE_FALSE(run.result);
  CHECK(run.result.error().code == ErrorCode::kInvalid);
  CHECK(node.received().size() == 1);
}

TEST_CASE("bib events list asks for the consistency that the user names, and tail for none") {
  FakeNode node(1, [](const Received&) { return events(1, 0, true); });
  const auto asked = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server", node.address()});
    Session session(arguments);
    INFO(session.err());
    CHECK(session.run() == 0);
    return request_of(node.received().back()).consistency;
  };
  using wire::Consistency;
  CHECK(asked({"events", "list"}) == Consistency::kLinearizable);
  CHECK(asked({"--consistency", "leader", "events", "list"}) == Consistency::kLeader);
  CHECK(asked({"events", "list", "--consistency", "stale"}) == Consistency::kStale);
  CHECK(asked({"events", "tail", "--from", "1:0"}) == Consistency::kStale);
}

TEST_CASE("bib events tail prints its heading before there is an event, and list with the first") {
  FakeNode node(1, [](const Received&) { return events(1, 0, true); });  // none, and the end
  const auto printed = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server", node.address()});
    Session session(arguments);
    CHECK(session.run() == 0);
    return session.out();
  };
  CHECK(printed({"events", "tail", "--from", "1:0"}).rfind("POSITION ", 0) == 0);
  CHECK(printed({"events", "tail", "--from", "1:0", "-o", "json"}).empty());
  CHECK(printed({"events", "list"}).empty());
}
