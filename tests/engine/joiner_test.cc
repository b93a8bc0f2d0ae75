// What a new node says while nobody lets it in: for each reason what is wrong and what to do, once
// and then now and then.
#include "engine/uv/joiner.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/uv/client_server.h"
#include "lines.h"
#include "support/test_support.h"
#include "wire/base/address.h"

using namespace bib;
using namespace bib::engine;
using Catch::Matchers::Contains;
using wire::ErrorCode;

namespace {

constexpr std::uint64_t kNever = 3'600'000;

JoinerPace quick() {
  JoinerPace pace;
  pace.pauses = {.shortest_ms = 1, .longest_ms = 4, .lasting_ms = 0};
  pace.look_ms = 5;
  pace.patience_ms = 20;
  pace.answer_timeout_ms = 60;
  pace.reminder_ms = kNever;
  return pace;
}

// A node that asks, until the test has seen enough.
struct Asking {
  EventLoop loop;
  Lines logger;
  std::unique_ptr<Joiner> joiner;
  std::optional<wire::Result<wire::JoinReply>> answer;
  std::unique_ptr<Timer> deadline = std::make_unique<Timer>(loop, [this] { end(); });
  std::function<bool()> step;
  std::function<void()> clean_up = [] {};
  bool timed_out = true;

  void ask(std::vector<std::string> addresses, JoinerPace pace) {
    wire::JoinRequest request;
    request.cluster_name = "papers";
    request.token = "secret";
    request.node.id = wire::NodeId(9);
    request.node.raft_address = "127.0.0.1:1";
    request.node.api_address = "127.0.0.1:2";
    joiner = std::make_unique<Joiner>(
        loop, logger, std::move(request), std::move(addresses),
        [this](wire::Result<wire::JoinReply> reply) {
          answer = std::move(reply);
          loop.continue_soon();
        },
        pace);
  }
  void run() {
    deadline->start(20'000, 0);
    loop.set_turn_handler([this] {
      loop.continue_soon();
      if (!joiner || !step()) return;
      timed_out = false;
      end();
    });
    REQUIRE(loop.run());
    CHECK_FALSE(timed_out);
  }
  void end() {
    joiner.reset();
    deadline.reset();
    clean_up();
    loop.stop();
  }
};

// Takes connections, and does with what comes on them what the test says.
struct Answering final : Connection::Handler {
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Connection>> connections;
  std::function<void(Connection&)> answer = [](Connection&) {};
  std::size_t asked = 0;

  explicit Answering(EventLoop& loop) : listener(Listener::open(loop, "127.0.0.1:0").value()) {
    listener->serve(ConnectionLimits{}, [this](std::unique_ptr<Connection> incoming) {
      connections.push_back(std::move(incoming));
      connections.back()->start(this);
    });
  }
  void on_frame(wire::Frame&&) override {
    ++asked;
    answer(*connections.back());
  }
  void on_closed(const wire::Error&) override {}
};

// A server of something else: whatever comes is answered with bytes that differ each time.
class Rubbish {
 public:
  Rubbish() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = reinterpret_cast<sockaddr*>(&name);
    socklen_t size = sizeof name;
    REQUIRE(::bind(fd_, address, size) == 0);
    REQUIRE(::listen(fd_, 8) == 0);
    REQUIRE(::getsockname(fd_, address, &size) == 0);
    port_ = ntohs(name.sin_port);
  }
  ~Rubbish() { ::close(fd_); }
  Rubbish(const Rubbish&) = delete;
  Rubbish& operator=(const Rubbish&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::size_t taken() const { return taken_; }
  void take() {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::string bytes = std::to_string(++taken_) + " HTTP/1.1 400 Bad Request of some length";
    (void)::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ::close(fd);
  }

 private:
  int fd_;
  std::uint16_t port_ = 0;
  std::size_t taken_ = 0;
};

// A member, as far as its clients' port is concerned.
struct Member final : ClientServer::Handler {
  wire::ServerHello hello() override {
    wire::ServerHello hello;
    hello.node = wire::NodeId(2);
    hello.members = {{wire::NodeId(1), "10.0.0.1:4002", "10.0.0.1:4000"},
                     {wire::NodeId(2), "10.0.0.2:4002", "10.0.0.2:4000"}};
    return hello;
  }
  void on_command(Asker, const wire::Command&) override {}
  bool takes_more_this_turn() override { return true; }
  void on_query(Asker, const wire::Query&) override {}
  void on_read_events(Asker, const wire::ReadEvents&) override {}
  void on_status(Asker) override {}
  void on_change_membership(Asker, const wire::ChangeMembership&) override {}
  void on_transfer(Asker, const wire::TransferLeadership&) override {}
  void on_snapshots(Asker, const wire::ListSnapshots&) override {}
  void on_session_end(SessionId) override {}
  void on_session_drained(SessionId) override {}
};

}  // namespace

TEST_CASE("a new node whose address to ask is dead says so, and again as long as that lasts") {
  Asking node;
  JoinerPace pace = quick();
  pace.reminder_ms = 30;
  node.ask({"127.0.0.1:1"}, pace);
  node.step = [&] { return node.logger.lines.size() >= 3; };
  node.run();
  for (const std::string& line : node.logger.lines) {
    CHECK_THAT(line, Contains("asking 127.0.0.1:1") && Contains("connection refused") &&
                         Contains("cluster 'papers'") && Contains("cluster.join_addrs") &&
                         Contains("Trying again"));
  }
}

TEST_CASE("a new node says of each address what keeps it from being answered there") {
  Asking node;
  auto silent = std::make_unique<Answering>(node.loop);
  node.clean_up = [&] { silent.reset(); };
  const std::string address = silent->listener->address();
  node.ask({address, "127.0.0.1:1"}, quick());
  node.step = [&] { return silent->asked >= 2 && node.logger.lines.size() >= 2; };
  node.run();
  CHECK(node.logger.lines.size() == 2);
  CHECK(node.logger.count("asking " + address +
                          " to let this node join: it has taken the "
                          "connection, and there is no answer yet") == 1);
  CHECK(node.logger.count("asking 127.0.0.1:1 to let") == 1);
}

TEST_CASE("a new node that is not answered gives up that connection, and says why") {
  Asking node;
  auto silent = std::make_unique<Answering>(node.loop);
  node.clean_up = [&] { silent.reset(); };
  JoinerPace pace = quick();
  pace.patience_ms = kNever;
  node.ask({silent->listener->address()}, pace);
  node.step = [&] { return silent->asked >= 3; };
  node.run();
  CHECK(node.logger.lines.size() == 1);
  CHECK(node.logger.count("it takes connections, but does not answer") == 1);
}

TEST_CASE("what rubbish a new node is answered with makes one line, whatever differs in it") {
  Asking node;
  Rubbish rubbish;
  node.ask({rubbish.address()}, quick());
  node.step = [&] {
    rubbish.take();
    return rubbish.taken() >= 10;
  };
  node.run();
  CHECK(node.logger.lines.size() == 1);
}

TEST_CASE("a new node that asks at a member's address for clients is told of the other one") {
  Asking node;
  Member member;
  ClientListeners listeners{Listener::open(node.loop, "127.0.0.1:0").value(), nullptr};
  auto clients = std::make_unique<ClientServer>(node.loop, node.logger, ClientServerOptions{},
                                                std::move(listeners), &member);
  node.clean_up = [&] { clients.reset(); };
  node.ask({clients->listen_address()}, quick());
  node.step = [&] { return node.logger.count("to let this node join") > 0; };
  node.run();
  CHECK(node.logger.count("that is the address for clients of node 0000000000000002 "
                          "(api.listen_addr); other nodes reach it at 10.0.0.2:4002") >= 1);
  CHECK(node.logger.count("cluster.join_addrs") == 1);
}

TEST_CASE("a leader that is named but cannot be reached is told of with who has named it") {
  Asking node;
  auto member = std::make_unique<Answering>(node.loop);
  node.clean_up = [&] { member.reset(); };
  member->answer = [](Connection& connection) {
    wire::JoinReply reply;
    reply.error = {ErrorCode::kNotLeader, "this node does not lead the cluster"};
    reply.leader_address = "127.0.0.1:1";
    connection.send(wire::FrameKind::kJoinReply, 0, wire::encode(reply));
    connection.flush();
  };
  const std::string address = member->listener->address();
  node.ask({address}, quick());
  node.step = [&] { return member->asked >= 5; };
  node.run();
  CHECK(node.logger.lines.size() == 1);
  CHECK(node.logger.count("asking 127.0.0.1:1 (the leader, as " + address + " says)") == 1);
}

TEST_CASE("a refusal that will not change ends the asking, and one that may does not") {
  Asking node;
  auto member = std::make_unique<Answering>(node.loop);
  node.clean_up = [&] { member.reset(); };
  member->answer = [&](Connection& connection) {
    wire::JoinReply reply;
    reply.error = {member->asked < 3 ? ErrorCode::kNoQuorum : ErrorCode::kUnauthenticated, "no"};
    connection.send(wire::FrameKind::kJoinReply, 0, wire::encode(reply));
    connection.flush();
  };
  node.ask({member->listener->address()}, quick());
  node.step = [&] { return node.answer.has_value(); };
  node.run();
  REQUIRE_FALSE(*node.answer);
  CHECK(node.answer->error().code == ErrorCode::kUnauthenticated);
  CHECK(node.logger.lines.size() == 1);
}
