// MemberGuard: notices nodes that must not speak as members any more: removed ones, and ones whose
// disk has lost what they promised.
//
// Lives on the node loop; plain logic. Every node asks it about every node that greets. What it
// knows: the membership in effect, which is durable and names the log with which each member joined
// (a wiped disk has another one, under any leader and after any restart); and, as long as this
// process lives, the highest term that each peer has shown to have on its disk, and what each peer
// has acknowledged to this node while it leads (a disk that was rolled back has less).
#pragma once

#include <map>
#include <optional>

#include "consensus/raft.h"
#include "wire/peer/peer_hello.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

class MemberGuard {
 public:
  explicit MemberGuard(const consensus::Raft& raft) : raft_(raft) {}

  // A message of a peer, checked to be its own. False: it must not count. The peer was let in by a
  // node that did not know yet with which log it is a member, or that it has joined again.
  bool on_message(const wire::PeerMessage& message);

  struct Refusal {
    wire::HelloRefusal kind = wire::HelloRefusal::kNone;
    wire::Error error;
  };
  // Why the greeting node is not let in; nullopt: welcome.
  std::optional<Refusal> check(const wire::PeerHello& hello) const;
  // It was let in: with this log.
  void admitted(const wire::PeerHello& hello);

 private:
  struct Shown {
    std::uint64_t log_id = 0;
    wire::Term term;
  };

  bool is_log_of(wire::NodeId id, std::uint64_t log_id) const;
  bool is_led_by_another_member(wire::NodeId id) const;
  bool may_know_later_membership(const wire::PeerHello& hello) const;
  std::optional<Refusal> check_membership(const wire::PeerHello& hello) const;
  std::optional<Refusal> check_log(const wire::PeerHello& hello) const;
  std::optional<Refusal> check_memory(const wire::PeerHello& hello) const;

  const consensus::Raft& raft_;
  std::map<wire::NodeId, Shown> shown_;  // of members and nodes that are connected
};

}  // namespace bib::engine
