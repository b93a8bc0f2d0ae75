// PeerNetwork: what leaves for the other nodes.
#include "engine/uv/peer_link.h"
#include "engine/uv/peer_network.h"

namespace bib::engine {

PeerNetwork::Link* PeerNetwork::established_link(wire::NodeId peer) {
  const auto link = links_.find(peer);
  if (link != links_.end() && link->second->is_established()) return link->second.get();
  drop(PeerDrop::kNotConnected);
  return nullptr;
}

void PeerNetwork::send(const wire::PeerMessage& message) {
  Link* link = established_link(message.to);
  if (link != nullptr && !link->send(message)) drop(PeerDrop::kFull);
}

void PeerNetwork::send(const wire::SnapshotRequest& what) {
  wire::SnapshotRequest request = what;
  request.envelope = {options_.cluster, options_.boot};
  request.from = options_.self;
  Link* link = established_link(request.to);
  if (link == nullptr) return;
  const auto body = wire::encode_snapshot_request(request);
  if (!link->send(wire::FrameKind::kSnapshotRequest, body, {})) drop(PeerDrop::kFull);
}

void PeerNetwork::send(const wire::SnapshotPart& what) {
  wire::SnapshotPart part = what;
  part.envelope = {options_.cluster, options_.boot};
  part.from = options_.self;
  Link* link = established_link(part.to);
  if (link == nullptr) return;
  const auto head = wire::encode_snapshot_part_head(part);
  if (!link->send(wire::FrameKind::kSnapshotPart, head, {part.bytes})) drop(PeerDrop::kFull);
}

void PeerNetwork::flush() {
  for (auto& [id, link] : links_) link->flush();
}

}  // namespace bib::engine
