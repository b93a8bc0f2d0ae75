#include "engine/uv/wrong_port.h"

#include <fmt/format.h>

#include "wire/client/client_message.h"

namespace bib::engine {

using wire::FrameKind;

std::string what_answers(const wire::Frame& frame) {
  if (frame.kind == FrameKind::kErrorReply) {
    const auto reply = wire::decode_error_reply(frame.body.view());
    if (reply) return std::string(reply->message);
  }
  if (frame.kind >= FrameKind::kClientHello) {
    return "that is an address for clients (api.listen_addr); nodes are reached at another one "
           "(cluster.listen_addr)";
  }
  return fmt::format("it answers with a frame of kind {}, not as a node does",
                     static_cast<unsigned>(frame.kind));
}

}  // namespace bib::engine
