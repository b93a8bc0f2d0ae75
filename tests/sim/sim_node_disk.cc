// What happens to a simulated node's disk while the node is down.
#include <algorithm>
#include <utility>

#include "engine/storage/state_install.h"
#include "sim_node.h"
#include "violation.h"
#include "wire/base/check.h"
#include "wire/log/log_format.h"

namespace bib::sim {

using wire::LogIndex;

void SimNode::wipe() {
  BIB_CHECK(!process_);
  world_.trace.line(name_, "its disk is emptied");
  disk_.wipe();
  state_.wipe();
  lost_logs_[log_id_] = std::exchange(durable_log_, nullptr);
  durable_hard_state_ = {};
  joins_ = false;
  appends_.ends.clear();
  cut_ = kNoCut;
  maybe_cut_to_ = LogIndex();
  decided_ = LogIndex();
  damage_ = {};
  is_wiped_ = true;
  log_id_ = world_.random.next() | 1;
}

// One comes free while the caller waits: others close what they had open.
bool SimNode::wait_for_descriptor() {
  if (world_.random.below(3) == 0) disk_.refuse_opening(false);
  return true;
}

bool SimNode::is_member_of(const wire::Membership& membership) const {
  const wire::Member* line = membership.find(id());
  return line != nullptr && line->log_id == log_id_;
}

const engine::LogLocations* SimNode::durable_log_of(std::uint64_t log_id) const {
  if (log_id == log_id_) return durable_log_.get();
  const auto lost = lost_logs_.find(log_id);
  return lost == lost_logs_.end() ? nullptr : lost->second.get();
}

// ---- what the log's port says

void SimNode::on_durable_writes(const std::vector<engine::LogStoreWrite>& writes) {
  for (const engine::LogStoreWrite& write : writes) {
    if (write.hard_state) durable_hard_state_ = *write.hard_state;
    if (write.truncate_from) {
      while (!appends_.ends.empty() && appends_.ends.back() >= *write.truncate_from) {
        appends_.ends.pop_back();
      }
    }
    if (write.reset) {
      appends_.ends.clear();
      decided_ = LogIndex();
    }
  }
  const wire::LogPosition last = process_->log->store().last();
  // What changes nothing writes nothing, so it claims nothing of what was written before.
  const std::uint64_t syncs = process_->log->store().counters().syncs;
  if (std::exchange(appends_.syncs, syncs) != syncs) appends_.ends.push_back(last.index);
  if (appends_.ends.size() > kAppendEndsKept) appends_.ends.pop_front();
  world_.trace.note(index_, writes.back().append_sequence, last.index.value());
  world_.trace.line(name_, "durable: {}/t{}, term {} vote {}", last.index.value(),
                    last.term.value(), durable_hard_state_.term.value(),
                    durable_hard_state_.vote.value());
}

void SimNode::on_writes_in_doubt(const std::vector<engine::LogStoreWrite>& writes) {
  for (const engine::LogStoreWrite& write : writes) {
    if (write.truncate_from) cut_ = std::min(cut_, *write.truncate_from);
    if (write.reset) cut_ = LogIndex();
  }
}

void SimNode::on_cut(LogIndex base) {
  world_.trace.note(index_, base.value());
  world_.trace.line(name_, "the log is cut: it starts after {}", base.value());
  world_.oracle.count_cut();
  std::vector<wire::SnapshotManifest> snapshots;
  for (const auto& one : process_->node->parts().snapshots->store().list()) {
    snapshots.push_back(*one);
  }
  check_cut(base, snapshots);
}

void SimNode::on_cut_in_doubt(LogIndex base) {
  maybe_cut_to_ = std::max(maybe_cut_to_, base);
}

bool SimNode::rot() {
  BIB_CHECK(!process_);
  if (damage_.of_log || !durable_log_ || appends_.ends.size() < kAppendEndsKept) return false;
  const LogIndex last = std::min(appends_.ends.front(), durable_log_->last().index);
  const LogIndex first = std::max(durable_log_->base().index, maybe_cut_to_) + 1;
  if (last < first) return false;
  const LogIndex index(world_.random.between(first.value(), last.value()));
  const auto location = durable_log_->find(index);
  if (!location || index >= cut_) return false;
  const auto other =
      durable_log_->find(LogIndex(world_.random.between(first.value(), last.value())));
  damage_.of_log = other && damage(*location, *other);
  return damage_.of_log;
}

// ---- damage to snapshots and rows

bool SimNode::is_damaged(wire::LogPosition snapshot) const {
  return std::find(damage_.of_snapshots.begin(), damage_.of_snapshots.end(), snapshot) !=
         damage_.of_snapshots.end();
}

void SimNode::damage_snapshot() {
  const engine::InstallPlaces places(kDataDirectory);
  const engine::SnapshotPtr newest = process_->node->parts().snapshots->store().newest();
  const auto installing = engine::find_install(disk_, places);
  if (!newest || is_damaged(newest->position()) || !installing || *installing) return;
  const std::string name = engine::name_of(*newest);
  const auto& file = newest->files[world_.random.below(newest->files.size())];
  const std::string path =
      engine::join_path(engine::snapshot_state_directory(places.snapshots, name), file.name);
  const std::string manifest =
      engine::join_path(engine::join_path(places.snapshots, name), wire::kSnapshotManifestName);
  const std::uint64_t kind = world_.random.below(3);
  const bool is_done = kind == 0   ? disk_.lose(path)
                       : kind == 1 ? disk_.rot_one_link(manifest, world_.random)
                                   : disk_.rot_one_link(path, world_.random);
  if (!is_done) return;
  world_.trace.line(name_, "snapshot {} is damaged: {}", name,
                    kind == 0   ? file.name + " is gone"
                    : kind == 1 ? std::string("its manifest")
                                : file.name);
  damage_.of_snapshots.push_back(newest->position());
}

bool SimNode::damage_rows() {
  const engine::InstallPlaces places(kDataDirectory);
  const auto installing = engine::find_install(disk_, places);
  const auto names = disk_.list(places.state);
  if (damage_.of_rows || !names || !installing || *installing) return false;
  std::vector<std::string> tables;
  for (const std::string& name : *names) {
    if (engine::is_rows_file(name)) tables.push_back(name);
  }
  if (tables.empty()) return false;
  const std::string& table = tables[world_.random.below(tables.size())];
  if (!disk_.rot(engine::join_path(places.state, table), 0, UINT64_MAX, world_.random))
    return false;
  world_.trace.line(name_, "a bit of its rows' file {} flips on its disk", table);
  damage_.of_rows = true;
  const auto shared = disk_.list(places.snapshots);
  for (const std::string& name : shared.value_or(std::vector<std::string>())) {
    const auto position = wire::parse_snapshot_name(name);
    if (position && !is_damaged(*position)) damage_.of_snapshots.push_back(*position);
  }
  return true;
}

// Each who needs it may learn it once, for some parts at a time, and messages may be repeated.
void SimNode::on_useless_snapshot(wire::LogPosition snapshot) {
  constexpr unsigned kOffersMax = 100;
  if (!process_ || !is_damaged(snapshot)) return;
  if (std::exchange(process_->useless, snapshot) != snapshot) process_->useless_offers = 0;
  if (++process_->useless_offers <= kOffersMax) return;
  violated("snapshot", "{} goes on to offer snapshots that cannot be read", name_);
}

std::string SimNode::segment_path(std::uint64_t segment) const {
  return engine::join_path("/data/log", wire::segment_file_name(segment));
}

bool SimNode::damage(const engine::EntryLocation& entry, const engine::EntryLocation& other) {
  const std::string path = segment_path(entry.segment);
  const std::string other_path = segment_path(other.segment);
  const std::uint64_t kind = world_.random.below(4);
  if (kind == 0 && entry.segment != other.segment && disk_.exchange_names(path, other_path)) {
    world_.trace.line(name_, "segments {} and {} have each other's name", entry.segment,
                      other.segment);
    return true;
  }
  if (kind <= 1 && disk_.misdirect({other_path, other.offset}, {path, entry.offset})) {
    world_.trace.line(name_, "what was written for entry {} is where entry {} was",
                      other.index.value(), entry.index.value());
    return true;
  }
  if (!disk_.rot(path, entry.offset, entry.offset + entry.size, world_.random)) return false;
  world_.trace.line(name_, "a bit of entry {} flips on its disk", entry.index.value());
  return true;
}

}  // namespace bib::sim
