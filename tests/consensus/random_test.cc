// Random runs of whole clusters: loss, repetition, reordering, partitions, crashes with torn
// writes, slow disks, membership changes, transfers, reads, compaction and snapshots. The checkers
// of MemoryCluster watch; then everything heals, and the cluster must converge.
//
// One seed decides all. BIB_SEED=n runs that seed alone; BIB_SEEDS=n runs so many.

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "memory_cluster.h"
#include "wire/base/prng.h"

namespace bib::consensus::test {

namespace {

constexpr std::uint64_t kNodes = 7;

class RandomRun {
 public:
  explicit RandomRun(std::uint64_t seed)
      : random_(seed), options_(make_options(seed)), cluster_(options_) {
    const std::uint64_t voters =
        random_.below(4) == 0 ? 1 + random_.below(2) : 3 + random_.below(3);
    Membership membership;
    for (std::uint64_t i = 1; i <= voters; ++i) {
      membership.voters.push_back(NodeId(i));
      membership.members.push_back({NodeId(i), "", "", true});
    }
    for (std::uint64_t i = 1; i <= kNodes; ++i) {
      cluster_.add_node(NodeId(i), i <= voters ? membership : Membership());
    }
    draw_weather();
  }

  void disturb(int steps) {
    for (int i = 0; i < steps; ++i) {
      if (i % 400 == 399) draw_weather();
      step();
      if (i % 200 == 0) cluster_.check_logs();
    }
  }

  // Everything comes back; in bounded time all members hold the same log, and go on.
  void heal() {
    cluster_.mend_all();
    for (NodeId id : cluster_.ids()) {
      if (!cluster_.node(id).is_up()) cluster_.restart(id);
    }
    for (NodeId a : cluster_.ids()) {
      cluster_.notice_stall(a, false);
      for (NodeId b : cluster_.ids()) {
        if (a != b) cluster_.connect(a, b);
      }
    }
    if (!converge(800)) {
      throw std::runtime_error("the healed cluster does not converge" + cluster_.describe());
    }
    cluster_.check_logs();
  }

  const MemoryCluster& cluster() const { return cluster_; }

 private:
  ClusterOptions make_options(std::uint64_t seed) {
    ClusterOptions options;
    options.seed = seed;
    options.pump_at_once = random_.below(2) == 0;
    options.config.heartbeat_ticks = static_cast<unsigned>(1 + random_.below(3));
    options.config.election_ticks_min = 10;
    options.config.commit_notify_ticks = static_cast<unsigned>(random_.below(3));
    options.config.append_entries_max = 1 + random_.below(8);
    options.config.append_bytes_max = 150 + random_.below(1000);
    options.config.flight.messages_max = 1 + random_.below(6);
    options.config.flight.bytes_max = 200 + random_.below(3000);
    options.config.uncommitted_bytes_max = 2000 + random_.below(4000);
    return options;
  }

  // Calm and storm take turns: both are needed to get anywhere interesting.
  void draw_weather() {
    const std::uint64_t storm = random_.below(4);
    crash_ppm_ = storm * 2500;
    loss_ppm_ = storm * 50000;
    tick_share_ = 150 + random_.below(3) * 100;
    if (storm < 2) cluster_.mend_all();
  }

  NodeId any() { return NodeId(1 + random_.below(kNodes)); }
  NodeId any_up() {
    const auto up = cluster_.ids_up();
    return up.empty() ? NodeId() : up[random_.below(up.size())];
  }

  void step() {
    const NodeId id = any_up();
    if (id == NodeId()) {
      cluster_.restart(any());
      return;
    }
    if (random_.chance_ppm(static_cast<std::uint32_t>(crash_ppm_))) {
      cluster_.crash(id, random_.below(3), random_.below(6));
      return;
    }
    const std::uint64_t choice = random_.below(1000);
    if (choice < tick_share_) return cluster_.tick(id);
    if (choice < 650) return move_a_packet();
    if (choice < 800) return (void)cluster_.sync_one(id);
    if (choice < 880) return propose();
    if (choice < 950) return cluster_.pump(id);
    rare(id, choice - 950);
  }

  void rare(NodeId id, std::uint64_t choice) {
    const auto leader = cluster_.leader();
    if (choice < 14) {
      const NodeId back = any();
      if (!cluster_.node(back).is_up()) cluster_.restart(back);
    } else if (choice < 16) {
      const NodeId other = any();
      if (other != id) cluster_.cut(id, other);
    } else if (choice < 20) {
      random_.below(3) == 0 ? cluster_.mend_all() : cluster_.mend(id, any());
    } else if (choice < 24) {
      const NodeId known = cluster_.raft(id).leader();
      cluster_.disconnect(id, random_.below(2) == 0 && known != NodeId() ? known : any());
    } else if (choice < 27) {
      cluster_.connect(id, any());
    } else if (choice < 31) {
      if (leader) change(*leader);
    } else if (choice < 32) {
      if (leader) cluster_.transfer(*leader, std::nullopt);
    } else if (choice < 33) {
      // Right or wrong: nothing may depend on it.
      const NodeId known = cluster_.raft(id).leader();
      cluster_.silence(id, random_.below(2) == 0 && known != NodeId() ? known : any());
    } else if (choice < 34) {
      cluster_.notice_stall(id, random_.below(2) == 0);
    } else if (choice < 40) {
      cluster_.request_read(id, ++token_);
    } else if (choice < 44) {
      const std::uint64_t applied = cluster_.raft(id).applied().value();
      cluster_.compact(id, LogIndex(applied - std::min(applied, random_.below(6))));
    } else {
      const auto under_way = cluster_.node(id).snapshots_under_way;
      if (!under_way.empty()) {
        cluster_.report_snapshot_sent(id, under_way[random_.below(under_way.size())],
                                      random_.below(3) > 0);
      }
    }
  }

  void move_a_packet() {
    std::vector<MemoryCluster::Link> busy;
    for (const auto& [link, packets] : cluster_.network()) {
      if (!packets.empty()) busy.push_back(link);
    }
    if (busy.empty()) return;
    const auto [from, to] = busy[random_.below(busy.size())];
    auto& packets = cluster_.link(from, to);
    const std::size_t place = random_.below(5) == 0 ? random_.below(packets.size()) : 0;
    if (packets.size() > 200 || random_.chance_ppm(static_cast<std::uint32_t>(loss_ppm_))) {
      packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(place));
      return;
    }
    cluster_.deliver(from, to, place, random_.below(20) == 0);
  }

  void propose() {
    // Mostly the latest leader, sometimes one that does not know yet that it is not.
    const auto leader = random_.below(4) == 0 ? std::optional(any_up()) : cluster_.leader();
    if (leader)
      (void)cluster_.propose(*leader, static_cast<std::uint32_t>(80 + random_.below(200)));
  }

  void change(NodeId leader) {
    std::vector<MembershipChange> changes;
    for (std::uint64_t i = 1 + random_.below(3); i > 0; --i) {
      const auto kind = static_cast<ChangeKind>(1 + random_.below(3));
      changes.push_back({kind, {any(), "", "", true}});
    }
    (void)cluster_.change(leader, changes);
  }

  bool converge(int rounds) {
    bool proposed = false;
    for (int i = 0; i < rounds; ++i) {
      for (NodeId id : cluster_.ids()) {
        for (NodeId to : std::vector<NodeId>(cluster_.node(id).snapshots_under_way)) {
          cluster_.report_snapshot_sent(id, to, false);
        }
        cluster_.tick(id);
        cluster_.pump(id);
      }
      cluster_.settle();
      for (NodeId id : cluster_.ids()) cluster_.pump(id);
      const auto leader = cluster_.leader();
      if (!leader || !cluster_.raft(*leader).has_committed_own_term()) continue;
      if (!proposed) proposed = cluster_.propose(*leader).has_value();
      if (proposed && all_agree(*leader)) return true;
    }
    return false;
  }

  bool all_agree(NodeId leader) {
    Raft& leading = cluster_.raft(leader);
    if (leading.commit() != leading.last_index() || leading.membership().is_joint()) return false;
    for (NodeId id : all_ids(leading.membership())) {
      if (cluster_.raft(id).commit() != leading.commit()) return false;
      if (cluster_.raft(id).membership() != leading.membership()) return false;
    }
    return true;
  }

  wire::Prng random_;
  ClusterOptions options_;
  MemoryCluster cluster_;
  std::uint64_t crash_ppm_ = 0;
  std::uint64_t loss_ppm_ = 0;
  std::uint64_t tick_share_ = 250;
  std::uint64_t token_ = 0;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("A cluster keeps its promises through anything, and converges once it is left alone") {
  constexpr std::uint64_t kNone = UINT64_MAX;
  const std::uint64_t only = from_environment("BIB_SEED", kNone);
  const std::uint64_t first = only == kNone ? 1 : only;
  const std::uint64_t last = only == kNone ? from_environment("BIB_SEEDS", 1000) : only;
  std::uint64_t committed = 0;
  std::uint64_t elections = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    RandomRun run(seed);
    std::string failure;
    try {
      run.disturb(10000);
      run.heal();
    } catch (const std::exception& error) {
      failure = error.what();
    }
    INFO("BIB_SEED=" << seed << ": " << failure);
    REQUIRE(failure.empty());
    committed += run.cluster().committed_anywhere().value();
    elections += run.cluster().leaders_elected();
  }
  // A run in which nothing happens proves nothing.
  INFO("committed " << committed << ", leaders " << elections);
  CHECK(committed > 40 * (last - first + 1));
  CHECK(elections > 4 * (last - first + 1));
}

TEST_CASE("The same inputs give the same effects") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    RandomRun one(seed);
    RandomRun two(seed);
    one.disturb(1500);
    two.disturb(1500);
    CHECK(one.cluster().trace() == two.cluster().trace());
  }
}

}  // namespace bib::consensus::test
