// The member that lies: what a broken build or memory says, and nobody may believe
// (docs/decisions/0028-what-a-peer-says.md). It lies within the powers of one member: it is not the
// majority, and nothing here is what only the leader of a term can say of its own log.
#include <algorithm>
#include <utility>

#include "sim_network.h"
#include "wire/log/entry.h"

namespace bib::sim {

using wire::LogIndex;
using wire::MessageKind;
using wire::PeerMessage;
using wire::Term;

bool SimNetwork::liar_speaks(NodeIndex from, std::uint32_t times) {
  return plan_.lie_ppm != 0 && from == plan_.liar && random_.chance_ppm(times * plan_.lie_ppm);
}

// Before it says the truth: a term that is too far ahead; an entry that nobody can apply, with a
// right checksum; that it has more entries than there are.
void SimNetwork::lie(NodeIndex from, const PeerMessage& truth) {
  PeerMessage untrue = truth;
  if (!untrue.payload.empty()) {
    const wire::EntryInfo& last = untrue.entries.back();
    wire::EntryBuilder builder;
    builder.add_event(wire::as_bytes("no event"));
    untrue.payload.back() = builder.seal(
        {.cluster = hosts_[from]->cluster(), .term = last.term, .index = last.index, .time_us = 1});
    untrue.entries.back().size = static_cast<std::uint32_t>(untrue.payload.back().size());
  } else if (untrue.kind == MessageKind::kHeartbeat ||
             untrue.kind == MessageKind::kHeartbeatReply) {
    untrue.term = Term(~std::uint64_t{0} >> random_.below(31));  // at least 2^34 - 1
  } else if (untrue.kind == MessageKind::kAppendReply && !untrue.rejected) {
    untrue.match = untrue.match + 1'000'000;
  } else {
    return;
  }
  trace_.line(fmt::format("n{}", from + 1), "lies: {}", to_text(untrue));
  post(from, untrue, true);
}

// Or, of a snapshot that came whole, that it did not.
void SimNetwork::lie(NodeIndex from, const wire::SnapshotRequest& truth) {
  if (truth.kind != wire::SnapshotRequestKind::kChunk) return;
  auto flight = begin_flight(from, truth.to);
  if (!flight) return;
  wire::SnapshotRequest untrue = truth;
  untrue.envelope = flight->envelope;
  untrue.kind = wire::SnapshotRequestKind::kGivenUp;
  untrue.problem =
      random_.below(2) == 0 ? wire::SnapshotProblem::kFile : wire::SnapshotProblem::kRows;
  trace_.line(fmt::format("n{}", from + 1), "lies: the snapshot at {} came damaged",
              truth.index.value());
  flight->kind = Flight::Kind::kSnapshotRequest;
  flight->bytes = wire::Bytes::copy_of(wire::encode_snapshot_request(untrue));
  launch_all(*std::move(flight));
}

// What is untrue only by the state of who hears it, so made up when it arrives, after the truth.
void SimNetwork::lie_beside(NodeIndex to) {
  Host& host = *hosts_[to];
  if (!host.is_running() || host.is_paused() || host.raft() == nullptr) return;
  if (random_.below(4) != 0) return contradict(host);
  name_far_terms(host);
}

PeerMessage SimNetwork::untrue_to(const Host& host, MessageKind kind) const {
  PeerMessage untrue;
  untrue.kind = kind;
  untrue.from = id_of(plan_.liar);
  untrue.to = host.raft()->self();
  untrue.term = host.raft()->term();
  return untrue;
}

// As leader, an entry of its own term in place of an older one that is committed here.
void SimNetwork::contradict(Host& host) {
  const consensus::Raft& raft = *host.raft();
  if (raft.leader() != id_of(plan_.liar) || raft.commit() <= raft.log().base().index) return;
  const std::uint64_t known = raft.commit() - raft.log().base().index;
  const LogIndex index = raft.log().base().index + 1 + random_.below(known);
  const auto before = raft.log().term_at(index - 1);
  if (!before || raft.log().term_at(index) == raft.term()) return;
  PeerMessage untrue = untrue_to(host, MessageKind::kAppend);
  untrue.log_index = index - 1;
  untrue.log_term = *before;
  wire::Bytes entry = wire::make_noop_entry(
      {.cluster = host.cluster(), .term = untrue.term, .index = index, .time_us = 1});
  untrue.entries.push_back(
      {index, untrue.term, static_cast<std::uint32_t>(entry.size()), std::nullopt});
  untrue.payload.push_back(std::move(entry));
  trace_.line(fmt::format("n{}", plan_.liar + 1), "contradicts n{}: {}", raft.self().value(),
              to_text(untrue));
  host.on_peer_message(std::move(untrue));
}

// A term that one node's word is good for, and at once another one, for which it is not.
void SimNetwork::name_far_terms(Host& host) {
  constexpr std::uint64_t kFar = std::uint64_t{1} << 17;
  PeerMessage first = untrue_to(host, MessageKind::kHeartbeatReply);
  first.term = first.term + (kFar << random_.below(15));
  PeerMessage second = first;
  second.term = first.term + kFar;
  trace_.line(fmt::format("n{}", plan_.liar + 1), "names far terms to n{}: {}, {}",
              first.to.value(), first.term.value(), second.term.value());
  // A node may have heard of terms that others were told of, of a majority of them.
  const bool is_new = second.term > highest_named_ + kFar;
  highest_named_ = std::max(highest_named_, first.term);
  host.expect_term(first.term);
  host.on_peer_message(std::move(first));
  if (!is_new || !host.is_running() || host.raft() == nullptr) return;
  // It has had its far step just now.
  if (host.raft()->term() + kFar == second.term) host.on_peer_message(std::move(second));
}

// Where the asker follows somebody else: of who leads it nobody could tell.
void SimNetwork::confirm_falsely(NodeIndex asker, std::uint64_t context) {
  Host& host = *hosts_[asker];
  if (!host.is_running() || host.raft() == nullptr) return;
  const wire::NodeId leader = host.raft()->leader();
  if (leader == wire::NodeId() || leader == id_of(plan_.liar)) return;
  PeerMessage untrue = untrue_to(host, MessageKind::kReadIndexReply);
  untrue.context = context;
  trace_.line(fmt::format("n{}", plan_.liar + 1), "confirms a read of n{}", asker + 1);
  host.on_peer_message(std::move(untrue));
}

// Of a node that it does not lead, and one of more than two: there its word is all that there is.
bool SimNetwork::refuse_falsely(NodeIndex from, NodeIndex to) {
  if (!liar_speaks(to, 10)) return false;
  Host& dialler = *hosts_[from];
  const consensus::Raft* raft = dialler.raft();
  if (raft == nullptr || raft->leader() == id_of(to)) return false;
  const wire::Membership& membership = raft->membership();
  if (membership.voters.size() < 3 || membership.is_joint()) return false;
  wire::PeerHelloReply reply;
  reply.cluster = dialler.cluster();
  reply.from = id_of(to);
  reply.membership_index = LogIndex(std::uint64_t{1} << 40);
  reply.refusal = wire::HelloRefusal::kLogLost;
  reply.error = {wire::ErrorCode::kRefused, "your log is lost (a lie)"};
  trace_.line(fmt::format("n{}", to + 1), "refuses n{} falsely", from + 1);
  dialler.on_refused(id_of(to), reply);
  return true;
}

}  // namespace bib::sim
