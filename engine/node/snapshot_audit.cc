#include "engine/node/snapshot_audit.h"

#include <memory>
#include <utility>

#include "engine/storage/snapshot_files.h"
#include "projections/apply/checkpoint.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::SnapshotProblem;
using wire::Status;

namespace {

// "node ... could not use snapshot 8-1: its file 000012.sst came with checksum ..."
std::string text_of(const SnapshotDoubt& doubt, const wire::SnapshotManifest& snapshot) {
  const std::string name = name_of(snapshot);
  if (doubt.by == wire::NodeId()) return fmt::format("snapshot {} could not be read", name);
  std::string what;
  switch (doubt.problem) {
    case SnapshotProblem::kNone:
      what = "no reason was given";
      break;
    case SnapshotProblem::kManifest:
      what = "its manifest came damaged";
      break;
    case SnapshotProblem::kRows:
      what = "its rows came with other digests than its manifest names";
      break;
    case SnapshotProblem::kFile: {
      const bool is_named = doubt.file < snapshot.files.size();
      const std::string file = is_named ? snapshot.files[doubt.file].name : "?";
      what = doubt.checksum == 0 || !is_named
                 ? fmt::format("its file {} came shorter than its manifest says", file)
                 : fmt::format("its file {} came with checksum {:016x}, its manifest says {:016x}",
                               file, doubt.checksum, snapshot.files[doubt.file].checksum);
    }
  }
  return fmt::format("node {} could not use snapshot {}: {}", to_string(doubt.by), name, what);
}

}  // namespace

SnapshotAudit::SnapshotAudit(SnapshotAuditOptions options, SnapshotStore& store, Executor& executor,
                             std::function<void(const SnapshotPtr&, bool)> on_looked,
                             std::function<void(const std::string&)> on_news)
    : options_(std::move(options)),
      store_(store),
      executor_(executor),
      on_looked_(std::move(on_looked)),
      on_news_(std::move(on_news)) {}

SnapshotAudit::~SnapshotAudit() = default;

void SnapshotAudit::on_tick() {
  if (pause_ > 0) --pause_;
}

void SnapshotAudit::doubt(const SnapshotPtr& snapshot, const SnapshotDoubt& doubt) {
  // Another one has its turn when somebody cannot use it again.
  if (under_way_ || store_.find(snapshot->position()) != snapshot) return;
  const bool is_own = doubt.by == wire::NodeId();
  if (!is_own && pause_ > 0 && last_whole_ == snapshot->position()) return;
  under_way_ = snapshot;
  pin_ = store_.pin(snapshot);
  auto found = std::make_shared<Status>();
  if (BIB_MUTANT(kBelievesSnapshotDoubts) && !is_own) {
    return set_aside(doubt, wire::fail(ErrorCode::kCorrupt, "it is said to be damaged"));
  }
  const bool reads_rows = doubt.problem == SnapshotProblem::kRows;
  executor_.run(
      [&files = store_.files(), root = store_.root(), snapshot, found,
       verify_rows = reads_rows ? options_.verify_rows : nullptr] {
        *found = verify_snapshot(files, root, *snapshot);
        if (!*found || !verify_rows) return;
        const auto mark = verify_rows(snapshot_state_directory(root, name_of(*snapshot)));
        *found = mark ? projections::check_against_manifest(*mark, *snapshot)
                      : Status(tl::unexpected(mark.error()));
      },
      lifetime_.guarded([doubt, found](SnapshotAudit& self) { self.on_looked(doubt, *found); }));
}

void SnapshotAudit::on_looked(const SnapshotDoubt& doubt, const Status& found) {
  // What cannot be read is of no more use than what is wrong; for want of a descriptor it may be
  // read another time.
  const bool is_useless =
      !found && (found.error().code == ErrorCode::kCorrupt || found.error().code == ErrorCode::kIo);
  if (is_useless && !BIB_MUTANT(kKeepsDamagedSnapshots)) return set_aside(doubt, found);
  const SnapshotPtr looked_at = std::exchange(under_way_, nullptr);
  pin_ = {};
  if (found) {
    last_whole_ = looked_at->position();
    pause_ = options_.pause_ticks;
    wire::LogPosition& told = told_[doubt.by];
    if (doubt.by != wire::NodeId() && told != looked_at->position()) {
      told = looked_at->position();
      on_news_(fmt::format(
          "{}. It is whole here: what is wrong with it has become so on the way or there. Look at "
          "the log, the memory and the disk of that node",
          text_of(doubt, *looked_at)));
    }
  }
  on_looked_(looked_at, true);
}

void SnapshotAudit::set_aside(const SnapshotDoubt& doubt, const Status& found) {
  on_news_(fmt::format("{}; here: {}. It is set aside as {}, until another one has been made",
                       text_of(doubt, *under_way_), found.error().message,
                       wire::damaged_snapshot_name(under_way_->position())));
  store_.set_aside(under_way_, lifetime_.guarded([](SnapshotAudit& self, const Status& renamed) {
    if (!renamed) {
      self.on_news_(fmt::format("a damaged snapshot keeps its name: {}", renamed.error().message));
    }
    const SnapshotPtr gone = std::exchange(self.under_way_, nullptr);
    self.pin_ = {};
    self.on_looked_(gone, false);
  }));
}

}  // namespace bib::engine
