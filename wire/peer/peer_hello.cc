#include "wire/peer/peer_hello.h"

#include "wire/base/flatbuffers_io.h"
#include "wire/base/membership_flatbuffers.h"
#include "wire/peer/join_token.h"

namespace bib::wire {
namespace {

constexpr std::size_t kTokenSizeMax = 1024;
constexpr std::size_t kAddressSizeMax = 512;
constexpr std::size_t kErrorMessageSizeMax = 4096;
constexpr std::size_t kBodySizeMax = 1U << 20;

template <typename Table>
std::vector<std::uint8_t> finish(Fbb& builder, flatbuffers::Offset<Table> root) {
  builder.Finish(root);
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

// A verified table, and the aligned bytes in which it lies.
template <typename Table>
struct Opened {
  Bytes bytes;
  const Table* operator->() const { return flatbuffers::GetRoot<Table>(bytes.data()); }
};

template <typename Table>
Result<Opened<Table>> open(ByteView body, const char* what) {
  if (body.size() > kBodySizeMax) {
    return fail(ErrorCode::kInvalid, "{} of {} bytes is above the limit of {}", what, body.size(),
                kBodySizeMax);
  }
  Opened<Table> opened{.bytes = Bytes::copy_of(body)};
  flatbuffers::Verifier verifier(opened.bytes.data(), opened.bytes.size());
  if (!verifier.VerifyBuffer<Table>(nullptr)) {
    return fail(ErrorCode::kInvalid, "{} bytes are not {}: they do not verify", body.size(), what);
  }
  return opened;
}

Result<std::string> read_text(const flatbuffers::String* text, std::size_t size_max,
                              const char* field) {
  if (text == nullptr) return std::string();
  if (text->size() > size_max) {
    return fail(ErrorCode::kInvalid, "{} of {} bytes is above the limit of {}", field, text->size(),
                size_max);
  }
  return text->str();
}

Result<Error> read_error(std::uint8_t code, const flatbuffers::String* message) {
  BIB_TRY(std::string text, read_text(message, kErrorMessageSizeMax, "error_message"));
  return Error{static_cast<ErrorCode>(code), std::move(text)};
}

Status check_member(const Member& member) {
  if (member.id == NodeId(0)) return fail(ErrorCode::kInvalid, "the node that joins has no id");
  for (const std::string* address : {&member.raft_address, &member.api_address}) {
    if (address->empty() || address->size() > kAddressSizeMax) {
      return fail(ErrorCode::kInvalid,
                  "node {} gives an address of {} bytes; it must have one for peers and one for "
                  "clients, each of at most {} bytes",
                  to_string(member.id), address->size(), kAddressSizeMax);
    }
  }
  return {};
}

}  // namespace

std::vector<std::uint8_t> encode(const PeerHello& hello) {
  Fbb builder;
  const auto name = builder.CreateString(hello.cluster_name);
  const auto raft_address = builder.CreateString(hello.raft_address);
  const auto cluster = to_fb_id<fb::peer::Id128>(hello.cluster);
  return finish(builder, fb::peer::CreateHello(
                             builder, hello.protocol, &cluster, name, hello.from.value(),
                             hello.boot.value(), hello.to.value(), hello.log_last.index.value(),
                             raft_address, hello.log_id, hello.term.value(),
                             hello.membership_index.value(), hello.log_last.term.value()));
}

std::vector<std::uint8_t> encode(const PeerHelloReply& reply) {
  Fbb builder;
  const auto message = builder.CreateString(reply.error.message);
  const auto cluster = to_fb_id<fb::peer::Id128>(reply.cluster);
  return finish(builder,
                fb::peer::CreateHelloReply(
                    builder, reply.protocol, &cluster, reply.from.value(), reply.boot.value(),
                    static_cast<std::uint8_t>(reply.error.code), message,
                    static_cast<std::uint8_t>(reply.refusal), reply.membership_index.value()));
}

std::vector<std::uint8_t> encode(const JoinRequest& request) {
  Fbb builder;
  const auto name = builder.CreateString(request.cluster_name);
  const auto token = builder.CreateString(request.token);
  const auto node = build_member(builder, request.node);
  return finish(builder, fb::peer::CreateJoinRequest(builder, request.protocol, name, token, node));
}

std::vector<std::uint8_t> encode(const JoinReply& reply) {
  Fbb builder;
  const auto message = builder.CreateString(reply.error.message);
  const auto leader = builder.CreateString(reply.leader_address);
  const auto membership = build_membership(builder, reply.membership);
  const auto cluster = to_fb_id<fb::peer::Id128>(reply.cluster);
  return finish(builder,
                fb::peer::CreateJoinReply(builder, static_cast<std::uint8_t>(reply.error.code),
                                          message, leader, &cluster, membership));
}

Result<PeerHello> decode_peer_hello(ByteView body) {
  BIB_TRY(const auto table, open<fb::peer::Hello>(body, "a peer's hello"));
  PeerHello hello;
  hello.protocol = table->protocol();
  hello.cluster = id_of<ClusterId>(table->cluster());
  BIB_TRY(hello.cluster_name,
          read_text(table->cluster_name(), kClusterNameSizeMax, "cluster_name"));
  hello.from = NodeId(table->from());
  hello.boot = BootId(table->boot());
  hello.to = NodeId(table->to());
  hello.log_last = {LogIndex(table->log_last_index()), Term(table->log_last_term())};
  BIB_TRY(hello.raft_address, read_text(table->raft_address(), kAddressSizeMax, "raft_address"));
  hello.log_id = table->log_id();
  hello.term = Term(table->term());
  hello.membership_index = LogIndex(table->membership_index());
  if (hello.from == NodeId(0)) return fail(ErrorCode::kInvalid, "a peer's hello names no sender");
  for (const Term term : {hello.term, hello.log_last.term}) {
    if (term <= kTermMax) continue;
    return fail(ErrorCode::kInvalid, "a peer's hello names term {}, which no election reaches",
                term.value());
  }
  return hello;
}

Result<PeerHelloReply> decode_peer_hello_reply(ByteView body) {
  BIB_TRY(const auto table, open<fb::peer::HelloReply>(body, "a reply to a peer's hello"));
  PeerHelloReply reply;
  reply.protocol = table->protocol();
  reply.cluster = id_of<ClusterId>(table->cluster());
  reply.from = NodeId(table->from());
  reply.boot = BootId(table->boot());
  BIB_TRY(reply.error, read_error(table->error_code(), table->error_message()));
  reply.refusal = static_cast<HelloRefusal>(table->refusal());
  reply.membership_index = LogIndex(table->membership_index());
  return reply;
}

Result<JoinRequest> decode_join_request(ByteView body) {
  BIB_TRY(const auto table, open<fb::peer::JoinRequest>(body, "a request to join"));
  JoinRequest request;
  request.protocol = table->protocol();
  BIB_TRY(request.cluster_name,
          read_text(table->cluster_name(), kClusterNameSizeMax, "cluster_name"));
  BIB_TRY(request.token, read_text(table->token(), kTokenSizeMax, "token"));
  if (table->node() == nullptr) {
    return fail(ErrorCode::kInvalid, "a request to join names no node");
  }
  request.node = read_member(*table->node());
  BIB_TRY_VOID(check_member(request.node));
  return request;
}

Result<JoinReply> decode_join_reply(ByteView body) {
  BIB_TRY(const auto table, open<fb::peer::JoinReply>(body, "a reply to a request to join"));
  JoinReply reply;
  BIB_TRY(reply.error, read_error(table->error_code(), table->error_message()));
  BIB_TRY(reply.leader_address,
          read_text(table->leader_address(), kAddressSizeMax, "leader_address"));
  reply.cluster = id_of<ClusterId>(table->cluster());
  if (reply.error.code != ErrorCode::kNone) return reply;  // no membership comes with a refusal
  if (table->membership() == nullptr || reply.cluster.is_none()) {
    return fail(ErrorCode::kInvalid, "a welcome without a cluster or without its membership");
  }
  BIB_TRY(reply.membership, read_membership(*table->membership()));
  return reply;
}

}  // namespace bib::wire
