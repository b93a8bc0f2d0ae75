#include "memory_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace bib::consensus::test {

using wire::MessageKind;

namespace {

std::size_t count(LogIndex first, LogIndex last) {
  return last < first ? 0 : static_cast<std::size_t>(last - first) + 1;
}

}  // namespace

// ---- disk and cache ----

const Content* Disk::at(LogIndex index) const {
  if (index <= base.index || index > last()) return nullptr;
  return &entries[index - base.index - 1];
}

bool Disk::holds(LogIndex index, std::uint64_t tag) const {
  if (snapshot && snapshot->last.index >= index) return snapshot->history[index.value() - 1] == tag;
  const Content* content = at(index);
  return content != nullptr && content->tag == tag;
}

void Disk::apply(const PendingWrite& pending, std::size_t steps) {
  const LogWrite& write = pending.write;
  auto step = [&] { return steps > 0 && steps-- > 0; };
  if (!step()) return;
  if (write.hard_state) hard_state = *write.hard_state;
  if (!step()) return;
  if (write.reset_to) {
    base = *write.reset_to;
    base_membership = pending.reset_membership;
    entries.clear();
  }
  if (!step()) return;
  if (write.truncate_from && *write.truncate_from <= last()) {
    entries.resize(*write.truncate_from - base.index - 1);
  }
  for (std::size_t i = 0; i < pending.contents.size(); ++i) {
    if (!step()) return;
    if (write.first + i != last() + 1) throw std::runtime_error("a gap in the log on disk");
    entries.push_back(pending.contents[i]);
  }
}

const Content* MemoryNode::at(LogIndex index) const {
  if (index <= cache_base.index || index > cache_base.index + cache.size()) return nullptr;
  return &cache[index - cache_base.index - 1];
}

// ---- nodes ----

void MemoryCluster::add_node(NodeId id, const Membership& membership) {
  MemoryNode& node = nodes_[id];
  node.id = id;
  node.disk.base_membership = membership;
  make_raft(node);
}

MemoryNode& MemoryCluster::node(NodeId id) {
  auto found = nodes_.find(id);
  if (found == nodes_.end()) throw std::runtime_error(fmt::format("no node {}", id.value()));
  return found->second;
}

std::vector<NodeId> MemoryCluster::ids() const {
  std::vector<NodeId> result;
  for (const auto& [id, node] : nodes_) result.push_back(id);
  return result;
}

std::vector<NodeId> MemoryCluster::ids_up() const {
  std::vector<NodeId> result;
  for (const auto& [id, node] : nodes_) {
    if (node.is_up()) result.push_back(id);
  }
  return result;
}

// As Restored's contract tells the driver: the snapshot wins over a log that does not contain it.
void MemoryCluster::make_raft(MemoryNode& node) {
  Disk& disk = node.disk;
  if (disk.snapshot) {
    const wire::LogPosition last = disk.snapshot->last;
    const Content* content = disk.at(last.index);
    const bool agrees = last == disk.base || (content != nullptr && content->term == last.term);
    if (!agrees) {
      disk.base = last;
      disk.base_membership = disk.snapshot->membership;
      disk.entries.clear();
    }
  }
  Restored restored;
  restored.hard_state = disk.hard_state;
  restored.base = disk.base;
  restored.applied = disk.snapshot ? disk.snapshot->last.index : LogIndex();
  if (disk.base_membership != Membership()) {
    restored.memberships.push_back({disk.base.index, disk.base_membership});
  }
  LogIndex index = disk.base.index;
  for (const Content& content : disk.entries) {
    ++index;
    if (restored.terms.empty() || restored.terms.back().value != content.term) {
      restored.terms.push_back({index, content.term});
    }
    restored.sizes.push_back(content.size);
    if (content.membership) restored.memberships.push_back({index, *content.membership});
  }
  node.cache_base = disk.base;
  node.cache = disk.entries;
  node.history = disk.snapshot ? disk.snapshot->history : std::vector<std::uint64_t>();
  node.writes.clear();
  node.commit_checked = restored.applied;
  node.leader_checked = Term();
  node.snapshots_under_way.clear();
  RaftConfig config = options_.config;
  config.self = node.id;
  config.seed = options_.seed * 1000003 + ++boots_;
  if (const auto status = check_restored(config, restored); !status) {
    violated(status.error().message);
  }
  node.raft = std::make_unique<Raft>(config, restored);
}

void MemoryCluster::crash(NodeId id, std::size_t writes, std::size_t parts) {
  MemoryNode& victim = node(id);
  for (std::size_t i = 0; i < victim.writes.size() && i <= writes; ++i) {
    const std::size_t steps = i < writes ? SIZE_MAX : parts;
    victim.disk.apply(victim.writes[i], steps);
  }
  victim.writes.clear();
  victim.raft.reset();
  for (auto& [link, packets] : network_) {
    if (link.second == id) packets.clear();
  }
}

void MemoryCluster::restart(NodeId id) {
  make_raft(node(id));
}

// ---- inputs ----

void MemoryCluster::tick(NodeId id) {
  raft(id).tick();
  after_input(node(id));
}

Content MemoryCluster::make_content(Term term, std::uint32_t size) {
  return {term, next_tag_++, size, std::nullopt};
}

tl::expected<ProposedAt, ProposeRefusal> MemoryCluster::propose(NodeId id, std::uint32_t size) {
  MemoryNode& at = node(id);
  if (at.raft->last_index() != at.cache_base.index + at.cache.size()) pump(id);  // a no-op first
  const ProposedAt expected = at.raft->next_proposal();
  auto placed = at.raft->propose(size);
  if (placed) {
    if (*placed != expected) violated("the proposal is elsewhere than announced");
    at.cache.push_back(make_content(placed->term, size));
  }
  after_input(at);
  return placed;
}

wire::Status MemoryCluster::change(NodeId id, const std::vector<MembershipChange>& changes) {
  MemoryNode& at = node(id);
  pump(id);
  BIB_TRY(const Membership next, at.raft->prepare_membership_change(changes));
  constexpr std::uint32_t kSize = 200;
  const auto placed = at.raft->propose_membership(next, kSize);
  if (!placed) violated("a prepared membership was refused");
  at.cache.push_back(make_content(placed->term, kSize));
  at.cache.back().membership = next;
  after_input(at);
  return {};
}

void MemoryCluster::request_read(NodeId id, std::uint64_t token) {
  reads_asked_[{id, token}] = committed_anywhere();
  raft(id).request_read(token);
  after_input(node(id));
}

void MemoryCluster::disconnect(NodeId at, NodeId peer) {
  raft(at).peer_disconnected(peer);
  after_input(node(at));
}

void MemoryCluster::connect(NodeId at, NodeId peer) {
  raft(at).peer_connected(peer);
  after_input(node(at));
}

void MemoryCluster::silence(NodeId at, NodeId peer) {
  raft(at).peer_silent(peer);
  after_input(node(at));
}

void MemoryCluster::notice_stall(NodeId id, bool stalled) {
  raft(id).disk_stalled(stalled);
  after_input(node(id));
}

void MemoryCluster::transfer(NodeId id, std::optional<NodeId> target) {
  node(id).transfer.reset();
  (void)raft(id).transfer_leadership(target);
  after_input(node(id));
}

// A snapshot of what is applied, then the log is cut at or below it.
void MemoryCluster::compact(NodeId id, LogIndex index) {
  MemoryNode& at = node(id);
  pump(id);
  Raft& core = *at.raft;
  index = std::min({index, core.applied(), core.durable_index()});
  // The log on disk must reach so far without the snapshot's help.
  if (index <= core.log().base().index || at.disk.at(index) == nullptr) return;
  if (at.disk.at(index)->tag != at.history[index.value() - 1]) return;
  const wire::LogPosition last{index, *core.log().term_at(index)};
  // A node that joined later and has the log from its start was told of no membership before that.
  const MembershipAt* in_effect = core.membership_at(index);
  const Membership membership = in_effect == nullptr ? Membership() : in_effect->membership;
  if (!at.disk.snapshot || at.disk.snapshot->last.index < index) {
    const auto end = at.history.begin() + static_cast<std::ptrdiff_t>(index.value());
    at.disk.snapshot = Snapshot{last, membership, {at.history.begin(), end}};
  }
  const auto dropped = static_cast<std::ptrdiff_t>(index - at.disk.base.index);
  at.disk.entries.erase(at.disk.entries.begin(), at.disk.entries.begin() + dropped);
  at.disk.base = last;
  at.disk.base_membership = membership;
  at.cache.erase(at.cache.begin(),
                 at.cache.begin() + static_cast<std::ptrdiff_t>(index - at.cache_base.index));
  at.cache_base = last;
  core.compacted_to(index);
  after_input(at);
}

void MemoryCluster::report_snapshot_sent(NodeId id, NodeId to, bool ok) {
  std::erase(node(id).snapshots_under_way, to);
  raft(id).report_snapshot_sent(to, ok);
  after_input(node(id));
}

void MemoryCluster::after_input(MemoryNode& node) {
  if (node.raft->role() == Role::kLeader) {
    check_leader(node);
    check_commit(node);
  }
  if (options_.pump_at_once) pump(node.id);
}

// ---- effects ----

void MemoryCluster::pump(NodeId id) {
  MemoryNode& at = node(id);
  while (at.raft->has_effects()) take_effects(at);
}

void MemoryCluster::take_effects(MemoryNode& node) {
  Effects effects = node.raft->take_effects();
  for (const wire::LogPosition& place : effects.noop_entries) {
    if (place.index != node.cache_base.index + node.cache.size() + 1) {
      violated("a no-op that is not at the log's end");
    }
    node.cache.push_back(make_content(place.term, wire::kEntryHeaderSize));
  }
  if (node.raft->last_index() != node.cache_base.index + node.cache.size()) {
    violated(fmt::format("node {}: the log ends at {}, its contents at {}", node.id.value(),
                         node.raft->last_index().value(),
                         node.cache_base.index.value() + node.cache.size()));
  }
  work_off(node, std::move(effects));
}

void MemoryCluster::work_off(MemoryNode& node, Effects effects) {
  for (PeerMessage& message : effects.send_now) put_on_network(pack(node, std::move(message)));
  if (effects.write) {
    PendingWrite pending{*effects.write, {}, {}, {}};
    if (effects.write->reset_to) {
      pending.reset_membership = effects.write->reset_membership->membership;
    }
    for (std::size_t i = 0; i < count(effects.write->first, effects.write->last); ++i) {
      pending.contents.push_back(*node.at(effects.write->first + i));
    }
    for (PeerMessage& message : effects.send_after_sync) {
      pending.after_sync.push_back(pack(node, std::move(message)));
    }
    node.writes.push_back(std::move(pending));
  } else if (!effects.send_after_sync.empty()) {
    violated("messages wait for a write that does not exist");
  }
  if (effects.commit) {
    if (*effects.commit != node.raft->commit()) violated("commit and its effect differ");
    check_commit(node);
    for (LogIndex index(node.history.size() + 1); index <= *effects.commit; ++index) {
      node.history.push_back(node.at(index)->tag);
    }
    node.raft->applied(*effects.commit);
  }
  for (const ReadReady& read : effects.reads_ready) {
    const auto asked = reads_asked_.find({node.id, read.token});
    if (asked == reads_asked_.end() || read.index < asked->second) {
      violated(fmt::format("node {}: read {} may see {} only", node.id.value(), read.token,
                           read.index.value()));
    }
    node.reads_ready[read.token] = read.index;
  }
  for (const ReadRefused& read : effects.reads_refused)
    node.reads_refused[read.token] = read.reason;
  node.dropped_peers.insert(effects.drop_peers.begin(), effects.drop_peers.end());
  if (effects.transfer) node.transfer = effects.transfer;
  for (const SendSnapshot& wanted : effects.send_snapshots) {
    if (!node.disk.snapshot || node.disk.snapshot->last.index < wanted.at_least) {
      violated("a snapshot is wanted that cannot be made");
    }
    node.snapshots_under_way.push_back(wanted.to);
    node.raft->offer_snapshot(wanted.to, node.disk.snapshot->last);
  }
  if (effects.wants_membership_entry) {
    constexpr std::uint32_t kSize = 200;
    if (auto placed = node.raft->propose_membership(*effects.wants_membership_entry, kSize)) {
      node.cache.push_back(make_content(placed->term, kSize));
      node.cache.back().membership = *effects.wants_membership_entry;
    }
  }
}

// ---- disk ----

bool MemoryCluster::sync_one(NodeId id) {
  MemoryNode& at = node(id);
  if (!at.is_up() || at.writes.empty()) return false;
  PendingWrite pending = std::move(at.writes.front());
  at.writes.pop_front();
  at.disk.apply(pending, SIZE_MAX);
  for (Packet& packet : pending.after_sync) put_on_network(std::move(packet));
  at.raft->durable(done(pending.write));
  after_input(at);
  return true;
}

// ---- network ----

Packet MemoryCluster::pack(MemoryNode& node, PeerMessage message) {
  Packet packet;
  for (const wire::EntryInfo& entry : message.entries) {
    const Content* content = node.at(entry.index);
    if (content == nullptr || content->term != entry.term || content->size != entry.size) {
      violated(fmt::format("node {} has no bytes for entry {}, term {}", node.id.value(),
                           entry.index.value(), entry.term.value()));
    }
    packet.contents.push_back(*content);
  }
  for (std::size_t i = 0; i < message.entries.size(); ++i) {
    message.entries[i].membership = packet.contents[i].membership;
  }
  if (message.kind == MessageKind::kSnapshot) packet.snapshot = node.disk.snapshot;
  // An answer of a term that was left in the same turn. What it speaks of may be truncated in the
  // log, but must be on the disk still; afterwards it is like any message that comes late.
  packet.is_late = message.term < node.raft->term();
  const bool is_on_disk = node.disk.last() >= message.match ||
                          (node.disk.snapshot && node.disk.snapshot->last.index >= message.match);
  if (packet.is_late && !is_on_disk) violated("a late answer speaks of what was never on the disk");
  if (message.match > LogIndex()) {
    const Content* content = node.at(message.match);
    packet.acknowledged_tag = message.match.value() <= node.history.size()
                                  ? node.history[message.match.value() - 1]
                              : content != nullptr ? content->tag
                                                   : 0;
  }
  packet.message = std::move(message);
  return packet;
}

void MemoryCluster::put_on_network(Packet packet) {
  check_packet(packet);
  const PeerMessage& m = packet.message;
  for (const std::uint64_t field :
       {static_cast<std::uint64_t>(m.kind), m.from.value(), m.to.value(), m.term.value(),
        m.log_index.value(), m.log_term.value(), m.commit.value(), m.match.value(),
        m.hint_index.value(), m.hint_term.value(), m.context,
        static_cast<std::uint64_t>(m.entries.size())}) {
    trace_ = (trace_ ^ field) * 1099511628211ULL;
  }
  const NodeId from = packet.message.from;
  const NodeId to = packet.message.to;
  const auto target = nodes_.find(to);
  if (target == nodes_.end() || !target->second.is_up() || is_cut(from, to)) return;
  link(from, to).push_back(std::move(packet));
}

void MemoryCluster::deliver(NodeId from, NodeId to, std::size_t place, bool keep) {
  std::deque<Packet>& queue = link(from, to);
  const Packet packet = queue.at(place);
  if (!keep) queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(place));
  MemoryNode& at = node(to);
  if (!at.is_up() || is_cut(from, to)) return;
  accept(at, packet);
}

void MemoryCluster::accept(MemoryNode& node, const Packet& packet) {
  const std::size_t fresh = node.raft->count_new_entries(packet.message);
  const Accepted accepted = node.raft->step(packet.message);
  if (accepted.appended > fresh) violated("entries were accepted that nobody had to read");
  if (accepted.appended > 0) {
    const LogIndex first = packet.message.log_index + accepted.already_present + 1;
    if (accepted.already_present + accepted.appended != packet.contents.size()) {
      violated("an append was accepted in its middle only");
    }
    const std::uint64_t kept = first - node.cache_base.index - 1;
    if (kept > node.cache.size()) violated("an append was accepted after a gap");
    node.cache.resize(kept);
    for (std::size_t i = accepted.already_present; i < packet.contents.size(); ++i) {
      node.cache.push_back(packet.contents[i]);
    }
  }
  after_input(node);
  if (packet.snapshot && packet.message.kind == MessageKind::kSnapshot) {
    install(node, *packet.snapshot);
  }
}

void MemoryCluster::install(MemoryNode& node, const Snapshot& snapshot) {
  pump(node.id);
  Raft& core = *node.raft;
  if (snapshot.last.index <= core.commit() || core.role() == Role::kLeader) return;
  const bool keeps_log = core.log().matches(snapshot.last);
  node.disk.snapshot = snapshot;
  if (!core.installed_snapshot(snapshot.last, {snapshot.last.index, snapshot.membership})) return;
  if (!keeps_log) {
    node.cache_base = snapshot.last;
    node.cache.clear();
  }
  node.history = snapshot.history;
  node.commit_checked = snapshot.last.index;
  after_input(node);
}

void MemoryCluster::settle() {
  for (int rounds = 0; rounds < 100000; ++rounds) {
    bool moved = false;
    for (auto& [id, node] : nodes_) {
      while (!node.disk_is_stalled && sync_one(id)) moved = true;
    }
    for (auto& [link, packets] : network_) {
      if (packets.empty()) continue;
      moved = true;
      const Packet& packet = packets.front();
      const bool is_snapshot = packet.snapshot.has_value();
      deliver(link.first, link.second);
      if (is_snapshot && node(link.first).is_up()) {
        report_snapshot_sent(link.first, link.second, true);
      }
    }
    if (!moved) return;
  }
  violated("the cluster does not come to rest");
}

}  // namespace bib::consensus::test
