// SnapshotStore: the snapshots that this node has.
//
// Lives on the node loop and does not block: it knows the manifests; what touches files runs on an
// executor (snapshot_files.h). Of the snapshots `retain_count` are kept, the newest; an older one
// that is pinned (it is being sent, or put in place) is removed when it is no longer needed. One
// that is damaged is set aside: it is no snapshot any more, and stays on the disk until a newer one
// is whole.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/ports/executor.h"
#include "engine/ports/file.h"
#include "engine/ports/lifetime.h"
#include "engine/storage/snapshot_files.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::engine {

using SnapshotPtr = std::shared_ptr<const wire::SnapshotManifest>;

inline std::string name_of(const wire::SnapshotManifest& manifest) {
  return wire::snapshot_name(manifest.index, manifest.term);
}

class SnapshotStore {
 public:
  // `found`: of find_snapshots(). `on_problem` is told what could not be removed.
  SnapshotStore(FileSystem& files, Executor& executor, std::string root, FoundSnapshots found,
                std::uint32_t retain_count, std::function<void(const wire::Error&)> on_problem);
  ~SnapshotStore();
  SnapshotStore(const SnapshotStore&) = delete;
  SnapshotStore& operator=(const SnapshotStore&) = delete;

  FileSystem& files() const { return files_; }
  const std::string& root() const { return root_; }
  // Ascending by index.
  const std::vector<SnapshotPtr>& list() const { return snapshots_; }
  // Null: there is none.
  SnapshotPtr newest() const { return snapshots_.empty() ? nullptr : snapshots_.back(); }
  SnapshotPtr find(wire::LogPosition position) const;

  // It is whole, and durable under its name. Older ones beyond `retain_count` are removed, and
  // those that were set aside.
  SnapshotPtr add(wire::SnapshotManifest manifest);
  // It is damaged. `done` when its name is free, or could not be changed.
  void set_aside(const SnapshotPtr& snapshot, std::function<void(wire::Status)> done);
  const std::vector<wire::LogPosition>& set_aside() const { return set_aside_; }

  // Keeps a snapshot's files for as long as the pin lives; they may outlive each other.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&&) noexcept = default;
    Pin& operator=(Pin&&) noexcept = default;

   private:
    friend class SnapshotStore;
    std::shared_ptr<void> held_;
  };
  Pin pin(const SnapshotPtr& snapshot);

 private:
  void prune();
  // `whole`: where one is that was just checked.
  void prune_set_aside(wire::LogIndex whole);
  void remove(std::string name);
  bool is_pinned(wire::LogPosition position) const;

  FileSystem& files_;
  Executor& executor_;
  const std::string root_;
  const std::size_t retain_count_;
  std::function<void(const wire::Error&)> on_problem_;
  std::vector<SnapshotPtr> snapshots_;
  std::vector<wire::LogPosition> set_aside_;
  std::map<std::uint64_t, std::weak_ptr<void>> pins_;  // by index; the weak side of the last pin
  Lifetime<SnapshotStore> lifetime_{this};
};

}  // namespace bib::engine
