// The client against nodes that lead, follow, vanish, stay silent, are overloaded, or are no nodes.
#include "cli/client/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "cli/commands/event_stream.h"
#include "fake_node.h"
#include "run.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::test;
using namespace std::chrono_literals;
using wire::ErrorCode;
using wire::FrameKind;

namespace {

cli::ClientOptions options_for(std::initializer_list<const FakeNode*> nodes) {
  cli::ClientOptions options;
  for (const FakeNode* node : nodes) options.servers.push_back(node->server());
  options.timeout = 10s;
  options.try_timeout = 300ms;
  return options;
}

cli::Completion set_key(cli::Client& client) {
  return client.call(wire::SetConfig{"key", "value"});
}

wire::CommandReply decoded(const cli::Completion& completion) {
  REQUIRE(completion.reply);
  auto reply = wire::decode_command_reply(completion.reply->body.view());
  REQUIRE(reply);
  return *reply;
}

// A port of this machine on which nobody listens.
cli::ServerAddress dead_server() {
  FakeNode node(99);
  return node.server();
}

// Does something else with the first request than with the others.
FakeNode::Handler first_then(Answer first, Answer others) {
  auto count = std::make_shared<std::atomic<int>>(0);
  return [count, first = std::move(first), others = std::move(others)](const Received&) {
    return count->fetch_add(1) == 0 ? first : others;
  };
}

}  // namespace

TEST_CASE("a command reaches the node that leads, and its answer comes back") {
  FakeNode node(1, [](const Received&) { return accepted(5); });
  cli::Client client(options_for({&node}));
  REQUIRE(decoded(set_key(client)).revision == wire::Revision(5));

  auto received = node.received();
  REQUIRE(received.size() == 1);
  auto command = wire::decode_command(received[0].body);
  REQUIRE(command);
  REQUIRE(command->sequence.value() == 1);
  REQUIRE_FALSE(command->client.is_none());
  REQUIRE(std::get<wire::SetConfig>(command->body).value == "value");
  REQUIRE(client.server()->cluster_name == "test-cluster");
}

TEST_CASE("a follower's greeting sends the client to the leader") {
  FakeNode leader(1);
  FakeNode follower(2);
  follower.set_leader(leader.id(), leader.address());
  cli::Client client(options_for({&follower}));
  decoded(set_key(client));
  REQUIRE(leader.received().size() == 1);
  REQUIRE(follower.received().empty());
}

TEST_CASE("a refusal as not leader takes the same bytes to the leader that it names") {
  FakeNode leader(1);
  FakeNode old(2, [&](const Received&) {
    return refused(ErrorCode::kNotLeader, "ask the leader", leader.address());
  });
  cli::Client client(options_for({&old}));
  decoded(set_key(client));
  REQUIRE(old.received().size() == 1);
  REQUIRE(leader.received().size() == 1);
  REQUIRE(old.received()[0].body == leader.received()[0].body);
}

TEST_CASE("after a dropped connection the same bytes go to another member") {
  FakeNode other(2);
  FakeNode node(1, [](const Received&) { return dropped(); });
  node.set_members({node.address(), other.address()});
  cli::Client client(options_for({&node}));
  decoded(set_key(client));
  REQUIRE(node.received().size() == 1);
  REQUIRE(other.received().size() == 1);
  REQUIRE(node.received()[0].body == other.received()[0].body);
}

TEST_CASE("a node that stays silent is left for another member") {
  FakeNode other(2);
  FakeNode silent(1, [](const Received&) { return silence(); });
  silent.set_members({other.address()});
  cli::Client client(options_for({&silent}));
  decoded(set_key(client));
  REQUIRE(silent.received()[0].body == other.received()[0].body);
}

TEST_CASE("a leader that falls silent is left for the later one that another node names") {
  FakeNode next(3);
  next.set_leader(next.id(), next.address(), wire::Term(8));
  FakeNode follower(2);
  follower.set_leader(next.id(), next.address(), wire::Term(8));
  FakeNode silent(1, [](const Received&) { return silence(); });
  silent.set_leader(silent.id(), silent.address(), wire::Term(7));
  silent.set_members({silent.address(), follower.address()});
  cli::ClientOptions options = options_for({&silent});
  options.timeout = 60s;
  options.try_timeout = 60s;  // not by waiting for the end of this
  cli::Client client(options);
  decoded(set_key(client));
  REQUIRE(silent.received().size() == 1);
  REQUIRE(silent.received()[0].body == next.received()[0].body);
  REQUIRE(client.server()->node == next.id());
}

TEST_CASE("a leader that is only slow keeps its request while the others still name it") {
  std::atomic<bool> asked = false;
  FakeNode follower(2);
  FakeNode slow(1, [&](const Received&) {
    // Until somebody else has been asked who leads.
    (void)support::wait_until([&] { return follower.greetings() > 0; }, 20s);
    asked = true;
    return accepted();
  });
  follower.set_leader(slow.id(), slow.address());
  slow.set_members({slow.address(), follower.address()});
  cli::ClientOptions options = options_for({&slow});
  options.timeout = 60s;
  options.try_timeout = 60s;
  cli::Client client(options);
  decoded(set_key(client));
  REQUIRE(asked);
  REQUIRE(slow.received().size() == 1);
  REQUIRE(follower.received().empty());
}

TEST_CASE("a node that does not even greet holds nobody up") {
  // The kernel completes the connection; nobody ever reads from it.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&name), size) == 0);
  REQUIRE(::listen(listener, 8) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  FakeNode node(1);
  cli::ClientOptions options = options_for({&node});
  options.servers.insert(
      options.servers.begin(),
      cli::parse_server_address("127.0.0.1:" + std::to_string(::ntohs(name.sin_port))).value());
  options.timeout = 60s;
  options.try_timeout = 60s;
  cli::Client client(options);
  decoded(set_key(client));
  REQUIRE(client.server()->node == node.id());
  ::close(listener);
}

TEST_CASE("a leader of an earlier term is no longer believed") {
  FakeNode old(1);
  FakeNode next(2);
  next.set_leader(next.id(), next.address(), wire::Term(8));
  old.set_leader(old.id(), old.address(), wire::Term(7));
  FakeNode follower(3);
  follower.set_leader(next.id(), next.address(), wire::Term(8));
  cli::Client client(options_for({&follower, &old}));
  decoded(set_key(client));
  REQUIRE(next.received().size() == 1);
  REQUIRE(old.received().empty());
}

TEST_CASE("a node that shuts down, has no quorum or is late is left for another member") {
  auto code = GENERATE(ErrorCode::kShuttingDown, ErrorCode::kNoQuorum, ErrorCode::kTimeout);
  FakeNode other(2);
  FakeNode node(1, [=](const Received&) { return refused(code, "not now"); });
  node.set_members({node.address(), other.address()});
  cli::Client client(options_for({&node}));
  decoded(set_key(client));
  REQUIRE(node.received()[0].body == other.received()[0].body);
}

TEST_CASE("an overloaded node is asked again with the same bytes, on the same connection") {
  FakeNode node(1, first_then(refused(ErrorCode::kOverloaded, "too much"), accepted()));
  cli::Client client(options_for({&node}));
  decoded(set_key(client));
  REQUIRE(node.received().size() == 2);
  REQUIRE(node.received()[0].body == node.received()[1].body);
  REQUIRE(node.greetings() == 1);
}

TEST_CASE("an overloaded cluster is not said to have refused what an earlier try may have done") {
  const ErrorCode first = GENERATE(ErrorCode::kTimeout, ErrorCode::kOverloaded);
  FakeNode other(2, [](const Received&) { return refused(ErrorCode::kOverloaded, "too much"); });
  FakeNode node(1, [=](const Received&) { return refused(first, "not now"); });
  node.set_members({node.address(), other.address()});
  auto options = options_for({&node});
  options.timeout = 300ms;
  cli::Client client(options);
  CHECK(mentions(set_key(client), "earlier try may") == (first == ErrorCode::kTimeout));
}

TEST_CASE("a refusal by a rule is the answer and is not tried again") {
  FakeNode node(1, [](const Received&) { return refused(ErrorCode::kRefused, "it is archived"); });
  cli::Client client(options_for({&node}));
  cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  REQUIRE(completion.reply.error().code == ErrorCode::kRefused);
  REQUIRE(completion.reply.error().message == "it is archived");
  REQUIRE(node.received().size() == 1);
}

TEST_CASE("a request beyond what a node takes is refused here, and the others are sent") {
  FakeNode node(1);
  cli::ClientOptions options = options_for({&node});
  options.inflight_max = 3;
  cli::Client client(options);
  std::string huge(17U << 20, 'x');
  client.submit(wire::SetConfig{"a", "small"});
  client.submit(wire::SetConfig{"b", huge});
  client.submit(wire::SetConfig{"c", "small"});
  std::vector<cli::Completion> completions;
  while (client.inflight() > 0) client.poll(cli::Clock::now() + 5s, completions);
  REQUIRE(completions.size() == 3);
  REQUIRE(completions[0].ticket == 2);
  REQUIRE(completions[0].reply.error().code == ErrorCode::kInvalid);
  REQUIRE(node.received().size() == 2);
}

TEST_CASE("where nobody listens the client says so at once") {
  cli::ClientOptions options;
  options.servers = {dead_server()};
  options.timeout = 60s;
  cli::Client client(options);
  auto begin = cli::Clock::now();
  cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  REQUIRE(completion.reply.error().code == ErrorCode::kIo);
  REQUIRE(mentions(completion, "refused"));
  REQUIRE(cli::Clock::now() - begin < 30s);
}

TEST_CASE("the next server is tried when the first one is dead") {
  FakeNode node(1);
  cli::ClientOptions options = options_for({&node});
  options.servers.insert(options.servers.begin(), dead_server());
  cli::Client client(options);
  decoded(set_key(client));
}

TEST_CASE("a cluster without a leader is asked until the timeout, and then that is said") {
  FakeNode node(1);
  node.set_no_leader();
  cli::ClientOptions options = options_for({&node});
  options.timeout = 300ms;
  cli::Client client(options);
  cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  REQUIRE(completion.reply.error().code == ErrorCode::kNoQuorum);
  REQUIRE(node.greetings() > 1);
  REQUIRE(node.received().empty());
}

TEST_CASE(
    "a cluster of which only a follower is left has no leader, which is not a lost connection") {
  FakeNode node(1);
  node.set_no_leader();
  node.set_members({node.address(), to_string(dead_server()), to_string(dead_server())});
  cli::ClientOptions options = options_for({&node});
  options.timeout = 500ms;
  cli::Client client(options);
  cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  CHECK(completion.reply.error().code == ErrorCode::kNoQuorum);
  // Nobody was sent the command.
  CHECK_FALSE(mentions(completion, "unknown"));
}

TEST_CASE("a command that was sent to a leader that then vanished has an unknown outcome") {
  FakeNode follower(2);
  follower.set_no_leader();
  FakeNode leader(1, [&](const Received&) {
    leader.set_no_leader();
    return dropped();
  });
  leader.set_members({follower.address()});
  cli::ClientOptions options = options_for({&leader});
  options.timeout = 500ms;
  cli::Client client(options);
  cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  CHECK(completion.reply.error().code == ErrorCode::kNoQuorum);
  CHECK(mentions(completion, "the outcome is unknown"));
}

TEST_CASE("a read without an answer has no outcome to be unsure of") {
  FakeNode node(1, [](const Received&) { return silence(); });
  cli::ClientOptions options = options_for({&node});
  options.timeout = 300ms;
  options.try_timeout = 100ms;
  cli::Client client(options);
  cli::Completion completion = client.call(wire::Query{});
  REQUIRE_FALSE(completion.reply);
  CHECK(completion.reply.error().code == ErrorCode::kTimeout);
  CHECK_FALSE(mentions(completion, "outcome"));
}

TEST_CASE("an address of the leader at which another node answers is named, with who answers") {
  FakeNode follower(2);
  follower.set_leader(wire::NodeId(1), follower.address());
  cli::ClientOptions options = options_for({&follower});
  options.timeout = 300ms;
  cli::Client client(options);
  const cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  CHECK(completion.reply.error().code == ErrorCode::kNoQuorum);
  const std::string& message = completion.reply.error().message;
  INFO(message);
  CHECK(message.find("node 0000000000000002 answers there and not 0000000000000001") !=
        std::string::npos);
  CHECK(message.find("api.advertise_addr") != std::string::npos);
}

TEST_CASE("nodes that send the client in circles do not hold it without end") {
  FakeNode a(1);
  FakeNode b(2);
  a.set_leader(b.id(), b.address());
  b.set_leader(a.id(), a.address());
  cli::ClientOptions options = options_for({&a, &b});
  options.timeout = 300ms;
  cli::Client client(options);
  REQUIRE(set_key(client).reply.error().code == ErrorCode::kNoQuorum);
  // With waiting times, not as fast as the network allows.
  REQUIRE(a.greetings() + b.greetings() < 200);
}

TEST_CASE(
    "a request without an answer ends with the timeout, and says that the outcome is unknown") {
  FakeNode node(1, [](const Received&) { return silence(); });
  cli::ClientOptions options = options_for({&node});
  options.timeout = 300ms;
  options.try_timeout = 100ms;
  cli::Client client(options);
  cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  REQUIRE(completion.reply.error().code == ErrorCode::kTimeout);
  REQUIRE(mentions(completion, "outcome is unknown"));
  auto received = node.received();
  REQUIRE(received.size() > 1);
  REQUIRE(received.front().body == received.back().body);
}

TEST_CASE("what does not speak the protocol is named as such") {
  FakeNode node(1);
  node.set_garbage("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  cli::Client client(options_for({&node}));
  cli::Completion completion = set_key(client);
  REQUIRE_FALSE(completion.reply);
  REQUIRE(completion.reply.error().code == ErrorCode::kUnsupported);
}

TEST_CASE("a member of another cluster is never sent a command") {
  FakeNode stranger(2);
  stranger.set_cluster(9);
  FakeNode node(1, first_then(dropped(), accepted()));
  node.set_members({stranger.address()});
  cli::Client client(options_for({&node}));
  decoded(set_key(client));
  REQUIRE(stranger.received().empty());
  REQUIRE(node.received().size() == 2);
}

TEST_CASE("unanswered requests are sent again in their order after a reconnect") {
  std::atomic<int> count = 0;
  FakeNode node(1, [&](const Received&) { return ++count <= 5 ? silence() : dropped(); });
  FakeNode other(2);
  node.set_members({other.address()});
  cli::ClientOptions options = options_for({&node});
  options.inflight_max = 6;
  cli::Client client(options);
  for (int i = 0; i < 6; ++i) client.submit(wire::SetConfig{fmt::format("key{}", i), "value"});
  REQUIRE_FALSE(client.can_submit());

  std::vector<cli::Completion> completions;
  while (client.inflight() > 0) client.poll(cli::Clock::now() + 5s, completions);
  REQUIRE(completions.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    decoded(completions[i]);
    REQUIRE(completions[i].ticket == i + 1);
  }
  auto first = node.received();
  auto second = other.received();
  REQUIRE(second.size() == 6);
  for (std::size_t i = 0; i < first.size(); ++i) REQUIRE(first[i].body == second[i].body);
}

TEST_CASE("answers may come in another order than the requests") {
  std::vector<std::uint64_t> ids;
  FakeNode node(1, [&](const Received& request) {
    // The first stays without an answer, until the client asks again elsewhere.
    return request.id == 1 ? silence() : accepted(request.id);
  });
  FakeNode other(2, [](const Received& request) { return accepted(request.id); });
  node.set_members({other.address()});
  cli::ClientOptions options = options_for({&node});
  options.inflight_max = 3;
  cli::Client client(options);
  for (int i = 0; i < 3; ++i) client.submit(wire::SetConfig{"key", "value"});
  std::vector<cli::Completion> completions;
  while (client.inflight() > 0) client.poll(cli::Clock::now() + 5s, completions);
  REQUIRE(completions.size() == 3);
  REQUIRE(completions.back().ticket == 1);
  for (const auto& completion : completions) {
    REQUIRE(decoded(completion).revision.value() == completion.ticket);
  }
  REQUIRE(other.received().size() == 1);  // what was answered is not sent again
}

TEST_CASE("a command says below which sequence the client has all its answers") {
  FakeNode node(1);
  cli::Client client(options_for({&node}));
  for (int i = 0; i < 3; ++i) decoded(set_key(client));
  std::uint64_t sequence = 0;
  for (const Received& request : node.received()) {
    auto command = wire::decode_command(request.body);
    REQUIRE(command->sequence.value() == ++sequence);
    REQUIRE(command->acknowledged_below.value() == sequence);
  }
}

TEST_CASE("a client that takes any node stays with a follower") {
  FakeNode leader(1);
  FakeNode follower(2, [](const Received&) {
    wire::ClientEncoder encoder;
    return reply(FrameKind::kQueryReply, encoder.encode(wire::QueryReply{}));
  });
  follower.set_leader(leader.id(), leader.address());
  cli::ClientOptions options = options_for({&follower});
  options.to_leader = false;
  cli::Client client(options);
  wire::Query query;
  query.consistency = wire::Consistency::kStale;
  REQUIRE(client.call(query).reply);
  REQUIRE(leader.greetings() == 0);
}
