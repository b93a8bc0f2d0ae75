// What happens to a simulated node's disk while the node is down.
#include <utility>

#include "sim_node.h"
#include "sim_process.h"
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
  founders_.reset();
  append_ends_.clear();
  cut_ = kNoCut;
  maybe_cut_to_ = LogIndex();
  decided_ = LogIndex();
  rotten_ = false;
  is_wiped_ = true;
  log_id_ = world_.random.next() | 1;
}

bool SimNode::rot() {
  BIB_CHECK(!process_);
  if (rotten_ || !durable_log_ || append_ends_.size() < kAppendEndsKept) return false;
  const LogIndex last = std::min(append_ends_.front(), durable_log_->last().index);
  const LogIndex first = std::max(durable_log_->base().index, maybe_cut_to_) + 1;
  if (last < first) return false;
  const LogIndex index(world_.random.between(first.value(), last.value()));
  const auto location = durable_log_->find(index);
  if (!location || index >= cut_) return false;
  const auto other =
      durable_log_->find(LogIndex(world_.random.between(first.value(), last.value())));
  rotten_ = other && damage(*location, *other);
  return rotten_;
}

std::string SimNode::segment_path(std::uint64_t segment) const {
  return engine::join_path(kLogDirectory, wire::segment_file_name(segment));
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
    world_.trace.line(name_, "what was written for entry {} stands where entry {} was",
                      other.index.value(), entry.index.value());
    return true;
  }
  if (!disk_.rot(path, entry.offset, entry.offset + entry.size, world_.random)) return false;
  world_.trace.line(name_, "a bit of entry {} flips on its disk", entry.index.value());
  return true;
}

}  // namespace bib::sim
