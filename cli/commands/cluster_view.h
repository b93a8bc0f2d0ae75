// ClusterView: the state of a cluster as one node, at best the leader, sees it.
//
// fetch_cluster_view() asks any node and then the leader that it names, because only the leader
// knows how far the others are. Values of their own; pure functions judge and print them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands/context.h"
#include "wire/client/client_message.h"

namespace bib::cli {

struct MemberView {
  wire::NodeId id;
  std::string raft_address;
  std::string api_address;
  bool voter = true;
  bool leader = false;
  bool known = false;  // healthy and behind are
  bool healthy = false;
  std::uint64_t behind = 0;  // entries
  bool incoming = false;     // votes, and will when a joint change is left
  bool outgoing = false;     // votes until a joint change is left
  bool wants_vote = false;   // a non-voter that is promoted once it has caught up
  bool caught_up = false;
  std::string report;  // what it has told of itself; empty: nothing
  wire::RowsVerdict rows = wire::RowsVerdict::kUnknown;
};

struct ProjectionView {
  std::string name;
  std::uint32_t version = 0;
  std::uint64_t rows = 0;
  std::string digest;  // 32 hex digits
};

struct ClusterView {
  std::string cluster_id;
  std::string cluster_name;
  wire::NodeId node;  // who was asked
  std::string node_version;
  std::string role;  // of the node asked
  wire::NodeId leader;
  wire::Term term;
  wire::LogIndex commit;
  wire::LogIndex applied;
  wire::LogIndex last;
  wire::LogIndex first;
  std::vector<MemberView> members;
  std::vector<ProjectionView> projections;
  std::uint64_t uptime_us = 0;
  std::uint64_t resident_bytes = 0;
  wire::LogIndex membership_index;
  bool membership_committed = true;
  bool joint = false;
  bool auto_leave = false;
  std::optional<std::uint64_t> age_us;  // how old the rows of the node asked are at most
  std::vector<std::pair<std::string, std::uint64_t>> counters;  // of the node asked

  const MemberView* leader_member() const;
};

ClusterView to_view(const wire::StatusReply& reply);

// Voters of whom a majority decides.
struct Majority {
  std::size_t voters = 0;
  std::size_t needed = 1;
  std::size_t healthy = 0;

  bool is_there() const { return healthy >= needed; }
  std::size_t spare() const { return is_there() ? healthy - needed : 0; }
};

// How many voters may fail. `known` is false when no leader said who is healthy.
struct Quorum {
  Majority voters;                   // in a joint phase: those to come
  std::optional<Majority> outgoing;  // in a joint phase: those until then; both majorities decide
  bool known = false;

  bool has_quorum() const {
    return known && voters.is_there() && (!outgoing || outgoing->is_there());
  }
  // Whoever they are.
  std::size_t tolerates() const {
    if (!has_quorum()) return 0;
    return outgoing ? std::min(voters.spare(), outgoing->spare()) : voters.spare();
  }
};
Quorum judge(const ClusterView& view);

// "healthy", "degraded", "no quorum", "no leader".
std::string state_text(const ClusterView& view);
// "Quorum: 2/3 (healthy), tolerates 1 more failure": needed of all voters, and the verdict.
std::string quorum_text(const Quorum& quorum);
// What a joint phase waits for: "automatic", "explicit" or null; and for people, or empty.
Json leave_json(const ClusterView& view);
std::string joint_text(const ClusterView& view);

// The members as every command shows them: an array, and a table.
Json members_json(const ClusterView& view);
std::string members_text(const ClusterView& view);

Json to_json(const ClusterView& view);
std::string to_text(const ClusterView& view);

wire::Result<ClusterView> fetch_cluster_view(const Context& context);
// Asks this node and no other.
wire::Result<ClusterView> fetch_node_view(const Context& context, const ServerAddress& address);

// A leader without a majority takes a request and cannot answer it. One that waited in vain is told
// so, as far as a node that can be reached knows: kTimeout becomes kNoQuorum. Asks for at most a
// second; other errors stay as they are.
wire::Error explained(const Context& context, wire::Error error);

}  // namespace bib::cli
