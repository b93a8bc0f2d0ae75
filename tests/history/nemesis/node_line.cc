#include "node_line.h"

namespace bib::nemesis {

wire::Result<wire::Frame> NodeLine::call(wire::FrameKind kind, wire::ByteView body) {
  auto answer = exchange(kind, body, cli::Clock::now() + timeout_);
  if (!answer) connection_.reset();
  return answer;
}

wire::Result<wire::Frame> NodeLine::exchange(wire::FrameKind kind, wire::ByteView body,
                                             cli::Clock::time_point deadline) {
  if (connection_ == nullptr) {
    BIB_TRY(connection_, cli::Connection::start(address_));
    wire::ClientEncoder encoder;
    wire::ClientHello hello;
    hello.client = client_;
    hello.program = "bib_nemesis";
    connection_->queue(wire::FrameKind::kClientHello, 0, encoder.encode(hello));
    BIB_TRY(const wire::Frame greeted, connection_->receive_frame(deadline));
    if (greeted.kind != wire::FrameKind::kServerHello) {
      return wire::fail(wire::ErrorCode::kIo, "a greeting is answered with something else");
    }
  }
  const std::uint64_t id = next_id_++;
  connection_->queue(kind, id, body);
  for (;;) {
    BIB_TRY(wire::Frame answer, connection_->receive_frame(deadline));
    if (answer.id == id) return answer;
  }
}

}  // namespace bib::nemesis
