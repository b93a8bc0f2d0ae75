#include "plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace bib::sim {

namespace {

class Drawer {
 public:
  explicit Drawer(std::uint64_t seed) : random_(seed) {}

  bool one_in(std::uint64_t count) { return random_.below(count) == 0; }
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return random_.between(low, high);
  }
  template <typename T>
  T of(std::initializer_list<T> values) {
    return values.begin()[random_.below(values.size())];
  }
  // A mean time for a fault that exists in every second run.
  Time mean(Time low, Time high, std::uint64_t exists_one_in = 2) {
    return one_in(exists_one_in) ? random_.between(low, high) : 0;
  }
  std::uint32_t ppm(std::uint32_t max, std::uint64_t exists_one_in = 2) {
    return one_in(exists_one_in) ? static_cast<std::uint32_t>(random_.below(max + 1)) : 0;
  }

 private:
  wire::Prng random_;
};

void draw_raft(Drawer& draw, Plan& plan) {
  consensus::RaftConfig& raft = plan.raft;
  raft.election_ticks_min = draw.of<unsigned>({5, 10, 10, 20, 20, 50, 100});
  raft.heartbeat_ticks = static_cast<unsigned>(
      draw.between(1, std::max<std::uint64_t>(1, raft.election_ticks_min / 4)));
  // Mostly as in a real node, where suspicion is much sooner than the election timeout: after a
  // partition two nodes believe they lead for seconds.
  if (!draw.one_in(5)) {
    raft.election_ticks_min = draw.of<unsigned>({500, 500, 250});
    raft.heartbeat_ticks = raft.election_ticks_min / 5;
  }
  raft.commit_notify_ticks = draw.of<unsigned>({0, 0, 1, 5});
  raft.append_entries_max = draw.of<std::size_t>({1, 1, 2, 4, 64, 1024});
  raft.append_bytes_max = draw.of<std::uint64_t>({256, 4096, 1U << 20});
  raft.flight.messages_max = draw.of<std::size_t>({1, 2, 4, 16, 256});
  raft.flight.bytes_max = draw.of<std::uint64_t>({1024, 16384, 8U << 20});
  raft.uncommitted_bytes_max = draw.of<std::uint64_t>({2048, 64U << 10, 64U << 20, 64U << 20});
  raft.reads_waiting_max = draw.of<std::size_t>({2, 65536, 65536});
  raft.seed = draw.between(0, UINT64_MAX);
  plan.driver.cache_bytes = draw.of<std::size_t>({1024, 16384, 16U << 20});
  plan.driver.apply_bytes_per_turn = draw.of<std::size_t>({256, 4096, 512U << 10});
  plan.driver.read_bytes = draw.of<std::size_t>({512, 8192, 1U << 20});
  plan.driver.waiting_appends_max = draw.of<std::size_t>({1, 4, 256});
  plan.driver.promote_every_ticks = draw.of<unsigned>({1, 10, 30});
}

void draw_network(Drawer& draw, NetworkPlan& network) {
  network.latency_min = draw.between(30, 500);
  network.latency_max =
      network.latency_min + draw.of<Time>({100, 1000, 5 * kMillisecond, 20 * kMillisecond});
  network.loss_ppm = draw.ppm(draw.of<std::uint32_t>({10'000, 100'000, 300'000}));
  network.duplicate_ppm = draw.ppm(200'000);
  network.reorder_ppm = draw.ppm(500'000);
  network.foreign_ppm = draw.ppm(20'000);
  network.through_bytes = draw.one_in(3);
  network.delivers_late = !draw.one_in(3);
}

void draw_disk(Drawer& draw, DiskPlan& disk) {
  disk.append_min = draw.between(20, 300);
  disk.append_max = disk.append_min + draw.of<Time>({50, 500, 5 * kMillisecond, 40 * kMillisecond});
  disk.write_unit = draw.of<std::uint32_t>({512, 512, 512, 4096});
  disk.segment_bytes = draw.of<std::uint64_t>({64U << 10, 64U << 10, 128U << 10, 256U << 10});
  disk.block_bytes_max = draw.of<std::uint32_t>({1024, 16384, 4U << 20});
  disk.prepares_segments = !draw.one_in(4);
  disk.stall_limit = draw.of<Time>({100, 500, 500, 2000}) * kMillisecond;
  disk.queue_writes_max = draw.of<std::size_t>({1, 4, 64, 4096});
}

void draw_faults(Drawer& draw, FaultPlan& faults) {
  if (draw.one_in(25)) return;  // a run without any
  faults.kill = draw.mean(kSecond, 10 * kSecond);
  faults.power = draw.mean(kSecond, 10 * kSecond);
  faults.blackout = draw.mean(4 * kSecond, 15 * kSecond, 3);
  faults.partition = draw.mean(kSecond, 8 * kSecond);
  faults.reset = draw.mean(200 * kMillisecond, 5 * kSecond, 3);
  faults.pause = draw.mean(kSecond, 8 * kSecond, 3);
  faults.clock_jump = draw.mean(kSecond, 8 * kSecond, 4);
  faults.disk_stall = draw.mean(kSecond, 8 * kSecond, 4);
  faults.sync_failure = draw.mean(3 * kSecond, 15 * kSecond, 4);
  faults.disk_full = draw.mean(3 * kSecond, 15 * kSecond, 4);
  faults.rot = draw.mean(5 * kSecond, 20 * kSecond, 6);
  faults.membership = draw.mean(200 * kMillisecond, 6 * kSecond);
  faults.transfer = draw.mean(300 * kMillisecond, 6 * kSecond, 3);
  faults.clock_rates = draw.one_in(4);
  faults.die_in_turn_ppm = draw.ppm(2000, 3);
  faults.die_on_change_ppm = draw.ppm(400'000, 4);
  faults.die_in_start_ppm = draw.ppm(400'000, 4);
  faults.relapse_ppm = draw.ppm(900'000, 3);
  faults.stop = draw.mean(kSecond, 8 * kSecond);
  faults.die_in_stop_ppm = draw.ppm(300'000, 3);
}

void draw_work(Drawer& draw, WorkloadPlan& work) {
  work.clients = static_cast<unsigned>(draw.between(1, 5));
  work.keys = static_cast<unsigned>(draw.between(1, 5));
  work.think_min = draw.of<Time>({0, 10 * kMillisecond, 100 * kMillisecond});
  work.think_max = work.think_min + draw.of<Time>({20 * kMillisecond, 200 * kMillisecond, kSecond});
  work.patience = draw.of<Time>({50 * kMillisecond, 300 * kMillisecond, 2 * kSecond});
  work.attempts_max = static_cast<unsigned>(draw.between(1, 12));
  work.write_ppm = draw.of<std::uint32_t>({300'000, 600'000, 900'000});
  work.conditional_ppm = draw.of<std::uint32_t>({0, 300'000});
  work.other_ppm = draw.of<std::uint32_t>({0, 200'000, 500'000});
  work.duplicate_ppm = draw.of<std::uint32_t>({0, 100'000});
  work.value_bytes_max = draw.of<std::uint32_t>({16, 16, 300, 3000});
  work.slow_ppm = draw.ppm(300'000);
  work.feeds = draw.of<unsigned>({0, 1, 2});
  work.late_ppm = draw.of<std::uint32_t>({0, 0, 300'000, 1'000'000});
  if (work.late_ppm != 0) work.conditional_ppm = draw.of<std::uint32_t>({300'000, 700'000});
}

void draw_snapshots(Drawer& draw, Plan& plan) {
  if (plan.on_rocksdb || draw.one_in(3)) return;
  SnapshotPlan& snapshots = plan.snapshots;
  snapshots.exist = true;
  snapshots.threshold = draw.between(10, draw.of<std::uint64_t>({15, 60, 300}));
  snapshots.interval_ticks = draw.of<std::uint64_t>({100, 1000, 100'000});
  snapshots.trailing_logs = draw.of<std::uint64_t>({0, 0, 5, 20, 100});
  snapshots.some_keep_all = draw.one_in(3);
  snapshots.retain_count = draw.of<std::uint32_t>({1, 1, 2, 3});
  snapshots.chunk_bytes = draw.of<std::uint32_t>({2000, 10'000, 256U << 10});
  snapshots.chunks_ahead = draw.of<std::uint32_t>({1, 2, 4});
  snapshots.retry_ticks = draw.of<unsigned>({1, 20, 100});
  snapshots.repeat_ticks = static_cast<unsigned>(draw.between(3, 30));
  snapshots.give_up_ticks = snapshots.repeat_ticks * draw.of<unsigned>({3, 10, 30});
  snapshots.make_max = draw.of<Time>({kMillisecond, 20 * kMillisecond, 500 * kMillisecond});
  snapshots.job_max = draw.of<Time>({kMillisecond, 10 * kMillisecond, 100 * kMillisecond});
  if (plan.faults.kill != 0 || plan.faults.power != 0) {
    snapshots.die_in_job_ppm = draw.ppm(draw.of<std::uint32_t>({3'000, 30'000, 200'000}));
  }
  // Whole segments are cut: of large blocks a small log has many.
  if (!draw.one_in(4)) plan.disk.write_unit = 4096;
  plan.disk.segment_bytes = 64U << 10;
  if (draw.one_in(2)) {
    plan.work.think_min = 0;
    plan.work.think_max = 20 * kMillisecond;
  }
  if (draw.one_in(5)) {
    // Whoever is cut off while it leads gets a long end of its log that nobody else has, and may be
    // sent a snapshot of a place within, while somebody reads there.
    plan.work.feeds = 2;
    plan.faults.partition = draw.between(kSecond, 4 * kSecond);
    plan.raft.election_ticks_min = draw.of<unsigned>({50, 100});
    plan.raft.heartbeat_ticks = 10;
    plan.work.clients = 5;
    plan.work.patience = 50 * kMillisecond;
    plan.work.attempts_max = 1;
    snapshots.threshold = draw.between(10, 20);
    snapshots.trailing_logs = 0;
    plan.disk.write_unit = 4096;
    plan.driver.promote_every_ticks = 10;
  }
}

// Only a guard keeps a wiped disk out, and only an operator brings its node back.
void draw_wipes(Drawer& draw, Plan& plan) {
  plan.network.greets = draw.one_in(2);
  if (!plan.network.greets || plan.faults.membership == 0) return;
  plan.faults.wipe = draw.mean(2 * kSecond, 10 * kSecond, 2);
  if (plan.faults.wipe != 0) plan.faults.membership /= 2;
}

// A record outlives every repeat of its request, also one that comes late or that a paused node
// reads late, by the fastest of clocks.
void draw_sessions(Drawer& draw, Plan& plan) {
  if (!draw.one_in(3) || plan.raft.election_ticks_min > 100) return;
  WorkloadPlan& work = plan.work;
  work.attempts_max = std::min(work.attempts_max, 3U);
  work.patience = std::min<Time>(work.patience, 300 * kMillisecond);
  work.session_retention = 2 * work.attempts_max * work.patience + 12 * kSecond;
  if (plan.faults.clock_rates) work.session_retention *= 2;
  if (draw.one_in(2)) work.sessions_max = draw.of<std::uint32_t>({10, 40});
  if (draw.one_in(2)) plan.faults.clock_jump = draw.between(kSecond / 4, kSecond);
}

// A leader is cut off, and does not know for seconds that another one leads; what acknowledges its
// last entry comes late. Clients that stay with it ask for what changes nothing.
void draw_pinned(Drawer& draw, Plan& plan) {
  if (!draw.one_in(8) || !plan.network.delivers_late || plan.raft.election_ticks_min < 250) return;
  plan.voters = draw.of<unsigned>({3, 3, 5});
  plan.spares = 0;
  plan.grows = false;
  plan.network.lie_ppm = 0;
  WorkloadPlan& work = plan.work;
  work.clients = 4;
  work.pinned = 3;
  work.keys = 1;
  work.think_min = 100 * kMillisecond;
  work.think_max = 400 * kMillisecond;
  work.patience = 150 * kMillisecond;
  work.attempts_max = 12;
  work.write_ppm = 1'000'000;
  work.other_ppm = 0;
  plan.faults = FaultPlan{};
  plan.faults.cuts_off_leaders = true;
  plan.faults.partition = draw.between(2 * kSecond, 4 * kSecond);
  plan.snapshots.die_in_job_ppm = 0;
}

// One member lies. Not where a node knows no voter yet or the liar may become the only one: a node
// has nobody else to believe then.
void draw_lies(Drawer& draw, Plan& plan) {
  const FaultPlan& faults = plan.faults;
  if (!draw.one_in(2) || plan.voters < 2 || plan.spares != 0 || plan.grows) return;
  if (faults.membership != 0 || faults.rot != 0 || faults.wipe != 0) return;
  plan.network.lie_ppm = draw.of<std::uint32_t>({3'000, 30'000});
  plan.network.liar = static_cast<std::uint32_t>(draw.between(0, plan.voters - 1));
}

// Not where a node knows no voter yet: it may end for it.
void draw_damage(Drawer& draw, Plan& plan) {
  FaultPlan& faults = plan.faults;
  if (!plan.snapshots.exist || faults.cuts_off_leaders || !draw.one_in(3)) return;
  faults.snapshot_rot = draw.between(kSecond, 6 * kSecond);
  if (plan.network.lie_ppm == 0) faults.rows_rot = draw.mean(3 * kSecond, 15 * kSecond, 2);
}

// Nodes stop while their log has no room for what they have.
void draw_full_queues(Drawer& draw, Plan& plan) {
  if (!draw.one_in(6) || plan.faults.stop == 0 || plan.raft.election_ticks_min < 250) return;
  plan.disk.queue_writes_max = 1;
  plan.disk.append_min = 5 * kMillisecond;
  plan.disk.append_max = 40 * kMillisecond;
  plan.faults.stop = draw.between(kSecond / 2, 2 * kSecond);
  plan.work.clients = 5;
  plan.work.think_min = 0;
  plan.work.think_max = 20 * kMillisecond;
}

}  // namespace

Plan draw_plan(std::uint64_t seed) {
  Drawer draw(seed);
  Plan plan;
  plan.seed = seed;
  plan.voters = draw.of<unsigned>({1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 6, 7});
  plan.spares = static_cast<unsigned>(draw.between(0, 3));
  plan.on_rocksdb = draw.one_in(50);
  plan.grows = draw.one_in(4);
  plan.spares_join = plan.grows || draw.one_in(2);
  plan.row_cache_bytes = draw.of<std::size_t>({0, 2048, 256U << 10});
  plan.duration = draw.between(5 * kSecond, 40 * kSecond);
  plan.housekeeping = draw.of<Time>({20 * kMillisecond, 250 * kMillisecond, 250 * kMillisecond});
  plan.coalesces = draw.one_in(3);
  plan.leaves_minority_dead = draw.one_in(2);
  draw_raft(draw, plan);
  draw_network(draw, plan.network);
  draw_disk(draw, plan.disk);
  draw_faults(draw, plan.faults);
  draw_work(draw, plan.work);
  draw_snapshots(draw, plan);
  draw_wipes(draw, plan);
  draw_sessions(draw, plan);
  plan.faults.descriptors = draw.mean(500 * kMillisecond, 8 * kSecond, 4);
  plan.work.reply_bytes_max = draw.of<std::size_t>({1, 700, 4000, 4U << 20});
  draw_lies(draw, plan);
  draw_pinned(draw, plan);
  draw_full_queues(draw, plan);
  draw_damage(draw, plan);
  if (!plan.faults.cuts_off_leaders) plan.faults.copy = draw.mean(kSecond, 5 * kSecond, 4);
  // A disk that takes one write at a time is outrun by elections that come as fast as its writes.
  if (plan.raft.election_ticks_min < 100) {
    plan.disk.queue_writes_max = std::max<std::size_t>(plan.disk.queue_writes_max, 64);
  }
  // What a node makes of such rows in a snapshot, or a liar of their digests, is another matter.
  const bool may_change_rows = plan.voters >= 3 && !plan.snapshots.exist && !plan.on_rocksdb &&
                               plan.network.lie_ppm == 0 && plan.work.sessions_max == 0;
  plan.changes_rows = draw.one_in(3) && may_change_rows;
  if (draw.one_in(4) && plan.work.pinned == 0 && plan.work.sessions_max == 0) {
    // They keep records of requests that are not acknowledged.
    plan.work.sequences = static_cast<unsigned>(draw.between(1, 3));
  }
  return plan;
}

std::string describe(const Plan& plan) {
  const auto seconds = [](Time time) { return static_cast<double>(time) / kSecond; };
  const NetworkPlan& network = plan.network;
  const FaultPlan& faults = plan.faults;
  std::string text = fmt::format(
      "seed {}: {} voters{}, {} spares{}, {:.0f} s, {}\n"
      "  raft: election {} ticks, heartbeat {}, append {} entries {} bytes, {} in flight, cache "
      "{}\n"
      "  network: {} to {} us, loss {:.1f} %, repeated {:.1f} %, reordered {:.1f} %{}{}{}{}\n"
      "  disk: {} to {} us, unit {}, segments {} KiB, {} writes queued\n"
      "  clients: {}{}, keys {}, patience {:.2f} s, {} attempts, feeds {}, {} that misuse "
      "sequences, records kept {:.0f} s, at most {}\n"
      "  faults, mean seconds between:",
      plan.seed, plan.voters, plan.grows ? " one after another" : "", plan.spares,
      plan.spares_join ? " that ask to join" : "", seconds(plan.duration),
      plan.on_rocksdb ? "RocksDB" : "rows in memory", plan.raft.election_ticks_min,
      plan.raft.heartbeat_ticks, plan.raft.append_entries_max, plan.raft.append_bytes_max,
      plan.raft.flight.messages_max, plan.driver.cache_bytes, network.latency_min,
      network.latency_max, network.loss_ppm / 1e4, network.duplicate_ppm / 1e4,
      network.reorder_ppm / 1e4, network.through_bytes ? ", as bytes" : "",
      network.greets ? ", with greetings" : "", network.delivers_late ? ", late" : "",
      network.lie_ppm != 0 ? fmt::format(", n{} lies", network.liar + 1) : "", plan.disk.append_min,
      plan.disk.append_max, plan.disk.write_unit, plan.disk.segment_bytes >> 10,
      plan.disk.queue_writes_max, plan.work.clients,
      plan.work.pinned != 0 ? fmt::format(" ({} stay with one node)", plan.work.pinned) : "",
      plan.work.keys, seconds(plan.work.patience), plan.work.attempts_max, plan.work.feeds,
      plan.work.sequences, seconds(plan.work.session_retention), plan.work.sessions_max);
  const auto fault = [&](const char* name, Time mean) {
    if (mean != 0) text += fmt::format(" {} {:.1f}", name, seconds(mean));
  };
  fault("kill", faults.kill);
  fault("power", faults.power);
  fault("blackout", faults.blackout);
  fault(faults.cuts_off_leaders ? "partition of a leader" : "partition", faults.partition);
  fault("reset", faults.reset);
  fault("pause", faults.pause);
  fault("clock jump", faults.clock_jump);
  fault("disk stall", faults.disk_stall);
  fault("sync failure", faults.sync_failure);
  fault("disk full", faults.disk_full);
  fault("no descriptors", faults.descriptors);
  fault("rot", faults.rot);
  fault("snapshot damage", faults.snapshot_rot);
  fault("damage of rows", faults.rows_rot);
  fault("wipe", faults.wipe);
  fault("copy", faults.copy);
  fault("stop", faults.stop);
  fault("membership", faults.membership);
  fault("transfer", faults.transfer);
  if (plan.snapshots.exist) {
    const SnapshotPlan& snapshots = plan.snapshots;
    text += fmt::format(
        " in-job {} ppm\n  snapshots: every {} entries or {} ticks, {} kept, {} trailing entries, "
        "chunks of {} bytes, {} ahead\n ",
        snapshots.die_in_job_ppm, snapshots.threshold, snapshots.interval_ticks,
        snapshots.retain_count, snapshots.trailing_logs, snapshots.chunk_bytes,
        snapshots.chunks_ahead);
  }
  text += fmt::format(" in-turn {} ppm, on-change {} ppm, in-start {} ppm{}\n",
                      faults.die_in_turn_ppm, faults.die_on_change_ppm, faults.die_in_start_ppm,
                      faults.clock_rates ? ", clock rates" : "");
  if (plan.changes_rows) text += "  in the end a row of one node is changed\n";
  return text;
}

}  // namespace bib::sim
