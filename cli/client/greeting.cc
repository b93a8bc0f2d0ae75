#include "cli/client/greeting.h"

#include "wire/base/version.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;

ServerInfo to_info(const wire::ServerHello& hello, const ServerAddress& address) {
  ServerInfo info;
  info.address = address;
  info.version = hello.version;
  info.node = hello.node;
  info.cluster = hello.cluster;
  info.cluster_name = hello.cluster_name;
  info.leader = hello.leader;
  info.leader_api_address = hello.leader_api_address;
  info.term = hello.term;
  for (const wire::MemberInfo& member : hello.members) {
    info.members.push_back({member.id, std::string(member.raft_address),
                            std::string(member.api_address), member.voter});
  }
  return info;
}

// What is not bib's protocol is no mistake of the user's in an argument: kInvalid would say so.
tl::unexpected<wire::Error> not_our_protocol(const wire::Error& error) {
  return wire::fail(ErrorCode::kUnsupported, "what answers there does not speak bib's protocol: {}",
                    error.message);
}

}  // namespace

wire::Result<std::unique_ptr<Greeting>> Greeting::start(const ServerAddress& address,
                                                        wire::ClientId client) {
  BIB_TRY(auto connection, Connection::start(address));
  wire::ClientEncoder encoder;
  const std::string program = fmt::format("bib {}", wire::version());
  wire::ClientHello hello;
  hello.client = client;
  hello.program = program;
  connection->queue(wire::FrameKind::kClientHello, 0, encoder.encode(hello));
  return std::unique_ptr<Greeting>(new Greeting(std::move(connection)));
}

wire::Result<std::optional<ServerInfo>> Greeting::advance() {
  BIB_TRY_VOID(connection_->flush());
  if (const auto received = connection_->receive(); !received) {
    // So does the port on which nodes talk to each other.
    if (connection_->was_closed()) {
      return wire::fail(ErrorCode::kIo,
                        "what answers there closes the connection to clients; is it the node's API "
                        "(api.listen_addr), and not its Raft port (cluster.listen_addr)?");
    }
    return tl::unexpected(received.error());
  }
  const auto frame = connection_->next();
  if (!frame && frame.error().code == ErrorCode::kInvalid) return not_our_protocol(frame.error());
  if (!frame) return tl::unexpected(frame.error());
  if (!*frame) return std::nullopt;
  if ((*frame)->kind == wire::FrameKind::kErrorReply) {
    const auto refusal = wire::decode_error_reply((*frame)->body.view());
    if (!refusal) return not_our_protocol(refusal.error());
    return wire::fail(refusal->code, "{}", refusal->message);
  }
  if ((*frame)->kind != wire::FrameKind::kServerHello) {
    return wire::fail(ErrorCode::kUnsupported, "the node answered a greeting with something else");
  }
  const auto answer = wire::decode_server_hello((*frame)->body.view());
  if (!answer) return not_our_protocol(answer.error());
  return to_info(*answer, connection_->address());
}

}  // namespace bib::cli
