#include "inspect/state_source.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "projections/replay.h"
#include "wire/entry.h"

namespace bib::inspect {

using projections::DigestSet;
using projections::family_index;
using projections::family_name;
using projections::StateMark;
using wire::ErrorCode;
using wire::LogIndex;

namespace {

// A running node removes files that a compaction replaced, perhaps just before we open them.
constexpr int kOpensMax = 3;

std::string how_to_rebuild(const StateSource& state) {
  return "the rows are derived from the log: stop the node, move " + state.path +
         " away and start it again, and it derives them anew";
}

Finding undone(const StateSource& state, std::string what) {
  return {FindingKind::kUndone, state.path, 0, {}, std::move(what), {}};
}

// One finding for each projection whose digests differ.
void compare(const StateSource& state, const DigestSet& expected, const DigestSet& found,
             std::string_view whose, Findings& findings) {
  for (const projections::Family family : projections::kFamilies) {
    const auto& kept = expected[family_index(family)];
    const auto& other = found[family_index(family)];
    if (kept == other) continue;
    findings.push_back(
        {FindingKind::kDamage, state.path, 0, state.mark->applied_index,
         fmt::format(
             "{} at entry {}: {} have the digest {} ({} rows), the store keeps {} ({} rows)",
             family_name(family), state.mark->applied_index.value(), whose, to_string(other),
             other.rows, to_string(kept), kept.rows),
         how_to_rebuild(state)});
  }
}

// The log's entries that are not void, in order, segment by segment.
class EntryFeed {
 public:
  explicit EntryFeed(const Survey& survey) : survey_(survey) {}

  wire::Result<std::optional<wire::Bytes>> next() {
    while (places_.empty()) {
      if (segment_ == survey_.segments.size()) return std::nullopt;
      BIB_TRY_VOID(load(survey_.segments[segment_++]));
    }
    const wire::ByteView entry = places_.front();
    places_.pop_front();
    return wire::Bytes::copy_of(entry);
  }

 private:
  wire::Status load(const SegmentReport& segment) {
    return read_again(segment, file_, [this](const LogRecord& place) {
      const wire::Record& record = place.record;
      if (record.kind == wire::RecordKind::kEntry &&
          !survey_.voids.contains(place.ordinal, record.entry.index)) {
        places_.push_back(record.content);
      }
      return wire::Status();
    });
  }

  const Survey& survey_;
  FileBytes file_;
  std::size_t segment_ = 0;
  std::deque<wire::ByteView> places_;  // in `file_`
};

}  // namespace

StateSource open_state(const std::string& directory) {
  StateSource state;
  state.path = directory;
  state.exists = !directory.empty() && has_rows(directory);
  for (int opens = 0; state.exists && !state.mark && opens < kOpensMax; ++opens) {
    state.problem.reset();
    projections::RocksOptions options;
    options.read_only = true;
    auto store = projections::RocksStore::open(directory, options);
    if (!store) {
      state.problem = std::move(store).error();
      continue;
    }
    state.store = *std::move(store);
    auto mark = projections::read_mark(*state.store);
    if (mark) {
      state.mark = *std::move(mark);
    } else {
      state.problem = std::move(mark).error();
    }
  }
  return state;
}

void check_mark(const StateSource& state, const Survey& survey, Findings& findings) {
  if (state.problem) {
    const bool corrupt = state.problem->code == ErrorCode::kCorrupt;
    findings.push_back({corrupt ? FindingKind::kDamage : FindingKind::kNote,
                        state.path,
                        0,
                        {},
                        state.problem->message,
                        corrupt ? how_to_rebuild(state) : std::string()});
  }
  const LogIndex log_end = survey.log.last().index;
  // A damaged log seems to end early: that is said already.
  if (!state.mark || state.mark->applied_index <= log_end || has_damage(survey.findings)) return;
  findings.push_back(
      {FindingKind::kDamage, state.path, 0, log_end + 1,
       fmt::format("the rows stand at entry {}, but the log ends at {}: entries that were durable "
                   "are missing",
                   state.mark->applied_index.value(), log_end.value()),
       fmt::format("if the disk or its snapshot was rolled back, stop this node, {}",
                   kHowToRejoin)});
}

void check_rows(const StateSource& state, Findings& findings) {
  if (!state.mark) {
    if (!state.exists) findings.push_back(undone(state, "there are no rows to check"));
    if (state.problem) findings.push_back(undone(state, "the rows could not be read"));
    return;
  }
  const auto digests = projections::compute_digests(*state.store->view());
  if (!digests) {
    findings.push_back({FindingKind::kDamage, state.path, 0, state.mark->applied_index,
                        digests.error().message, how_to_rebuild(state)});
    return;
  }
  compare(state, state.mark->digests, *digests, "the rows", findings);
}

void check_replay(const StateSource& state, const Survey& survey, Findings& findings) {
  if (!state.mark) return;  // check_rows() says so
  const LogIndex until = state.mark->applied_index;
  if (has_damage(survey.findings)) {
    findings.push_back(undone(state, "the log is damaged: it was not replayed"));
    return;
  }
  if (survey.log.base.index > LogIndex(0)) {
    findings.push_back(undone(
        state, fmt::format("the log begins behind entry {}, with a snapshot: it cannot be replayed "
                           "from its first entry",
                           survey.log.base.index.value())));
    return;
  }
  EntryFeed feed(survey);
  projections::MemoryStore memory;
  const auto mark = projections::replay([&feed] { return feed.next(); }, memory, until);
  if (!mark) {
    const bool ours = mark.error().code == ErrorCode::kIo;
    findings.push_back({ours ? FindingKind::kUndone : FindingKind::kDamage,
                        state.path,
                        0,
                        until,
                        fmt::format("the log cannot be replayed: {}", mark.error().message),
                        {}});
    return;
  }
  if (mark->applied_index != until) return;  // check_mark() says so
  compare(state, state.mark->digests, mark->digests, "the replayed rows", findings);
}

}  // namespace bib::inspect
