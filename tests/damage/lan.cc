#include "lan.h"

namespace bib::damage {
namespace {

constexpr Time kLatency = kMillisecond;
constexpr Time kLookEvery = 10 * kMillisecond;
constexpr Time kRefusedWait = 500 * kMillisecond;

}  // namespace

Machine* Lan::find(wire::NodeId id) const {
  for (Machine* machine : machines_) {
    if (machine->id() == id) return machine;
  }
  return nullptr;
}

bool Lan::is_connected(wire::NodeId from, wire::NodeId to) const {
  const auto link = links_.find({from, to});
  return link != links_.end() && link->second.up;
}

void Lan::look() {
  timeline_.after(kLookEvery, [this] { look(); });
  for (Machine* from : machines_) {
    for (Machine* to : machines_) {
      if (from == to || !from->is_running() || !to->is_running()) continue;
      Link& link = links_[{from->id(), to->id()}];
      if (!link.up && timeline_.now() >= link.next_dial) dial(*from, *to, link);
    }
  }
}

void Lan::dial(Machine& from, Machine& to, Link& link) {
  wire::PeerHello hello;
  hello.cluster = from.node().parts().cluster;
  hello.cluster_name = from.node().parts().config.cluster_name;
  hello.from = from.id();
  hello.boot = wire::BootId(from.boot());
  hello.to = to.id();
  from.node().peers().complete_hello(hello);
  wire::PeerHelloReply reply;
  reply.cluster = to.node().parts().cluster;
  reply.from = to.id();
  reply.boot = wire::BootId(to.boot());
  if (hello.cluster == reply.cluster) {
    to.happen([&] { to.node().peers().check_hello(hello, reply); });
  } else {
    reply.error = {wire::ErrorCode::kForbidden, "another cluster"};
    to.happen([&] { to.node().peers().on_claimed(hello); });
  }
  if (!from.is_running() || !to.is_running()) return;
  if (reply.error.code == wire::ErrorCode::kNone) {
    link.up = true;
    ++link.epoch;
    from.happen([&] { from.node().peers().on_peer_connected(to.id()); });
    return;
  }
  link.next_dial = timeline_.now() + kRefusedWait;
  if (hello.cluster == reply.cluster && reply.refusal != wire::HelloRefusal::kNone) {
    from.happen([&] { from.node().peers().on_refused(to.id(), reply); });
  }
}

void Lan::send(wire::NodeId from, wire::NodeId to, std::function<void(Machine&)> deliver) {
  const auto link = links_.find({from, to});
  if (link == links_.end() || !link->second.up) return;
  timeline_.after(kLatency,
                  [this, from, to, epoch = link->second.epoch, deliver = std::move(deliver)] {
                    const Link& now = links_[{from, to}];
                    Machine* machine = find(to);
                    if (now.up && now.epoch == epoch && machine->is_running()) {
                      machine->happen([&] { deliver(*machine); });
                    }
                  });
}

void Lan::stopped(Machine& machine) {
  for (Machine* other : machines_) {
    if (other == &machine) continue;
    links_[{other->id(), machine.id()}].up = false;
    Link& incoming = links_[{machine.id(), other->id()}];
    if (!std::exchange(incoming.up, false) || !other->is_running()) continue;
    timeline_.after(kLatency, [other, id = machine.id()] {
      if (!other->is_running()) return;
      other->happen([&] { other->node().peers().on_peer_disconnected(id); });
    });
  }
}

bool Lan::ask_to_join(std::size_t which, const wire::JoinRequest& request,
                      std::function<void(const wire::JoinReply&)> reply) {
  Machine* asked = machines_[which % machines_.size()];
  if (!asked->is_running()) return false;
  timeline_.after(kLatency, [asked, request, reply = std::move(reply)] {
    if (!asked->is_running()) return;
    asked->happen([&] { asked->node().peers().on_join_request(request, reply); });
  });
  return true;
}

}  // namespace bib::damage
