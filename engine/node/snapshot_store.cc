#include "engine/node/snapshot_store.h"

#include <algorithm>
#include <utility>

namespace bib::engine {

using wire::LogPosition;

SnapshotStore::SnapshotStore(FileSystem& files, Executor& executor, std::string root,
                             FoundSnapshots found, std::uint32_t retain_count,
                             std::function<void(const wire::Error&)> on_problem)
    : files_(files),
      executor_(executor),
      root_(std::move(root)),
      retain_count_(std::max<std::uint32_t>(retain_count, 1)),
      on_problem_(std::move(on_problem)),
      set_aside_(std::move(found.set_aside)) {
  for (wire::SnapshotManifest& manifest : found.snapshots) {
    snapshots_.push_back(std::make_shared<const wire::SnapshotManifest>(std::move(manifest)));
  }
}

SnapshotStore::~SnapshotStore() = default;

SnapshotPtr SnapshotStore::find(LogPosition position) const {
  for (const SnapshotPtr& snapshot : snapshots_) {
    if (snapshot->position() == position) return snapshot;
  }
  return nullptr;
}

SnapshotPtr SnapshotStore::add(wire::SnapshotManifest manifest) {
  auto added = std::make_shared<const wire::SnapshotManifest>(std::move(manifest));
  const auto after =
      std::upper_bound(snapshots_.begin(), snapshots_.end(), added->index,
                       [](wire::LogIndex index, const SnapshotPtr& s) { return index < s->index; });
  snapshots_.insert(after, added);
  prune();
  prune_set_aside(added->index);
  return added;
}

void SnapshotStore::set_aside(const SnapshotPtr& snapshot, std::function<void(wire::Status)> done) {
  std::erase(snapshots_, snapshot);
  auto outcome = std::make_shared<wire::Status>();
  executor_.run([&files = files_, root = root_, position = snapshot->position(),
                 outcome] { *outcome = set_snapshot_aside(files, root, position); },
                lifetime_.guarded([position = snapshot->position(), outcome,
                                   done = std::move(done)](SnapshotStore& self) {
                  if (*outcome) {
                    std::erase(self.set_aside_, position);
                    self.set_aside_.push_back(position);
                    self.prune_set_aside({});
                  }
                  done(*outcome);
                }));
}

// What a newer one replaces, and all but the last few.
void SnapshotStore::prune_set_aside(wire::LogIndex whole) {
  std::vector<LogPosition> left;
  for (std::size_t i = 0; i < set_aside_.size(); ++i) {
    const bool is_replaced = whole >= set_aside_[i].index;
    if (!is_replaced && i + wire::kDamagedSnapshotsMax >= set_aside_.size()) {
      left.push_back(set_aside_[i]);
    } else {
      remove(wire::damaged_snapshot_name(set_aside_[i]));
    }
  }
  set_aside_ = std::move(left);
}

void SnapshotStore::remove(std::string name) {
  auto outcome = std::make_shared<wire::Status>();
  executor_.run([&files = files_, root = root_, name = std::move(name),
                 outcome] { *outcome = remove_snapshot(files, root, name); },
                lifetime_.guarded([outcome](SnapshotStore& self) {
                  if (!*outcome) self.on_problem_(outcome->error());
                }));
}

bool SnapshotStore::is_pinned(LogPosition position) const {
  const auto pin = pins_.find(position.index.value());
  return pin != pins_.end() && !pin->second.expired();
}

SnapshotStore::Pin SnapshotStore::pin(const SnapshotPtr& snapshot) {
  std::weak_ptr<void>& known = pins_[snapshot->index.value()];
  Pin pin;
  pin.held_ = known.lock();
  if (pin.held_) return pin;
  // The last one to let go looks whether the snapshot is still wanted.
  pin.held_ = std::shared_ptr<void>(
      this, lifetime_.guarded([](SnapshotStore& self, void*) { self.prune(); }));
  known = pin.held_;
  return pin;
}

void SnapshotStore::prune() {
  std::erase_if(pins_, [](const auto& pin) { return pin.second.expired(); });
  std::size_t kept = 0;
  std::vector<SnapshotPtr> left;
  for (auto at = snapshots_.rbegin(); at != snapshots_.rend(); ++at) {
    const bool keeps = kept++ < retain_count_ || is_pinned((*at)->position());
    if (keeps) {
      left.push_back(*at);
      continue;
    }
    remove(name_of(**at));
  }
  std::reverse(left.begin(), left.end());
  snapshots_ = std::move(left);
}

}  // namespace bib::engine
