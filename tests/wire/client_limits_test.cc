// What a client message may say: every field at its limit, and one over it.
#include <catch2/catch.hpp>

#include <array>
#include <functional>

#include "client_samples.h"
#include "schema/client_generated.h"
#include "wire/base/frame.h"
#include "wire/client/client_message.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::client;
using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

// A text field of a command: how to fill it, and how long it may be.
struct TextField {
  std::string field;  // in words, as the message begins
  std::size_t size_max;
  bool is_name;
  std::function<CommandBody(std::string_view)> body;
};

std::vector<TextField> text_fields() {
  using View = std::string_view;
  const auto dataset = [](std::string_view DatasetVersionAdded::*member) {
    return [member](View text) -> CommandBody {
      AddDatasetVersion add{{.topic = "t", .dataset = "d", .version = "v"}};
      add.version.*member = text;
      return add;
    };
  };
  using Added = DatasetVersionAdded;
  return {
      {"the topic's path", kNameSizeMax, true, [](View t) { return CreateTopic{.path = t}; }},
      {"the topic's description", kTextSizeMax, false,
       [](View t) { return CreateTopic{.path = "a", .description = t}; }},
      {"the topic's schema", kTextSizeMax, false,
       [](View t) { return CreateTopic{.path = "a", .schema = t}; }},
      {"an owner of the topic", kNameSizeMax, true,
       [](View t) {
         return CreateTopic{.path = "a", .owners = {"x", t}};
       }},
      {"a tag of the topic", kNameSizeMax, true,
       [](View t) { return CreateTopic{.path = "a", .tags = {t}}; }},
      {"the topic's path", kNameSizeMax, true, [](View t) { return UpdateTopic{.path = t}; }},
      {"the topic's description", kTextSizeMax, false,
       [](View t) { return UpdateTopic{.path = "a", .description = t}; }},
      {"the topic's schema", kTextSizeMax, false,
       [](View t) { return UpdateTopic{.path = "a", .schema = t}; }},
      {"an owner of the topic", kNameSizeMax, true,
       [](View t) { return UpdateTopic{.path = "a", .owners = TextList{t}}; }},
      {"a tag of the topic", kNameSizeMax, true,
       [](View t) { return UpdateTopic{.path = "a", .tags = TextList{t}}; }},
      {"the topic's path", kNameSizeMax, true, [](View t) { return SetTopicStatus{.path = t}; }},
      {"the dataset's topic", kNameSizeMax, true, dataset(&Added::topic)},
      {"the dataset's name", kNameSizeMax, true, dataset(&Added::dataset)},
      {"the dataset's version", kNameSizeMax, true, dataset(&Added::version)},
      {"the dataset's hash", kNameSizeMax, true, dataset(&Added::hash)},
      {"the dataset's format", kNameSizeMax, true, dataset(&Added::format)},
      {"the dataset's licence", kNameSizeMax, true, dataset(&Added::licence)},
      {"the dataset's description", kTextSizeMax, false, dataset(&Added::description)},
      {"the dataset's homepage", kTextSizeMax, false, dataset(&Added::homepage)},
      {"the dataset's source", kTextSizeMax, false, dataset(&Added::source)},
      {"the key", kNameSizeMax, true, [](View t) { return SetConfig{.key = t}; }},
      {"the value", kValueSizeMax, false, [](View t) { return SetConfig{.key = "k", .value = t}; }},
      {"the key", kNameSizeMax, true, [](View t) { return UnsetConfig{.key = t}; }},
      {"the task's name", kNameSizeMax, true,
       [](View t) { return RegisterTask{.name = t, .version = "1"}; }},
      {"the task's version", kNameSizeMax, true,
       [](View t) { return RegisterTask{.name = "n", .version = t}; }},
      {"the task's definition", kValueSizeMax, false,
       [](View t) { return RegisterTask{.name = "n", .version = "1", .definition = t}; }},
      {"the task's description", kTextSizeMax, false,
       [](View t) { return RegisterTask{.name = "n", .version = "1", .description = t}; }},
      {"the job's id", kNameSizeMax, true, [](View t) { return SubmitJob{.id = t, .task = "t"}; }},
      {"the job's task", kNameSizeMax, true,
       [](View t) { return SubmitJob{.id = "i", .task = t}; }},
      {"the version of the job's task", kNameSizeMax, true,
       [](View t) { return SubmitJob{.id = "i", .task = "t", .task_version = t}; }},
      {"the text of the job's parameters", kValueSizeMax, false,
       [](View t) { return SubmitJob{.id = "i", .task = "t", .parameters = t}; }},
      {"the job's id", kNameSizeMax, true, [](View t) { return SetJobState{.id = t}; }},
      {"the job's message", kTextSizeMax, false,
       [](View t) { return SetJobState{.id = "i", .message = t}; }},
  };
}

// "" when the command is accepted.
std::string refusal(const CommandBody& body) {
  ClientEncoder encoder;
  const auto command = decode_command(
      encoder.encode({.client = sample_client(1), .sequence = RequestSequence(1), .body = body}));
  if (command) return {};
  CHECK(command.error().code == ErrorCode::kInvalid);
  return command.error().message;
}

TEST_CASE("every text of a command is taken at its limit and refused one byte over, by name") {
  for (const TextField& text : text_fields()) {
    INFO(text.field);
    CHECK(refusal(text.body(std::string(text.size_max, 'x'))).empty());
    CHECK(refusal(text.body(std::string(text.size_max + 1, 'x'))) ==
          fmt::format("{} has {} bytes and may have at most {}; shorten it", text.field,
                      text.size_max + 1, text.size_max));
  }
}

TEST_CASE("every text of a command that is not UTF-8 is refused by name") {
  for (const TextField& text : text_fields()) {
    CHECK(refusal(text.body("ab\xc3")) ==
          text.field + " is not valid UTF-8; send text in that encoding");
    CHECK(refusal(text.body("ab\xc3\xbc")).empty());
  }
}

TEST_CASE("control characters are refused in names and taken in texts and values") {
  for (const TextField& text : text_fields()) {
    for (const std::string& control : {std::string("a\nb"), std::string("a\0b", 3)}) {
      INFO(text.field);
      CHECK(refusal(text.body(control)) ==
            (text.is_name
                 ? text.field + " has a control character (such as a line break); leave it out"
                 : ""));
    }
  }
}

TEST_CASE("a command without a name that it needs is refused in words, not by the schema's field") {
  const std::vector<std::pair<CommandBody, std::string>> commands = {
      {CreateTopic{}, "the topic's path"},
      {UpdateTopic{}, "the topic's path"},
      {SetTopicStatus{}, "the topic's path"},
      {AddDatasetVersion{{.dataset = "d", .version = "v"}}, "the dataset's topic"},
      {AddDatasetVersion{{.topic = "t", .version = "v"}}, "the dataset's name"},
      {AddDatasetVersion{{.topic = "t", .dataset = "d"}}, "the dataset's version"},
      {SetConfig{.value = "v"}, "the key"},
      {UnsetConfig{}, "the key"},
      {RegisterTask{.version = "1"}, "the task's name"},
      {RegisterTask{.name = "n"}, "the task's version"},
      {SubmitJob{.task = "t"}, "the job's id"},
      {SubmitJob{.id = "i"}, "the job's task"},
      {SetJobState{}, "the job's id"},
  };
  for (const auto& [body, field] : commands) {
    CHECK(refusal(body) == field + " is empty; it must be given");
  }
}

TEST_CASE("every list of a command is taken at its limit and refused one element over, by name") {
  const TextList full(kListSizeMax, "x");
  const TextList over(kListSizeMax + 1, "x");
  const std::vector<NodeId> full_ids(kListSizeMax, NodeId(1));
  const std::vector<NodeId> over_ids(kListSizeMax + 1, NodeId(1));
  const auto add = [](TextList owners, TextList tags, std::vector<NodeId> holders) {
    AddDatasetVersion body{{.topic = "t", .dataset = "d", .version = "v"}};
    body.version.owners = std::move(owners);
    body.version.tags = std::move(tags);
    body.version.holders = std::move(holders);
    return body;
  };
  CHECK(refusal(CreateTopic{.path = "a", .owners = full, .tags = full}).empty());
  CHECK(refusal(UpdateTopic{.path = "a", .owners = full, .tags = full}).empty());
  CHECK(refusal(add(full, full, full_ids)).empty());
  const std::vector<std::pair<CommandBody, std::string>> commands = {
      {CreateTopic{.path = "a", .owners = over}, "the list of the topic's owners"},
      {CreateTopic{.path = "a", .tags = over}, "the list of the topic's tags"},
      {UpdateTopic{.path = "a", .owners = over}, "the list of the topic's owners"},
      {UpdateTopic{.path = "a", .tags = over}, "the list of the topic's tags"},
      {add(over, {}, {}), "the list of the dataset's owners"},
      {add({}, over, {}), "the list of the dataset's tags"},
      {add({}, {}, over_ids), "the list of the dataset's holders"},
  };
  for (const auto& [body, field] : commands) {
    CHECK(refusal(body) == field + " has more than the 1024 elements allowed; send fewer");
  }
}

TEST_CASE("a join token's hash has 32 bytes in a command, too") {
  for (const std::size_t size : {0U, 31U, 33U}) {
    const std::vector<std::uint8_t> hash(size, 7);
    CHECK(refusal(IssueJoinToken{.secret_sha256 = hash}) ==
          "the SHA-256 of the join token's secret does not have 32 bytes");
  }
}

TEST_CASE("a status or state beyond the last is refused") {
  CHECK(refusal(SetTopicStatus{.path = "a", .status = static_cast<TopicStatus>(3)}) ==
        "the topic's status is 3; the largest allowed is 2");
  CHECK(refusal(SetJobState{.id = "i", .state = static_cast<JobState>(5)}) ==
        "the job's state is 5; the largest allowed is 4");
}

TEST_CASE("a command's head needs a client, a sequence, and an acknowledgement below it") {
  ClientEncoder encoder;
  const auto refused = [&encoder](Command command) {
    command.body = UnsetConfig{.key = "k"};
    const auto decoded = decode_command(encoder.encode(command));
    return decoded ? std::string() : decoded.error().message;
  };
  const Command good{.client = sample_client(1),
                     .sequence = RequestSequence(5),
                     .acknowledged_below = RequestSequence(5)};
  CHECK(refused(good).empty());
  Command wrong = good;
  wrong.client = {};
  CHECK(refused(wrong).find("the command's client id") == 0);
  wrong = good;
  wrong.sequence = RequestSequence(0);
  CHECK(refused(wrong).find("the command's sequence") == 0);
  wrong = good;
  wrong.acknowledged_below = RequestSequence(6);
  CHECK(refused(wrong).find("the command's acknowledgement") == 0);
}

// A command's head of ones in front of the finished buffer.
ByteView with_head(FlatBufferBuilder& fbb) {
  std::array<std::uint8_t, kCommandHeadSize> head{};
  head.fill(1);
  fbb.PushFlatBuffer(head.data(), head.size());
  return {fbb.GetBufferPointer(), fbb.GetSize()};
}

TEST_CASE("a command that this build does not know says its number") {
  FlatBufferBuilder fbb;
  const auto body = fbs::CreateUnsetConfig(fbb, fbb.CreateString("k"));
  const auto command = fbs::CreateCommand(fbb, static_cast<fbs::CommandBody>(77), body.Union());
  fbb.Finish(fbs::CreateEnvelope(fbb, fbs::Message::Command, command.Union()));
  const auto decoded = decode_command(with_head(fbb));
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().code == ErrorCode::kUnsupported);
  CHECK(decoded.error().message.find("77") != std::string::npos);
}

TEST_CASE("a message that this build does not know is refused with its number") {
  FlatBufferBuilder fbb;
  const auto body = fbs::CreateUnsetConfig(fbb, fbb.CreateString("k"));
  fbb.Finish(fbs::CreateEnvelope(fbb, static_cast<fbs::Message>(99), body.Union()));
  const auto decoded = decode_query({fbb.GetBufferPointer(), fbb.GetSize()});
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().code == ErrorCode::kInvalid);
  CHECK(decoded.error().message == "message number 99 where a Query was announced");
}

std::string refusal(const Query& query) {
  ClientEncoder encoder;
  const auto decoded = decode_query(encoder.encode(query));
  return decoded ? std::string() : decoded.error().message;
}

std::string refusal(const ReadEvents& request) {
  ClientEncoder encoder;
  const auto decoded = decode_read_events(encoder.encode(request));
  return decoded ? std::string() : decoded.error().message;
}

TEST_CASE("a query's numbers are taken at their limits and refused beyond them") {
  CHECK(refusal(Query{.limit = 1}).empty());
  CHECK(refusal(Query{.limit = kQueryLimitMax}).empty());
  CHECK(refusal(Query{.limit = 0}) == "the query's limit is 0; ask for at least one row");
  CHECK(refusal(Query{.limit = kQueryLimitMax + 1}) ==
        "the query's limit is 10001; the largest allowed is 10000");
  for (const QueryTable table : kQueryTables) CHECK(refusal(Query{.table = table}).empty());
  CHECK(refusal(Query{.table = static_cast<QueryTable>(0)}) ==
        "the query's table is 0; say which table to read");
  CHECK(refusal(Query{.table = static_cast<QueryTable>(kQueryTableMax + 1)}) ==
        fmt::format("the query's table is {}; the largest allowed is {}", kQueryTableMax + 1,
                    kQueryTableMax));
  CHECK(refusal(Query{.consistency = Consistency::kStale}).empty());
  CHECK(refusal(Query{.consistency = static_cast<Consistency>(3)}) ==
        "the query's consistency is 3; the largest allowed is 2");
  CHECK(refusal(ReadEvents{.consistency = Consistency::kStale}).empty());
  CHECK(refusal(ReadEvents{.consistency = static_cast<Consistency>(3)}) ==
        "the consistency of the events is 3; the largest allowed is 2");
}

TEST_CASE("a query's keys are taken at their limit and refused one byte over or when not UTF-8") {
  const std::string largest(kQueryKeySizeMax, 'x');
  const std::string larger(kQueryKeySizeMax + 1, 'x');
  const auto check = [&](const std::string& field, const auto& with) {
    CHECK(refusal(with(largest)).empty());
    CHECK(refusal(with(larger)).find(field + " has") == 0);
    CHECK(refusal(with("\xff")).find(field + " is not valid UTF-8") == 0);
  };
  check("the query's key", [](std::string_view text) { return Query{.key = text}; });
  check("the query's scope", [](std::string_view text) { return Query{.scope = text}; });
  check("the query's prefix", [](std::string_view text) { return Query{.prefix = text}; });
  check("the key after which the query continues",
        [](std::string_view text) { return Query{.after = text}; });
}

TEST_CASE("a request for events or for a change of members is refused in words, too") {
  CHECK(refusal(ReadEvents{.stream_prefix = "\xff"}) ==
        "the prefix of the streams is not valid UTF-8; send text in that encoding");
  const auto refusal_of = [](const MemberChange& change) {
    ClientEncoder encoder;
    const auto decoded =
        decode_change_membership(encoder.encode(ChangeMembership{.changes = {change}}));
    return decoded ? std::string() : decoded.error().message;
  };
  const auto kind = MemberChangeKind::kUpdate;
  CHECK(refusal_of({.kind = kind, .id = NodeId(1), .raft_address = "a:1"}).empty());
  CHECK(refusal_of({.kind = kind}) == "the member's id is 0; name the member");
  CHECK(refusal_of({.kind = kind, .id = NodeId(1), .raft_address = "a\n"}) ==
        "the member's address for nodes has a control character (such as a line break); leave it "
        "out");
  CHECK(refusal_of({.kind = kind, .id = NodeId(1), .api_address = "a\n"}) ==
        "the member's address for clients has a control character (such as a line break); leave it "
        "out");
}

TEST_CASE("a reply of as many rows as a query may ask for is taken, and one more is refused") {
  ClientEncoder encoder;
  QueryReply reply{.rows = std::vector<QueryRow>(kQueryLimitMax, QueryRow{.key = "k"})};
  CHECK(decode_query_reply(encoder.encode(reply)));
  reply.rows.push_back({.key = "k"});
  CHECK(decode_query_reply(encoder.encode(reply)).error().code == ErrorCode::kInvalid);
}

TEST_CASE("a reply holds as many events as fit into a frame") {
  const std::vector<std::uint8_t> event(8, 1);
  const LoggedEvent logged{.position = {.index = LogIndex(1), .offset = 1},
                           .term = Term(1),
                           .time_us = 1,
                           .event = event};
  ClientEncoder encoder;
  const auto size_of = [&](std::size_t count) {
    return encoder.encode(EventsReply{.events = std::vector<LoggedEvent>(count, logged)}).size();
  };
  const std::size_t each = (size_of(2000) - size_of(1000)) / 1000;
  const std::size_t count = kClientFrameBodyMax / each - 16;
  const EventsReply reply{.events = std::vector<LoggedEvent>(count, logged)};
  const ByteView body = encoder.encode(reply);
  REQUIRE(body.size() <= kClientFrameBodyMax);
  const auto decoded = decode_events_reply(body);
  REQUIRE(decoded);
  CHECK(decoded->events.size() == count);
}

TEST_CASE("a nested row or event that is not aligned to eight is refused") {
  // Two vectors of bytes without forced alignment: one of them cannot be aligned.
  const std::vector<std::uint8_t> bytes(4, 1);
  int refused = 0;
  for (std::size_t pad = 0; pad < 2; ++pad) {
    FlatBufferBuilder fbb;
    fbb.CreateString(std::string(4 * pad, 'p'));
    const auto row = fbs::CreateQueryRow(fbb, 0, fbb.CreateVector(bytes));
    const auto rows = fbb.CreateVector(std::vector<Offset<fbs::QueryRow>>{row});
    const auto reply = fbs::CreateQueryReply(fbb, rows, 0, 1);
    fbb.Finish(fbs::CreateEnvelope(fbb, fbs::Message::QueryReply, reply.Union()));
    const auto decoded = decode_query_reply({fbb.GetBufferPointer(), fbb.GetSize()});
    if (decoded) continue;
    ++refused;
    CHECK(decoded.error().message ==
          "QueryReply.rows.value does not begin at a multiple of eight bytes");
  }
  CHECK(refused == 1);
}

TEST_CASE("a logged event without bytes is refused") {
  ClientEncoder encoder;
  const auto reply = decode_events_reply(encoder.encode(EventsReply{.events = {LoggedEvent{}}}));
  REQUIRE_FALSE(reply);
  CHECK(reply.error().message == "EventsReply.events.event is empty");
}

TEST_CASE("a greeting without a client id is refused") {
  ClientEncoder encoder;
  const auto hello = decode_client_hello(encoder.encode(ClientHello{.program = "bib"}));
  REQUIRE_FALSE(hello);
  CHECK(hello.error().message.find("the client's id") == 0);
}

TEST_CASE("an error's code is kept when its words cannot be read, and must be an error") {
  ClientEncoder encoder;
  for (const std::string& words : {std::string("\xff"), std::string(kTextSizeMax + 1, 'x')}) {
    const auto reply = decode_error_reply(
        encoder.encode(ErrorReply{.code = ErrorCode::kRefused, .message = words}));
    REQUIRE(reply);
    CHECK(reply->code == ErrorCode::kRefused);
    CHECK(reply->message == "the node's message is too long or not valid UTF-8, and is left out");
  }
  CHECK_FALSE(decode_error_reply(encoder.encode(ErrorReply{.code = ErrorCode::kNone})));
}

}  // namespace
}  // namespace bib::wire
