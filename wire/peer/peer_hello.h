// The first frames on a connection between nodes, and the request of a new node to join.
//
// Hello: who dials, of which cluster, in which run (boot id); the answer says who was reached, or
// refuses with an error for a person. A connection then carries the dialler's messages only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"

namespace bib::wire {

inline constexpr std::uint32_t kPeerProtocol = 1;

// Why a node that greets is refused; beyond what the error's code says. The node acts on it; one
// that it does not know is like kNone to it.
enum class HelloRefusal : std::uint8_t {
  kNone = 0,
  kRemoved = 1,    // no member any more, as of membership_index
  kLogLost = 2,    // another log than it joined with, or one that has lost what it acknowledged
  kRunsTwice = 3,  // another run of it answers at its address, and has while this one ran
};

struct PeerHello {
  std::uint32_t protocol = kPeerProtocol;
  ClusterId cluster;
  std::string cluster_name;
  NodeId from;
  BootId boot;
  NodeId to;
  LogPosition log_last;       // where the dialler's log ends
  std::string raft_address;   // where the dialler itself is dialled, so that it can be answered
  std::uint64_t log_id = 0;   // of the log that the dialler has
  Term term;                  // durable
  LogIndex membership_index;  // of the membership that it knows to be committed; 0: none
};

struct PeerHelloReply {
  std::uint32_t protocol = kPeerProtocol;
  ClusterId cluster;
  NodeId from;
  BootId boot;
  Error error{ErrorCode::kNone, {}};  // kNone: welcome
  HelloRefusal refusal = HelloRefusal::kNone;
  LogIndex membership_index;
};

struct JoinRequest {
  std::uint32_t protocol = kPeerProtocol;
  std::string cluster_name;
  std::string token;  // the secret
  Member node;
};

struct JoinReply {
  Error error{ErrorCode::kNone, {}};  // kNone: the node is a member from now on
  std::string leader_address;         // kNotLeader: ask there
  ClusterId cluster;
  Membership membership;
};

std::vector<std::uint8_t> encode(const PeerHello& hello);
std::vector<std::uint8_t> encode(const PeerHelloReply& reply);
std::vector<std::uint8_t> encode(const JoinRequest& request);
std::vector<std::uint8_t> encode(const JoinReply& reply);
Result<PeerHello> decode_peer_hello(ByteView body);
Result<PeerHelloReply> decode_peer_hello_reply(ByteView body);
Result<JoinRequest> decode_join_request(ByteView body);
Result<JoinReply> decode_join_reply(ByteView body);

}  // namespace bib::wire
