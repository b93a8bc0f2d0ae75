#include "engine/node/raft_driver.h"

#include <algorithm>
#include <array>
#include <utility>

#include "consensus/health.h"
#include "wire/base/check.h"
#include "wire/base/membership.h"
#include "wire/base/mutant.h"
#include "wire/log/data_directory.h"
#include "wire/log/entry.h"

namespace bib::engine {

using wire::Bytes;
using wire::LogIndex;
using wire::LogPosition;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;

namespace {

bool is_heartbeat(const PeerMessage& message) {
  return message.kind == MessageKind::kHeartbeat || message.kind == MessageKind::kHeartbeatReply;
}

// A read's token says who asked for it.
constexpr unsigned kAskerBits = 2;

ReadAsker asker_of(std::uint64_t token) {
  return static_cast<ReadAsker>(token & ((std::uint64_t{1} << kAskerBits) - 1));
}

}  // namespace

RaftDriver::RaftDriver(const consensus::RaftConfig& config, const consensus::Restored& restored,
                       RaftDriverOptions options, LogSink& log, PeerSender& peers, Applier& applier,
                       SnapshotKeeper& snapshots, Clock& clock)
    : options_(options),
      log_(log),
      peers_(peers),
      applier_(applier),
      snapshots_(snapshots),
      clock_(clock),
      raft_(config, restored),
      cache_(options.cache_bytes),
      freshness_(options.run_base),
      applied_(restored.applied) {}

// ---- inputs

void RaftDriver::tick() {
  raft_.tick();
  if (++ticks_since_promotion_ < options_.promote_every_ticks) return;
  ticks_since_promotion_ = 0;
  promote_learners();
}

void RaftDriver::on_message(PeerMessage&& message) {
  const consensus::Accepted accepted = raft_.step(message);
  if (is_heartbeat(message)) freshness_.received(message, steady_us(), raft_);
  if (accepted.appended == 0) return;
  const LogIndex first_new = message.entries[accepted.already_present].index;
  cache_.truncate_from(first_new);
  for (std::size_t i = 0; i < accepted.appended; ++i) {
    const std::size_t place = accepted.already_present + i;
    cache_.append(message.entries[place].index, std::move(message.payload[place]));
  }
}

void RaftDriver::on_durable(std::uint64_t append_sequence) {
  while (!after_sync_.empty() && after_sync_.front().append_sequence <= append_sequence) {
    for (PeerMessage& message : after_sync_.front().messages) send(std::move(message));
    after_sync_.pop_front();
  }
  while (!writes_.empty() && writes_.front().append_sequence <= append_sequence) {
    raft_.durable(writes_.front());
    writes_.pop_front();
  }
  cache_.trim(raft_.durable_index());
  report_durable_install();
}

void RaftDriver::on_log_read(std::uint64_t token, wire::Result<std::vector<Bytes>> entries) {
  const auto for_peer = reads_for_peers_.find(token);
  if (for_peer != reads_for_peers_.end()) {
    const NodeId peer = for_peer->second;
    reads_for_peers_.erase(for_peer);
    if (entries) return continue_backlog(peer, *entries);
    // Truncated since it was asked for: the present leader sends what is needed. Or compacted: Raft
    // finds that when it sends again.
    if (entries.error().code == wire::ErrorCode::kNotFound) return take_back_backlog(peer);
  }
  if (!entries) {
    // A snapshot has replaced what a forgotten read was for.
    if (token == apply_read_token_ || entries.error().code != wire::ErrorCode::kNotFound) {
      failure_ = entries.error();
    }
    return;
  }
  if (token != apply_read_token_) return;
  apply_read_token_ = 0;
  apply_buffer_.assign(entries->begin(), entries->end());
}

// ---- proposals

tl::expected<consensus::ProposedAt, consensus::ProposeRefusal> RaftDriver::propose(Bytes entry) {
  auto place = raft_.propose(static_cast<std::uint32_t>(entry.size()));
  if (place) cache_.append(place->index, std::move(entry));
  return place;
}

std::uint64_t RaftDriver::request_read(ReadAsker asker) {
  const std::uint64_t token = (++last_read_ << kAskerBits) | static_cast<std::uint64_t>(asker);
  raft_.request_read(options_.run_base + token);
  return token;
}

wire::Status RaftDriver::change_membership(std::span<const consensus::MembershipChange> changes,
                                           consensus::JointLeave leave) {
  BIB_TRY(const wire::Membership next, raft_.prepare_membership_change(changes, leave));
  return propose_membership_entry(next);
}

wire::Status RaftDriver::propose_membership_entry(const wire::Membership& membership) {
  Bytes entry = wire::make_membership_entry(stamp_for(raft_.next_proposal()),
                                            wire::encode_membership(membership));
  const auto place = raft_.propose_membership(membership, static_cast<std::uint32_t>(entry.size()));
  if (!place) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "the membership cannot change now; try again in a moment");
  }
  cache_.append(place->index, std::move(entry));
  return {};
}

// A learner that wants to vote gets its vote as soon as it has caught up.
void RaftDriver::promote_learners() {
  if (raft_.role() != consensus::Role::kLeader || !raft_.has_committed_own_term()) return;
  const wire::Membership& membership = raft_.membership();
  if (membership.is_joint()) return;
  for (const NodeId learner : membership.learners) {
    const wire::Member* member = membership.find(learner);
    if (member == nullptr || !member->wants_vote || !raft_.learner_is_caught_up(learner)) continue;
    const std::array<consensus::MembershipChange, 1> change{
        consensus::MembershipChange{consensus::ChangeKind::kAddVoter, *member}};
    // A refusal (another change is under way) is no news: it is tried again.
    const auto next = raft_.prepare_membership_change(change);
    if (next && keeps_quorum_in_reach(*next)) (void)propose_membership_entry(*next);
    return;
  }
}

// A vote that is not asked for now can wait until the voters are there: in effect as soon
// as it is in the log, it would make the quorum larger that is missed.
bool RaftDriver::keeps_quorum_in_reach(const wire::Membership& next) const {
  std::vector<NodeId> in_reach{raft_.self()};
  for (const consensus::PeerStatus& peer : raft_.peers()) {
    if (peer.reachable) in_reach.push_back(peer.id);
  }
  std::sort(in_reach.begin(), in_reach.end());
  return consensus::check_healthy_quorum(next, in_reach).has_value();
}

wire::EntryStamp RaftDriver::stamp_for(LogPosition place) const {
  return {options_.cluster, place.term, place.index, clock_.now_us()};
}

bool RaftDriver::is_ready_to_decide() const {
  return raft_.role() == consensus::Role::kLeader && raft_.has_committed_own_term() &&
         (!raft_.is_transferring() || BIB_MUTANT(kWritesDuringTransfer)) &&
         applied_ >= decide_after_ && !stands_back_;
}

std::uint64_t RaftDriver::steady_us() const {
  if (BIB_MUTANT(kAgesByWallClock)) return static_cast<std::uint64_t>(clock_.now_us());
  return clock_.monotonic_us();
}

std::optional<std::uint64_t> RaftDriver::age_us() const {
  return freshness_.age_us(steady_us(), raft_, is_ready_to_decide());
}

void RaftDriver::decide_only_after_log() {
  decide_after_ = raft_.last_index();
}

// ---- snapshots

void RaftDriver::offer_snapshot(NodeId to, LogPosition last) {
  if (last.index < raft_.log().base().index) return raft_.report_snapshot_sent(to, false);
  raft_.offer_snapshot(to, last);
}

bool RaftDriver::begin_install(LogPosition last) {
  if (installing_ || installed_ || last.index <= raft_.commit()) return false;
  if (raft_.role() == consensus::Role::kLeader) return false;
  installing_ = last;
  return true;
}

void RaftDriver::cancel_install() {
  installing_.reset();
}

void RaftDriver::finish_install(LogPosition last, const consensus::MembershipAt& membership) {
  BIB_CHECK(installing_ == last && !exchanged_, "a snapshot at {} was installed that never began",
            last.index.value());
  exchanged_ = Exchanged{last, membership};
  report_exchanged_state();
}

// Consensus is told of the new state, except where this node has come to lead meanwhile: then its
// log includes the snapshot, and nothing is applied until as much is committed.
void RaftDriver::report_exchanged_state() {
  if (!exchanged_) return;
  const LogPosition last = exchanged_->last;
  const bool leads = raft_.role() == consensus::Role::kLeader;
  const bool keeps_log = raft_.log().matches(last);
  // What it was made of was not committed: only a leader whose disk or build is broken offers that.
  if (!keeps_log && (leads || raft_.commit() >= last.index)) {
    failure_ = wire::Error{
        wire::ErrorCode::kCorrupt,
        fmt::format("the snapshot at entry {} of term {}, which this node has put in place, is not "
                    "of the cluster's log: its leader offered what was not committed. Look at the "
                    "disk and the version of the node that led in term {}; for this node: {}",
                    last.index.value(), last.term.value(), last.term.value(), wire::kHowToReplace)};
    return;
  }
  if (leads && raft_.commit() < last.index) return;
  // False: what a new leader sent has been committed meanwhile. It includes the snapshot, so the
  // log stays and only the state has gone ahead.
  if (!raft_.installed_snapshot(last, exchanged_->membership)) raft_.applied(last.index);
  if (!keeps_log) {
    cache_.truncate_from(LogIndex());
    backlogs_.clear();
    reads_for_peers_.clear();
  }
  applied_ = last.index;
  freshness_.applied(applied_);
  apply_buffer_.clear();
  apply_read_token_ = 0;
  installing_.reset();
  exchanged_.reset();
  installed_ = last;
  installed_sequence_ = 0;
}

// The reset, and whatever of the log up to the snapshot was not durable yet, goes out with the
// first effects after the installation.
void RaftDriver::report_durable_install() {
  if (!installed_ || installed_sequence_ == 0) return;
  if (!writes_.empty() && writes_.front().append_sequence <= installed_sequence_) return;
  const LogPosition last = *std::exchange(installed_, std::nullopt);
  snapshots_.on_install_durable(last);
}

// ---- once per turn

wire::Status RaftDriver::run_effects() {
  more_to_apply_ = false;
  reads_are_late_ = false;
  // Answering an effect may produce more of them; each round does something that is bounded by the
  // turn's inputs.
  do {
    while (raft_.has_effects()) take_effects();
    report_exchanged_state();
    while (raft_.has_effects()) take_effects();
    BIB_TRY_VOID(apply_committed());
    answer_reads();
  } while (raft_.has_effects() && !more_to_apply_);
  if (installed_ && installed_sequence_ == 0) {
    installed_sequence_ = std::max<std::uint64_t>(last_sequence_, 1);
    report_durable_install();
  }
  if (failure_) return tl::unexpected(*failure_);
  return {};
}

void RaftDriver::take_effects() {
  consensus::Effects effects = raft_.take_effects();
  build_noops(effects.noop_entries);
  for (PeerMessage& message : effects.send_now) send(std::move(message));
  if (effects.write) {
    submit(*effects.write);
    if (!effects.send_after_sync.empty()) {
      after_sync_.push_back(
          AfterSync{effects.write->append_sequence, std::move(effects.send_after_sync)});
    }
  }
  handle_notices(effects);
}

void RaftDriver::build_noops(const std::vector<LogPosition>& places) {
  for (const LogPosition& place : places) {
    cache_.append(place.index, wire::make_noop_entry(stamp_for(place)));
  }
}

void RaftDriver::submit(const consensus::LogWrite& write) {
  std::vector<Bytes> entries;
  if (write.has_entries()) {
    entries.reserve(write.last - write.first + 1);
    for (LogIndex index = write.first; index <= write.last; ++index) {
      const Bytes* entry = cache_.find(index);
      BIB_CHECK(entry != nullptr, "entry {} is to be written and is not here", index.value());
      entries.push_back(*entry);
    }
  }
  last_sequence_ = write.append_sequence;
  writes_.push_back(consensus::done(write));
  log_.submit(write, std::move(entries));
}

void RaftDriver::handle_notices(consensus::Effects& effects) {
  if (effects.role) {
    if (effects.role->role == consensus::Role::kLeader) {
      decide_only_after_log();
      freshness_.leadership_begins();
    }
    applier_.on_role(*effects.role);
  }
  if (effects.membership) applier_.on_membership(effects.membership->membership);
  if (effects.committed_membership) applier_.on_membership_committed(*effects.committed_membership);
  if (effects.conflict) applier_.on_conflict(*effects.conflict);
  if (effects.wants_membership_entry) {
    (void)propose_membership_entry(*effects.wants_membership_entry);  // asked again if refused
  }
  for (const consensus::ReadReady& ready : effects.reads_ready) {
    const std::uint64_t token = ready.token - options_.run_base;
    if (reads_waiting_.size() >= options_.reads_waiting_max) {
      applier_.on_read_refused(asker_of(token), token, consensus::ReadRefusal::kOverloaded);
      continue;
    }
    reads_waiting_.emplace(ready.index, token);
  }
  for (const consensus::ReadRefused& refused : effects.reads_refused) {
    const std::uint64_t token = refused.token - options_.run_base;
    applier_.on_read_refused(asker_of(token), token, refused.reason);
  }
  for (const consensus::SendSnapshot& wanted : effects.send_snapshots) {
    snapshots_.send_snapshot(wanted.to, wanted.at_least);
  }
  if (effects.receive_snapshot) {
    snapshots_.receive_snapshot(effects.receive_snapshot->from, effects.receive_snapshot->last);
  }
}

// ---- sending (raft_driver_sending.cc)

void RaftDriver::send(PeerMessage&& message) {
  if (message.kind != MessageKind::kAppend || message.entries.empty()) {
    if (is_heartbeat(message)) {
      freshness_.stamp(message, steady_us(), raft_);
      applier_.on_heartbeat(message);
    }
    peers_.send(message);
    return;
  }
  const auto backlog = backlogs_.find(message.to);
  const bool must_wait = backlog != backlogs_.end() && !backlog->second.messages.empty();
  if (!must_wait && attach_from_cache(message)) return send_append(std::move(message));
  enqueue_after_read(std::move(message));
}

// ---- applying

wire::Status RaftDriver::apply_committed() {
  if (installing_) return {};
  std::size_t bytes = 0;
  const LogIndex commit = raft_.commit();
  const LogIndex before = applied_;
  const std::uint64_t began_us = clock_.monotonic_us();
  while (applied_ < commit && (applier_.takes_more() || BIB_MUTANT(kAppliesUnbounded))) {
    const bool is_late =
        applied_ != before && clock_.monotonic_us() - began_us >= options_.apply_us_per_turn;
    if (is_late || bytes >= options_.apply_bytes_per_turn) {
      more_to_apply_ = true;
      break;
    }
    Bytes entry;
    if (!take_entry_to_apply(applied_ + 1, entry)) break;  // being read
    BIB_TRY_VOID(applier_.apply(entry));
    bytes += entry.size();
    ++applied_;
  }
  if (applied_ != before) {
    raft_.applied(applied_);
    freshness_.applied(applied_);
  }
  return {};
}

bool RaftDriver::take_entry_to_apply(LogIndex index, Bytes& entry) {
  if (const Bytes* cached = cache_.find(index)) {
    entry = *cached;
    apply_buffer_.clear();
    return true;
  }
  if (!apply_buffer_.empty() && apply_buffer_first_ == index) {
    entry = std::move(apply_buffer_.front());
    apply_buffer_.pop_front();
    ++apply_buffer_first_;
    return true;
  }
  if (apply_read_token_ != 0) return false;
  apply_read_token_ = next_read_token_++;
  apply_buffer_first_ = index;
  log_.read(apply_read_token_, index, std::min(raft_.commit(), raft_.durable_index()),
            options_.read_bytes);
  return false;
}

// At least one in a turn. What is left is as confirmed in the next turn as it is in this one.
void RaftDriver::answer_reads() {
  if (reads_are_late_) return;
  const std::uint64_t began_us = clock_.monotonic_us();
  while (has_read_to_answer() && !reads_are_late_) {
    const std::uint64_t token = reads_waiting_.begin()->second;
    reads_waiting_.erase(reads_waiting_.begin());
    applier_.on_read_ready(asker_of(token), token);
    reads_are_late_ = clock_.monotonic_us() - began_us >= options_.reads_us_per_turn;
  }
}

}  // namespace bib::engine
