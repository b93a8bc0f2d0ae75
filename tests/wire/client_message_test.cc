#include "wire/client/client_message.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <functional>

#include "client_samples.h"
#include "damage.h"
#include "message_fields.h"
#include "wire/base/checksum.h"

namespace bib::wire {
namespace {

// Every kind of message: its samples, and its decoder's verdict.
template <typename T>
struct Kind {
  const char* name;
  std::vector<T> samples;
  Result<T> (*decode)(ByteView);
};

template <typename Visit>
void for_each_kind(const Visit& visit) {
  visit(Kind<ClientHello>{"ClientHello", client_hellos(), decode_client_hello});
  visit(Kind<ServerHello>{"ServerHello", server_hellos(), decode_server_hello});
  visit(Kind<Command>{"Command", commands(), decode_command});
  visit(Kind<CommandReply>{"CommandReply", command_replies(), decode_command_reply});
  visit(Kind<ErrorReply>{"ErrorReply", error_replies(), decode_error_reply});
  visit(Kind<Query>{"Query", queries(), decode_query});
  visit(Kind<QueryReply>{"QueryReply", query_replies(), decode_query_reply});
  visit(Kind<ReadEvents>{"ReadEvents", read_events_requests(), decode_read_events});
  visit(Kind<EventsReply>{"EventsReply", events_replies(), decode_events_reply});
  visit(Kind<ListSnapshots>{"Snapshots", snapshots_requests(), decode_snapshots});
  visit(Kind<SnapshotsReply>{"SnapshotsReply", snapshots_replies(), decode_snapshots_reply});
  visit(Kind<StatusReply>{"StatusReply", status_replies(), decode_status_reply});
  visit(Kind<ChangeMembership>{"ChangeMembership", change_membership_requests(),
                               decode_change_membership});
  visit(Kind<ChangeMembershipReply>{"ChangeMembershipReply", change_membership_replies(),
                                    decode_change_membership_reply});
  visit(Kind<TransferLeadership>{"TransferLeadership", transfer_requests(),
                                 decode_transfer_leadership});
  visit(Kind<TransferReply>{"TransferReply", transfer_replies(), decode_transfer_reply});
}

TEST_CASE(
    "a client message of each kind is read as it was written, with all fields and with none") {
  ClientEncoder encoder;
  for_each_kind([&encoder](const auto& kind) {
    INFO(kind.name);
    for (const auto& sample : kind.samples) {
      const ByteView bytes = encoder.encode(sample);
      const auto message = kind.decode(bytes);
      if (!message) FAIL(message.error().message);
      CHECK(same(*message, sample));
      CHECK(lies_inside(bytes, *message));
      CHECK(bytes.size() % 8 == 0);
    }
  });
}

TEST_CASE("the samples have a command of each body, with all fields and with none") {
  std::array<int, std::variant_size_v<CommandBody>> count{};
  for (const Command& command : commands()) ++count.at(command.body.index());
  for (const int samples : count) CHECK(samples >= 2);
}

TEST_CASE("a client message's bytes do not depend on what was encoded before it") {
  ClientEncoder used;
  for_each_kind([&used](const auto& kind) {
    for (const auto& sample : kind.samples) {
      ClientEncoder fresh;
      CHECK(same(used.encode(sample), fresh.encode(sample)));
    }
  });
}

TEST_CASE("a client message that is cut off is refused at every length") {
  ClientEncoder encoder;
  for_each_kind([&encoder](const auto& kind) {
    INFO(kind.name);
    for (const auto& sample : kind.samples) {
      check_truncated(encoder.encode(sample), sample, kind.decode);
    }
  });
}

TEST_CASE("a client message with flipped bits is refused, or read within its bytes") {
  ClientEncoder encoder;
  for_each_kind([&encoder](const auto& kind) {
    INFO(kind.name);
    int refused = 0;
    for (const auto& sample : kind.samples) {
      // The one text that does not come from the bytes stands for a text that cannot be read.
      const auto decode = [&kind](ByteView bytes) {
        auto message = kind.decode(bytes);
        if constexpr (std::is_same_v<decltype(message), Result<ErrorReply>>) {
          if (message && message->message.ends_with("is left out")) message->message = {};
        }
        return message;
      };
      refused += check_bit_flips(encoder.encode(sample), 1500, decode);
    }
    CHECK(refused > 100);
  });
}

TEST_CASE("no bytes, and bytes without meaning, are no message of any kind") {
  const std::vector<std::uint8_t> zeros(128, 0);
  const std::vector<std::uint8_t> ones(128, 0xff);
  for_each_kind([&](const auto& kind) {
    for (const ByteView bytes : {ByteView(), ByteView(zeros), ByteView(ones)}) {
      const auto message = kind.decode(bytes);
      REQUIRE_FALSE(message);
      CHECK(message.error().code == ErrorCode::kInvalid);
    }
  });
}

TEST_CASE("a message in a frame of another kind is refused, and both kinds are named") {
  for_each_kind([](const auto& sent) {
    ClientEncoder encoder;
    std::vector<std::uint8_t> bytes;
    const ByteView encoded = encoder.encode(sent.samples.front());
    bytes.assign(encoded.begin(), encoded.end());
    const bool has_head = std::string_view(sent.name) == "Command";
    if (has_head) bytes.erase(bytes.begin(), bytes.begin() + kCommandHeadSize);
    for_each_kind([&](const auto& expected) {
      if (std::string_view(sent.name) == expected.name) return;
      std::vector<std::uint8_t> body = bytes;
      if (std::string_view(expected.name) == "Command") {
        // A head that is right, in front of another message.
        std::vector<std::uint8_t> head(kCommandHeadSize, 1);
        body.insert(body.begin(), head.begin(), head.end());
      }
      const auto message = expected.decode(body);
      REQUIRE_FALSE(message);
      CHECK(message.error().code == ErrorCode::kInvalid);
      CHECK(message.error().message ==
            fmt::format("a {} message where a {} was announced", sent.name, expected.name));
    });
  });
}

Command command_of(CommandBody body) {
  return {.client = sample_client(1), .sequence = RequestSequence(1), .body = std::move(body)};
}

TEST_CASE("a command's head is where the protocol says") {
  ClientEncoder encoder;
  Command command = command_of(UnsetConfig{.key = "k"});
  command.sequence = RequestSequence(0x0102030405060708);
  command.acknowledged_below = RequestSequence(0x0102030405060707);
  const ByteView bytes = encoder.encode(command);
  const std::vector<std::uint8_t> expected = {
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,   14,   15,   16,   8,    7,    6,    5,
      4, 3, 2, 1, 7, 7, 6, 5, 4, 3,  2,  1,  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  REQUIRE(expected.size() == kCommandHeadSize);
  CHECK(same(bytes.first(kCommandHeadSize), ByteView(expected)));
  command.expected_revision = Revision(0);
  CHECK(encoder.encode(command)[32] == 0);
}

TEST_CASE("a command's digest covers its body and expected revision, not who asks and which time") {
  ClientEncoder encoder;
  const auto digest_of = [&encoder](const Command& command) {
    const ByteView bytes = encoder.encode(command);
    const auto decoded = decode_command(bytes);
    REQUIRE(decoded);
    CHECK(decoded->digest == checksum64(bytes.subspan(32)));
    return decoded->digest;
  };
  Command command = command_of(SetConfig{.key = "k", .value = "v"});
  const std::uint64_t digest = digest_of(command);
  command.sequence = RequestSequence(9);
  command.acknowledged_below = RequestSequence(5);
  command.client = sample_client(3);
  CHECK(digest_of(command) == digest);
  command.expected_revision = Revision(0);
  CHECK(digest_of(command) != digest);
  CHECK(digest_of(command_of(SetConfig{.key = "k", .value = "w"})) != digest);
}

TEST_CASE("an update tells what stays as it is from what becomes empty") {
  ClientEncoder encoder;
  const auto round_trip = [&encoder](const UpdateTopic& update) {
    const auto decoded = decode_command(encoder.encode(command_of(update)));
    REQUIRE(decoded);
    return std::get<UpdateTopic>(decoded->body);
  };
  const UpdateTopic kept = round_trip({.path = "a"});
  CHECK_FALSE(kept.description.has_value());
  CHECK_FALSE(kept.schema.has_value());
  CHECK_FALSE(kept.owners.has_value());
  CHECK_FALSE(kept.tags.has_value());
  const UpdateTopic emptied = round_trip(
      {.path = "a", .description = "", .schema = "", .owners = TextList{}, .tags = TextList{}});
  CHECK(emptied.description == "");
  CHECK(emptied.schema == "");
  CHECK(emptied.owners == TextList{});
  CHECK(emptied.tags == TextList{});
}

TEST_CASE("a page's end and a page that continues after an empty key are different replies") {
  ClientEncoder encoder;
  CHECK_FALSE(decode_query_reply(encoder.encode(QueryReply{}))->next.has_value());
  CHECK(decode_query_reply(encoder.encode(QueryReply{.next = ""}))->next == "");
}

TEST_CASE("events and rows inside a reply lie aligned to eight in its body") {
  ClientEncoder encoder;
  for (const EventsReply& sample : events_replies()) {
    const ByteView body = encoder.encode(sample);
    const auto reply = decode_events_reply(body);
    REQUIRE(reply);
    for (const LoggedEvent& logged : reply->events) {
      CHECK((logged.event.data() - body.data()) % 8 == 0);
    }
  }
  for (const QueryReply& sample : query_replies()) {
    const ByteView body = encoder.encode(sample);
    const auto reply = decode_query_reply(body);
    REQUIRE(reply);
    for (const QueryRow& row : reply->rows) CHECK((row.value.data() - body.data()) % 8 == 0);
  }
}

}  // namespace
}  // namespace bib::wire
