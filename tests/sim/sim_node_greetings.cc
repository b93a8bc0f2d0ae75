// A simulated node's greetings, and what its guard says of those of others.
#include "sim_node.h"
#include "sim_process.h"

namespace bib::sim {

// As Node::complete_hello().
wire::PeerHello SimNode::hello() const {
  const consensus::Raft& raft = *this->raft();
  wire::PeerHello hello;
  hello.from = id();
  hello.log_last_index = raft.last_index();
  hello.log_id = process_->log->identity().log_id;
  hello.term = raft.term();
  if (const auto* committed = raft.committed_membership()) {
    hello.membership_index = committed->index;
  }
  return hello;
}

bool SimNode::is_member_of(const wire::Membership& membership) const {
  const wire::Member* line = membership.find(id());
  return line != nullptr && line->log_id == log_id_;
}

const engine::LogLocations* SimNode::durable_log_of(std::uint64_t log_id) const {
  if (log_id == log_id_) return durable_log_.get();
  const auto lost = lost_logs_.find(log_id);
  return lost == lost_logs_.end() ? nullptr : lost->second.get();
}

std::optional<std::string> SimNode::check_hello(const wire::PeerHello& hello) {
  const auto refusal = process_->guard->check(hello);
  if (!refusal) {
    process_->guard->admitted(hello);
    return std::nullopt;
  }
  if (refusal->kind == wire::HelloRefusal::kLogLost) {
    world_.oracle.on_called_lost(*this, hello.from, refusal->error);
  }
  return refusal->error.message;
}

void SimNode::on_arrival(const wire::PeerMessage& message) {
  if (world_.plan.network.greets && process_->guard->on_message(message)) {
    world_.oracle.check_counted(*this, message);
  }
}

}  // namespace bib::sim
