// A simulated node towards the others: what the network brings it, as bibd's peer network would.
#include <utility>

#include "sim_node.h"

namespace bib::sim {

using wire::ErrorCode;

void SimNode::on_peer_message(wire::PeerMessage&& message) {
  happen([this, held = std::move(message)]() mutable {
    if (!is_running()) return;
    process_->peers.heard(index_of(held.from));
    const wire::PeerMessage head = held;  // the driver takes the payload; the oracle the rest
    message_was_taken_ = false;
    process_->node->peers().on_peer_message(std::move(held));
    if (message_was_taken_ && is_running()) world_.oracle.after_message(*this, head);
  });
}

void SimNode::on_snapshot_request(wire::SnapshotRequest&& request) {
  if (request.problem != wire::SnapshotProblem::kNone) {
    on_useless_snapshot({request.index, request.term});
  }
  happen([this, held = request] {
    if (is_running()) process_->node->peers().on_snapshot_request(held);
  });
}

void SimNode::on_snapshot_part(wire::SnapshotPart&& part) {
  happen([this, held = std::move(part)]() mutable {
    if (is_running()) process_->node->peers().on_snapshot_part(std::move(held));
  });
}

void SimNode::on_peer_connected(wire::NodeId peer) {
  happen([this, peer] {
    if (!is_running()) return;
    process_->peers.on_connected(index_of(peer));
    process_->node->peers().on_peer_connected(peer);
  });
}

void SimNode::on_peer_disconnected(wire::NodeId peer) {
  happen([this, peer] {
    if (is_running()) process_->node->peers().on_peer_disconnected(peer);
  });
}

wire::PeerHello SimNode::hello() const {
  wire::PeerHello hello;
  hello.cluster = world_.cluster;
  hello.from = id();
  hello.boot = boot();
  hello.raft_address = peer_address(index_);
  process_->node->peers().complete_hello(hello);
  return hello;
}

std::optional<std::string> SimNode::check_hello(const wire::PeerHello& hello) {
  wire::PeerHelloReply reply;
  process_->node->peers().check_hello(hello, reply);
  if (reply.error.code == ErrorCode::kNone) return std::nullopt;
  if (reply.refusal == wire::HelloRefusal::kLogLost) {
    world_.oracle.on_called_lost(*this, hello.from, reply.error);
  }
  return reply.error.message;
}

void SimNode::on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) {
  happen([this, by, reply] {
    if (is_running()) process_->node->peers().on_refused(by, reply);
  });
}

void SimNode::expect_term(wire::Term term) {
  world_.oracle.expect_term(term);
}

engine::Claims::Verdict SimNode::judge(const wire::PeerHello& hello) {
  return process_->peers.judge(hello);
}

unsigned SimNode::answered_in_a_row(NodeIndex peer) const {
  return process_->peers.answered_in_a_row(peer);
}

void SimNode::on_arrival(const wire::PeerMessage& message) {
  if (world_.plan.network.greets && process_->node->parts().guard->on_message(message)) {
    world_.oracle.check_counted(*this, message);
  }
}

}  // namespace bib::sim
