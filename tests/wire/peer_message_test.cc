#include "wire/peer/peer_message.h"

#include <catch2/catch.hpp>

#include "log_samples.h"
#include "schema/peer_generated.h"
#include "wire/base/prng.h"

namespace bib::wire {
namespace {

const Envelope kEnvelope{.cluster = sample_cluster(), .boot = BootId(0xb007)};

Membership sample_membership() {
  Membership membership;
  membership.voters = {NodeId(1), NodeId(2)};
  membership.members = {{.id = NodeId(1), .raft_address = "a:1", .api_address = "a:2"},
                        {.id = NodeId(2), .raft_address = "b:1", .api_address = "b:2"}};
  return membership;
}

// An append after entry 40 of term 3: a no-op, events, a membership.
PeerMessage sample_append() {
  PeerMessage message;
  message.kind = MessageKind::kAppend;
  message.from = NodeId(1);
  message.to = NodeId(2);
  message.term = Term(5);
  message.log_index = LogIndex(40);
  message.log_term = Term(3);
  message.commit = LogIndex(39);
  message.payload = {
      sample_entry(41, 4), sample_entry(42, 4, "an event"),
      make_membership_entry(
          {.cluster = sample_cluster(), .term = Term(5), .index = LogIndex(43), .time_us = 1},
          encode_membership(sample_membership()))};
  return message;
}

// The frame's body, as the driver writes it.
Bytes body_of(PeerMessage message, const Envelope& envelope = kEnvelope) {
  message.entries.resize(message.payload.size());
  std::vector<std::uint8_t> body = encode_peer_message_head(envelope, message);
  for (const Bytes& entry : message.payload) {
    body.insert(body.end(), entry.view().begin(), entry.view().end());
  }
  return Bytes::copy_of(body);
}

std::string error_of(const Bytes& body) {
  const auto received = decode_peer_message(body);
  return received ? std::string() : received.error().message;
}

bool mentions(const std::string& text, const char* part) {
  INFO(text);
  CHECK_FALSE(text.empty());
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a peer message comes back with every field, of every kind") {
  for (const MessageKind kind : kMessageKinds) {
    PeerMessage sent;
    sent.kind = kind;
    sent.from = NodeId(11);
    sent.to = NodeId(12);
    sent.term = Term(13);
    sent.log_index = LogIndex(14);
    sent.log_term = Term(15);
    sent.commit = LogIndex(16);
    sent.rejected = true;
    sent.match = LogIndex(17);
    sent.hint_index = LogIndex(18);
    sent.hint_term = Term(19);
    sent.transfer = true;
    sent.context = 20;
    sent.clock_us = 21;
    sent.echo_us = 22;
    sent.leader_commit = LogIndex(23);
    sent.confirmed_age_us = 24;
    sent.digests = {.asked = LogIndex(25),
                    .index = LogIndex(26),
                    .form = 27,
                    .values = {28, 29, 30},
                    .disputed = true};
    const std::vector<std::uint8_t> head = encode_peer_message_head(kEnvelope, sent);
    CHECK(head.size() % 8 == 0);
    const auto received = decode_peer_message(Bytes::copy_of(head));
    REQUIRE(received);
    CHECK(received->envelope.cluster == kEnvelope.cluster);
    CHECK(received->envelope.boot == kEnvelope.boot);
    const PeerMessage& got = received->message;
    CHECK(got.kind == sent.kind);
    CHECK(got.from == sent.from);
    CHECK(got.to == sent.to);
    CHECK(got.term == sent.term);
    CHECK(got.log_index == sent.log_index);
    CHECK(got.log_term == sent.log_term);
    CHECK(got.commit == sent.commit);
    CHECK(got.rejected);
    CHECK(got.match == sent.match);
    CHECK(got.hint_index == sent.hint_index);
    CHECK(got.hint_term == sent.hint_term);
    CHECK(got.transfer);
    CHECK(got.context == sent.context);
    CHECK(got.clock_us == sent.clock_us);
    CHECK(got.echo_us == sent.echo_us);
    CHECK(got.leader_commit == sent.leader_commit);
    CHECK(got.confirmed_age_us == sent.confirmed_age_us);
    CHECK(got.digests == sent.digests);
    CHECK(got.entries.empty());
  }
}

TEST_CASE("an append's entries are described, and their bytes stay where they are") {
  const PeerMessage sent = sample_append();
  const Bytes body = body_of(sent);
  const auto received = decode_peer_message(body);
  REQUIRE(received);
  const PeerMessage& got = received->message;
  REQUIRE(got.entries.size() == 3);
  REQUIRE(got.payload.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(got.entries[i].index == LogIndex(41 + i));
    CHECK(got.entries[i].size == sent.payload[i].size());
    CHECK(as_text(got.payload[i].view()) == as_text(sent.payload[i].view()));
    CHECK(got.payload[i].data() > body.data());
    CHECK(got.payload[i].data() < body.data() + body.size());
    CHECK(reinterpret_cast<std::uintptr_t>(got.payload[i].data()) % 8 == 0);
  }
  CHECK(got.entries[0].term == Term(4));
  CHECK(got.entries[2].term == Term(5));
  CHECK_FALSE(got.entries[1].membership);
  CHECK(got.entries[2].membership == sample_membership());
}

TEST_CASE("an append whose entries do not continue the log is refused") {
  PeerMessage message = sample_append();
  const auto error_with = [&](auto change) {
    PeerMessage changed = message;
    change(changed);
    return error_of(body_of(changed));
  };
  CHECK(mentions(error_with([](auto& m) { m.log_index = LogIndex(39); }), "follows entry 39"));
  CHECK(mentions(error_with([](auto& m) { m.payload.erase(m.payload.begin() + 1); }),
                 "entry 43 follows entry 41"));
  CHECK(mentions(error_with([](auto& m) { m.log_term = Term(5); }), "of term 4 follows term 5"));
  CHECK(mentions(error_with([](auto& m) { m.payload[1] = sample_entry(42, 3); }),
                 "of term 3 follows term 4"));
  CHECK(mentions(error_with([](auto& m) { m.term = Term(4); }), "in a message of term 4"));
  Envelope other = kEnvelope;
  other.cluster = sample_cluster(0x77);
  CHECK(mentions(error_of(body_of(message, other)), "is of cluster"));
}

TEST_CASE("entries may come with an append only, and all of them must be there") {
  const Bytes body = body_of(sample_append());
  const Bytes entry = sample_entry(44, 5);
  std::vector<std::uint8_t> longer(body.view().begin(), body.view().end());
  longer.insert(longer.end(), entry.view().begin(), entry.view().end());
  CHECK(mentions(error_of(Bytes::copy_of(longer)), "trailing bytes after the last entry"));
  for (std::size_t size = 0; size < body.size(); ++size) {
    REQUIRE_FALSE(decode_peer_message(Bytes::copy_of(body.view().first(size))));
  }

  flatbuffers::FlatBufferBuilder builder;
  const auto head = [&](std::uint8_t kind, std::uint32_t count) {
    builder.Clear();
    fb::peer::PeerMessageBuilder message(builder);
    message.add_kind(kind);
    message.add_from(1);
    message.add_to(2);
    message.add_entry_count(count);
    builder.FinishSizePrefixed(message.Finish());
    std::vector<std::uint8_t> bytes(builder.GetBufferPointer(),
                                    builder.GetBufferPointer() + builder.GetSize());
    bytes.resize((bytes.size() + 7) / 8 * 8);
    return Bytes::copy_of(bytes);
  };
  CHECK(error_of(head(7, 0)).empty());
  CHECK(decode_peer_message(head(7, 0))->message.digests == DigestNote{});  // of an older build
  CHECK(mentions(error_of(head(7, 1)), "kind 7 with 1 entries"));
  CHECK(mentions(error_of(head(5, 0xffffffff)), "4294967295 entries in 0 bytes"));
  CHECK(mentions(error_of(head(0, 0)), "kind 0 is unknown"));
  CHECK(mentions(error_of(head(15, 0)), "kind 15 is unknown"));
}

TEST_CASE("a peer message without sender or addressee is refused") {
  PeerMessage message;
  message.from = NodeId(1);
  CHECK(mentions(error_of(body_of(message)), "no addressee"));
  message.from = NodeId(0);
  message.to = NodeId(1);
  CHECK(mentions(error_of(body_of(message)), "no sender"));
}

TEST_CASE("a term that no election reaches is refused, in each place of a message") {
  for (Term PeerMessage::*field :
       {&PeerMessage::term, &PeerMessage::log_term, &PeerMessage::hint_term}) {
    PeerMessage message;
    message.from = NodeId(1);
    message.to = NodeId(2);
    message.*field = kTermMax;
    CHECK(error_of(body_of(message)).empty());
    message.*field = kTermMax + 1;
    CHECK(mentions(error_of(body_of(message)), "no election reaches"));
  }
}

TEST_CASE("a membership entry that carries no membership is refused") {
  PeerMessage message = sample_append();
  Membership lame = sample_membership();
  lame.voters.clear();
  for (const auto& bytes : {std::vector<std::uint8_t>(16, 0xff), encode_membership(lame)}) {
    message.payload[2] = make_membership_entry(
        {.cluster = sample_cluster(), .term = Term(5), .index = LogIndex(43), .time_us = 1}, bytes);
    CHECK(mentions(error_of(body_of(message)), "membership"));
  }
}

TEST_CASE("a message of another cluster, run, sender or addressee does not fit its connection") {
  const auto fits = [](const ExpectedEnvelope& wanted) {
    return wire::fits(kEnvelope, NodeId(1), NodeId(2), wanted);
  };
  const ExpectedEnvelope expected{
      .cluster = kEnvelope.cluster, .boot = kEnvelope.boot, .from = NodeId(1), .to = NodeId(2)};
  CHECK(fits(expected));
  ExpectedEnvelope other = expected;
  other.cluster.bytes[3] ^= 1;
  CHECK_FALSE(fits(other));
  other = expected;
  other.boot = BootId(0xb008);
  CHECK_FALSE(fits(other));
  other = expected;
  other.from = NodeId(3);
  CHECK_FALSE(fits(other));
  other = expected;
  other.to = NodeId(3);
  CHECK_FALSE(fits(other));
}

TEST_CASE("a damaged peer message is refused or decodes to something harmless") {
  const Bytes body = body_of(sample_append());
  std::size_t head = body.size();
  for (const Bytes& entry : sample_append().payload) head -= entry.size();
  Prng random(3);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes::Builder damaged(body.size());
    std::memcpy(damaged.data(), body.data(), body.size());
    const std::size_t at = random.below(body.size());
    damaged.data()[at] ^= static_cast<std::uint8_t>(random.between(1, 255));
    const auto received = decode_peer_message(Bytes(std::move(damaged)));
    refused += received ? 0 : 1;
    // The frame's checksum covers the head; the entries have their own.
    if (at >= head) REQUIRE_FALSE(received);
  }
  CHECK(refused > 10'000);
}

}  // namespace bib::wire
