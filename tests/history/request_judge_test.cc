// The judge of requests, on logs and answers that are known to be wrong.
#include "request_judge.h"

#include <catch2/catch.hpp>
#include <string>

using namespace bib;
using Catch::Matchers::Contains;
using judges::RequestJudge;
using wire::LogIndex;
using wire::Position;
using wire::RequestSequence;
using wire::Revision;

namespace {

constexpr std::uint64_t kBytes = 111;       // of a command, as their digest
constexpr std::uint64_t kOtherBytes = 222;  // others under its sequence

struct Judged {
  wire::Command command(std::uint64_t sequence, std::uint64_t digest, std::uint64_t below = 1,
                        std::optional<Revision> expected = {}) {
    wire::Command command;
    command.client.bytes[0] = 7;
    command.sequence = RequestSequence(sequence);
    command.acknowledged_below = RequestSequence(below);
    command.expected_revision = expected;
    command.digest = digest;
    judge.sent(command);
    return command;
  }
  std::string carried_out(const wire::Command& command, std::uint64_t index, std::uint64_t revision,
                          std::optional<Revision> before = {}) {
    wire::Origin origin;
    origin.client = command.client;
    origin.sequence = command.sequence;
    origin.digest = command.digest;
    return judge.carried_out(origin, {LogIndex(index), 0}, Revision(revision), before).value_or("");
  }
  std::string done(const wire::Command& command, std::uint64_t index, std::uint64_t revision) {
    wire::CommandReply reply;
    reply.position = {LogIndex(index), 0};
    reply.revision = Revision(revision);
    return judge.done(command, reply).value_or("");
  }

  RequestJudge judge;
};

}  // namespace

TEST_CASE("a request that is carried out twice is found") {
  Judged judged;
  const auto command = judged.command(1, kBytes);
  CHECK(judged.carried_out(command, 10, 1) == "");
  CHECK_THAT(judged.carried_out(command, 12, 2), Contains("in the log at 10:0 and at 12:0"));
}

TEST_CASE("an answer that is not the request's own event is found") {
  Judged judged;
  const auto command = judged.command(1, kBytes);
  CHECK_THAT(judged.done(command, 10, 1), Contains("not its event"));
  CHECK(judged.carried_out(command, 10, 1) == "");
  CHECK(judged.done(command, 10, 1) == "");
  CHECK_THAT(judged.done(command, 10, 2), Contains("not its event"));
  CHECK_THAT(judged.done(command, 11, 1), Contains("not its event"));
}

TEST_CASE("other bytes under a sequence get neither its answer nor a place in the log") {
  Judged judged;
  const auto command = judged.command(1, kBytes);
  const auto other = judged.command(1, kOtherBytes);
  CHECK(judged.carried_out(command, 10, 1) == "");
  CHECK_THAT(judged.done(other, 10, 1), Contains("other bytes"));
  CHECK_THAT(judged.carried_out(other, 11, 2), Contains("and at 11:0"));
  CHECK_FALSE(judged.judge.reused(other));
  // What nobody has sent is not carried out, either.
  wire::Command unknown = command;
  unknown.sequence = RequestSequence(9);
  CHECK_THAT(judged.carried_out(unknown, 12, 3), Contains("as nobody has sent it"));
}

TEST_CASE("a request that was acknowledged without being carried out never is") {
  Judged judged;
  const auto refused = judged.command(1, kBytes);
  const auto next = judged.command(2, kBytes, 2);
  CHECK(judged.carried_out(next, 10, 1) == "");
  judged.judge.acknowledged(next.client, next.acknowledged_below);
  CHECK_THAT(judged.carried_out(refused, 11, 2), Contains("acknowledged without being"));
}

TEST_CASE("a request is refused as late or as another one's only where it is") {
  Judged judged;
  const auto command = judged.command(1, kBytes);
  REQUIRE(judged.judge.reused(command));
  CHECK_THAT(*judged.judge.reused(command), Contains("which it is not"));
  judged.command(2, kBytes, 2);
  CHECK_FALSE(judged.judge.reused(command));  // it was acknowledged
}

TEST_CASE("a command that changes its stream at another revision than it expects is found") {
  Judged judged;
  const auto first = judged.command(1, kBytes, 1, Revision(4));
  const auto second = judged.command(2, kOtherBytes, 1, Revision(4));
  CHECK(judged.carried_out(first, 10, 5, Revision(4)) == "");
  CHECK_THAT(judged.carried_out(second, 11, 6, Revision(5)),
             Contains("expects revision 4, and is carried out at 11:0 after revision 5"));
}
