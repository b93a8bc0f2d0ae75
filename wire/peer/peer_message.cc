#include "wire/peer/peer_message.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "schema/peer_generated.h"
#include "wire/base/check.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/base/little_endian.h"
#include "wire/base/mutant.h"

namespace bib::wire {
namespace {

// The head holds a few numbers: far below this.
constexpr std::size_t kHeadSizeMax = 1024;
constexpr std::size_t kSizePrefix = sizeof(std::uint32_t);

template <typename... Args>
tl::unexpected<Error> bad_message(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalid, "not a valid peer message: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

bool is_known(MessageKind kind) {
  return std::find(std::begin(kMessageKinds), std::end(kMessageKinds), kind) !=
         std::end(kMessageKinds);
}

struct Head {
  Envelope envelope;
  PeerMessage message;
  std::uint32_t entry_count = 0;
  std::size_t size = 0;  // with prefix and padding: where the entries begin
};

void read_fields(const fb::peer::PeerMessage& table, Head& head) {
  head.envelope.cluster = id_of<ClusterId>(table.cluster());
  head.envelope.boot = BootId(table.boot());
  head.entry_count = table.entry_count();
  PeerMessage& message = head.message;
  message.kind = static_cast<MessageKind>(table.kind());
  message.from = NodeId(table.from());
  message.to = NodeId(table.to());
  message.term = Term(table.term());
  message.log_index = LogIndex(table.log_index());
  message.log_term = Term(table.log_term());
  message.commit = LogIndex(table.commit());
  message.rejected = table.rejected();
  message.match = LogIndex(table.match());
  message.hint_index = LogIndex(table.hint_index());
  message.hint_term = Term(table.hint_term());
  message.transfer = table.transfer();
  message.context = table.context();
  message.clock_us = table.clock_us();
  message.echo_us = table.echo_us();
  message.leader_commit = LogIndex(table.leader_commit());
  message.confirmed_age_us = table.confirmed_age_us();
  DigestNote& digests = message.digests;
  digests.asked = LogIndex(table.digests_asked());
  digests.index = LogIndex(table.digests_index());
  digests.form = table.digests_form();
  digests.disputed = table.digests_disputed();
  if (const auto* values = table.digests()) digests.values.assign(values->begin(), values->end());
}

Result<Head> read_head(ByteView body) {
  if (body.size() < kSizePrefix) return bad_message("{} bytes", body.size());
  const std::uint64_t unpadded = kSizePrefix + std::uint64_t{load_u32(body.data())};
  Head head;
  head.size = round_up(unpadded, 8);
  if (unpadded > kHeadSizeMax || head.size > body.size()) {
    return bad_message("a head of {} bytes in {}; the limit is {}", unpadded, body.size(),
                       kHeadSizeMax);
  }
  // Copied, because FlatBuffers reads by 8-byte loads and the body may stand anywhere.
  alignas(8) std::array<std::uint8_t, kHeadSizeMax> aligned;
  std::memcpy(aligned.data(), body.data(), unpadded);
  flatbuffers::Verifier verifier(aligned.data(), unpadded);
  if (!verifier.VerifySizePrefixedBuffer<fb::peer::PeerMessage>(nullptr)) {
    return bad_message("the head does not verify");
  }
  const auto& table = *flatbuffers::GetSizePrefixedRoot<fb::peer::PeerMessage>(aligned.data());
  if (!is_known(static_cast<MessageKind>(table.kind()))) {
    return bad_message("kind {} is unknown", table.kind());
  }
  read_fields(table, head);
  if (head.message.from == NodeId(0) || head.message.to == NodeId(0)) {
    return bad_message("it names no sender or no addressee");
  }
  const PeerMessage& message = head.message;
  for (const Term term : {message.term, message.log_term, message.hint_term}) {
    if (term > kTermMax)
      return bad_message("term {} is one that no election reaches", term.value());
  }
  return head;
}

// `previous`: the entry before it, or the message's log_index and log_term.
Result<EntryInfo> read_entry(ByteView bytes, const Head& head, LogPosition previous) {
  BIB_TRY(const EntryHeader entry, verify_entry(bytes));
  if (entry.cluster != head.envelope.cluster) {
    return bad_message("entry {} is of cluster {}, the message of {}", entry.index.value(),
                       to_string(entry.cluster), to_string(head.envelope.cluster));
  }
  if (entry.index != previous.index + 1) {
    return bad_message("entry {} follows entry {}", entry.index.value(), previous.index.value());
  }
  if (entry.term < previous.term || entry.term > head.message.term) {
    return bad_message("entry {} of term {} follows term {} in a message of term {}",
                       entry.index.value(), entry.term.value(), previous.term.value(),
                       head.message.term.value());
  }
  EntryInfo info{
      .index = entry.index, .term = entry.term, .size = entry.size, .membership = std::nullopt};
  if (entry.kind == EntryKind::kMembership) {
    BIB_TRY(info.membership,
            decode_membership(bytes.subspan(kEntryHeaderSize, entry.stored_body_size)));
  }
  return info;
}

}  // namespace

std::string_view kind_name(MessageKind kind) {
  switch (kind) {
#define BIB_MESSAGE_KIND(enumerator, number, name) \
  case MessageKind::enumerator:                    \
    return name;
    BIB_MESSAGE_KINDS(BIB_MESSAGE_KIND)
#undef BIB_MESSAGE_KIND
  }
  return "unknown";
}

std::vector<std::uint8_t> encode_peer_message_head(const Envelope& envelope,
                                                   const PeerMessage& message) {
  BIB_CHECK(message.kind == MessageKind::kAppend || message.entries.empty());
  flatbuffers::FlatBufferBuilder builder(512);
  const auto cluster = to_fb_id<fb::peer::Id128>(envelope.cluster);
  const DigestNote& digests = message.digests;
  flatbuffers::Offset<flatbuffers::Vector<std::uint64_t>> values;
  if (!digests.values.empty()) values = builder.CreateVector(digests.values);
  builder.FinishSizePrefixed(fb::peer::CreatePeerMessage(
      builder, &cluster, envelope.boot.value(), static_cast<std::uint8_t>(message.kind),
      message.from.value(), message.to.value(), message.term.value(), message.log_index.value(),
      message.log_term.value(), message.commit.value(), message.rejected, message.match.value(),
      message.hint_index.value(), message.hint_term.value(), message.transfer, message.context,
      static_cast<std::uint32_t>(message.entries.size()), message.clock_us, message.echo_us,
      message.leader_commit.value(), message.confirmed_age_us, digests.asked.value(),
      digests.index.value(), digests.form, values, digests.disputed));
  BIB_CHECK(builder.GetSize() <= kHeadSizeMax, "a head of {} bytes", builder.GetSize());
  std::vector<std::uint8_t> head(builder.GetBufferPointer(),
                                 builder.GetBufferPointer() + builder.GetSize());
  head.resize(round_up(head.size(), 8));
  return head;
}

Result<ReceivedPeerMessage> decode_peer_message(const Bytes& body) {
  BIB_TRY(Head head, read_head(body.view()));
  PeerMessage& message = head.message;
  if (message.kind != MessageKind::kAppend && head.entry_count != 0) {
    return bad_message("kind {} with {} entries", static_cast<unsigned>(message.kind),
                       head.entry_count);
  }
  std::size_t at = head.size;
  if (head.entry_count > (body.size() - at) / kEntryHeaderSize) {
    return bad_message("{} entries in {} bytes", head.entry_count, body.size() - at);
  }
  message.entries.reserve(head.entry_count);
  message.payload.reserve(head.entry_count);
  LogPosition previous{.index = message.log_index, .term = message.log_term};
  for (std::uint32_t i = 0; i < head.entry_count; ++i) {
    BIB_TRY(EntryInfo info, read_entry(body.view().subspan(at), head, previous));
    message.payload.push_back(body.slice(at, info.size));
    at += info.size;
    previous = {.index = info.index, .term = info.term};
    message.entries.push_back(std::move(info));
  }
  if (at != body.size()) {
    return bad_message("{} trailing bytes after the last entry", body.size() - at);
  }
  return ReceivedPeerMessage{.envelope = head.envelope, .message = std::move(head.message)};
}

bool fits(const Envelope& envelope, NodeId from, NodeId to, const ExpectedEnvelope& expected) {
  const bool is_here = envelope.cluster == expected.cluster || BIB_MUTANT(kTakesOtherClusters);
  const bool is_now = envelope.boot == expected.boot || BIB_MUTANT(kTakesOtherBoots);
  return is_here && is_now && from == expected.from && to == expected.to;
}

}  // namespace bib::wire
