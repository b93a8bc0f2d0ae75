// Reads that nodes lose, or cannot answer for want of whole rows: each may be what ends them.
#include <atomic>
#include <catch2/catch.hpp>

#include "cli/client/client.h"
#include "fake_node.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::test;
using namespace std::chrono_literals;
using wire::ErrorCode;
using wire::FrameKind;

namespace {

cli::ClientOptions options_for(const FakeNode& node) {
  cli::ClientOptions options;
  options.servers.push_back(node.server());
  options.timeout = 10s;
  options.try_timeout = 300ms;
  options.to_leader = false;
  return options;
}

Answer page() {
  wire::ClientEncoder encoder;
  return reply(FrameKind::kQueryReply, encoder.encode(wire::QueryReply{}));
}

}  // namespace

TEST_CASE("a read that two nodes lose with their connection is not taken to a third") {
  FakeNode first(1, [](const Received&) { return dropped(); });
  FakeNode second(2, [](const Received&) { return dropped(); });
  FakeNode third(3, [](const Received&) { return dropped(); });
  first.set_members({first.address(), second.address(), third.address()});
  cli::ClientOptions options = options_for(first);
  cli::Client client(options);
  const cli::Completion completion = client.call(wire::Query{});
  REQUIRE_FALSE(completion.reply);
  CHECK(completion.reply.error().code == ErrorCode::kIo);
  const std::string& message = completion.reply.error().message;
  INFO(message);
  const FakeNode& other = second.received().empty() ? third : second;
  CHECK(message.find(first.address()) != std::string::npos);
  CHECK(message.find(other.address()) != std::string::npos);
  CHECK(second.received().size() + third.received().size() == 1);
}

TEST_CASE("a read goes on past one node that goes away and others that cannot serve now") {
  std::atomic<int> asked = 0;
  const auto handler = [&](const Received&) {
    return ++asked <= 3 ? refused(ErrorCode::kNoQuorum, "no leader") : page();
  };
  FakeNode first(1, [](const Received&) { return dropped(); });
  FakeNode second(2, handler);
  FakeNode third(3, handler);
  first.set_members({second.address(), third.address()});
  cli::ClientOptions options = options_for(first);
  cli::Client client(options);
  CHECK(client.call(wire::Query{}).reply);
  CHECK(asked == 4);
}

TEST_CASE("a read that meets damage in one node's rows is taken to one other node") {
  const ErrorCode code = GENERATE(ErrorCode::kCorrupt, ErrorCode::kIo);
  FakeNode damaged(1, [=](const Received&) { return refused(code, "the rows are damaged"); });
  cli::ClientOptions options = options_for(damaged);
  SECTION("which has its own, and answers") {
    FakeNode whole(2, [](const Received&) { return page(); });
    damaged.set_members({damaged.address(), whole.address()});
    cli::Client client(options);
    CHECK(client.call(wire::Query{}).reply);
    CHECK(damaged.received().size() == 1);
  }
  SECTION("and to no third: it may be what ends them") {
    const auto also = [=](const Received&) { return refused(code, "these rows, too"); };
    FakeNode second(2, also);
    FakeNode third(3, also);
    damaged.set_members({damaged.address(), second.address(), third.address()});
    cli::Client client(options);
    const cli::Completion completion = client.call(wire::Query{});
    REQUIRE_FALSE(completion.reply);
    CHECK(completion.reply.error().code == code);
    CHECK(completion.reply.error().message == "these rows, too");
    CHECK(second.received().size() + third.received().size() == 1);
  }
  SECTION("but a command is not, nor a snapshot that could not be made") {
    FakeNode other(2);
    damaged.set_members({damaged.address(), other.address()});
    cli::Client client(options);
    CHECK(client.call(wire::SetConfig{"key", "value"}).reply.error().code == code);
    CHECK(client.call(wire::ListSnapshots{}).reply.error().code == code);
    CHECK(other.received().empty());
  }
}

TEST_CASE("where no other node answers a read, what the damaged one said is the answer") {
  auto asked = std::make_shared<std::atomic<int>>(0);
  FakeNode damaged(1, [asked](const Received&) {
    return ++*asked == 1 ? refused(ErrorCode::kCorrupt, "the rows are damaged") : dropped();
  });
  cli::ClientOptions options = options_for(damaged);
  options.timeout = 300ms;
  cli::Client client(options);
  const cli::Completion completion = client.call(wire::Query{});
  REQUIRE_FALSE(completion.reply);
  CHECK(completion.reply.error().code == ErrorCode::kCorrupt);
  CHECK(completion.reply.error().message == "the rows are damaged");
}
