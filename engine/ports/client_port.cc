#include "engine/ports/client_port.h"

#include <fmt/format.h>

namespace bib::engine {

using wire::FrameKind;

void ClientPort::refuse(Asker asker, const wire::Error& error, const wire::Member* leader) {
  wire::ErrorReply reply;
  reply.code = error.code;
  reply.message = error.message;
  if (leader != nullptr) {
    reply.leader = leader->id;
    reply.leader_api_address = leader->api_address;
  }
  wire::ClientEncoder encoder;
  answer(asker, FrameKind::kErrorReply, encoder.encode(reply));
}

wire::Status deliver_request(ClientEvents& events, Asker asker, FrameKind kind,
                             wire::ByteView body) {
  switch (kind) {
    case FrameKind::kCommand: {
      BIB_TRY(const auto command, wire::decode_command(body));
      events.on_command(asker, command);
      return {};
    }
    case FrameKind::kQuery: {
      BIB_TRY(const auto query, wire::decode_query(body));
      events.on_query(asker, query);
      return {};
    }
    case FrameKind::kReadEvents: {
      BIB_TRY(const auto request, wire::decode_read_events(body));
      events.on_read_events(asker, request);
      return {};
    }
    case FrameKind::kSnapshots: {
      BIB_TRY(const auto request, wire::decode_snapshots(body));
      events.on_snapshots(asker, request);
      return {};
    }
    case FrameKind::kStatus:
      events.on_status(asker);
      return {};
    case FrameKind::kChangeMembership: {
      BIB_TRY(const auto request, wire::decode_change_membership(body));
      events.on_change_membership(asker, request);
      return {};
    }
    case FrameKind::kTransferLeadership: {
      BIB_TRY(const auto request, wire::decode_transfer_leadership(body));
      events.on_transfer(asker, request);
      return {};
    }
    default:
      return wire::fail(wire::ErrorCode::kInvalid, "a client does not send frames of kind {}",
                        static_cast<unsigned>(kind));
  }
}

}  // namespace bib::engine
