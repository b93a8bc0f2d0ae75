// raft-inspect verify: everything that can be checked, and everything that is wrong.
#include <optional>
#include <ostream>
#include <utility>

#include "inspect/commands.h"
#include "inspect/directory_source.h"
#include "inspect/snapshot_source.h"
#include "inspect/state_source.h"
#include "wire/log/entry.h"

namespace bib::inspect {

namespace {

// Findings about events of one segment; the rest are counted.
constexpr std::size_t kEventFindingsMax = 20;

// Decodes every event by the schema of its segment.
class EventChecker final : public wire::LogVisitor {
 public:
  explicit EventChecker(std::string log_directory) : log_directory_(std::move(log_directory)) {}

  void begin(const wire::WalkedSegment& segment, const wire::LogState&) override {
    in_segment_ = 0;
    const auto status = decoder_.use_schema_of(segment.header);
    has_schema_ = status.has_value();
    if (has_schema_) return;
    findings.push_back({FindingKind::kDamage,
                        segment_path(log_directory_, segment.number),
                        wire::kSegmentHeaderFixedSize,
                        segment.header.previous_index + 1,
                        fmt::format("the segment's schema cannot be used, so that its events "
                                    "cannot be checked: {}",
                                    status.error().message),
                        {}});
  }

  void record(const wire::WalkedRecord& place, const wire::LogState&) override {
    const wire::Record& record = place.record;
    if (record.kind != wire::RecordKind::kEntry || !has_schema_) return;
    const auto entry = wire::EntryReader::open(wire::Bytes::copy_of(record.content), true);
    if (!entry) return found_in(place, entry.error().message);
    for (std::size_t i = 0; i < entry->event_count(); ++i) {
      ++events;
      const auto decoded = decoder_.decode(entry->event(i));
      if (decoded) continue;
      found_in(place, fmt::format("event {}:{} cannot be decoded: {}", record.entry.index.value(),
                                  i, decoded.error().message));
    }
  }

  void end(const wire::WalkedSegment& segment) override {
    if (in_segment_ <= kEventFindingsMax) return;
    findings.push_back({FindingKind::kDamage,
                        segment_path(log_directory_, segment.number),
                        0,
                        {},
                        fmt::format("{} more events of this segment cannot be decoded",
                                    in_segment_ - kEventFindingsMax),
                        {}});
  }

  Findings findings;
  std::uint64_t events = 0;

 private:
  void found_in(const wire::WalkedRecord& place, std::string what) {
    if (++in_segment_ > kEventFindingsMax) return;
    findings.push_back({FindingKind::kDamage, segment_path(log_directory_, place.segment.number),
                        place.record.file_offset, place.record.entry.index, std::move(what),
                        "the bytes are as they were written: keep a copy of the file and report "
                        "this with the versions of bibd that wrote it"});
  }

  const std::string log_directory_;
  EventDecoder decoder_;
  bool has_schema_ = false;
  std::size_t in_segment_ = 0;
};

struct Outcome {
  Survey survey;
  StateSource state;
  SnapshotSource snapshots;
  std::optional<wire::LogIndex> replayed_from;
  std::uint64_t events_checked = 0;
  Findings findings;  // all of them
};

std::uint64_t count_of(const Findings& findings, FindingKind kind) {
  std::uint64_t count = 0;
  for (const Finding& finding : findings) count += finding.kind == kind ? 1 : 0;
  return count;
}

std::string verdict(const Findings& findings) {
  const std::uint64_t damage = count_of(findings, FindingKind::kDamage);
  const std::uint64_t undone = count_of(findings, FindingKind::kUndone);
  if (damage > 0) return "damaged: " + counted(damage, "finding", "findings");
  if (undone > 0) return "incomplete: " + counted(undone, "check", "checks") + " could not be made";
  return "clean";
}

std::string checked_text(const VerifyOptions& options, const Outcome& outcome) {
  const Survey& survey = outcome.survey;
  std::uint64_t blocks = 0;
  for (const wire::WalkedSegment& segment : survey.segments) blocks += segment.blocks;
  std::string text = field_line(
      "Log", fmt::format("{}, {}, {}: checksums, continuity, identity",
                         counted(survey.segments.size(), "segment", "segments"),
                         size_text(survey.file_bytes()), counted(blocks, "block", "blocks")));
  text += field_line("Entries", fmt::format("{}, {} decoded by the schemas in their segments",
                                            counted(survey.entries, "entry", "entries"),
                                            counted(outcome.events_checked, "event", "events")));
  if (!outcome.snapshots.snapshots.empty()) {
    std::uint64_t bytes = 0;
    for (const wire::SnapshotManifest& snapshot : outcome.snapshots.snapshots) {
      bytes += snapshot.bytes();
    }
    text +=
        field_line("Snapshots", fmt::format("{}, {}: manifests, checksums of all files{}",
                                            outcome.snapshots.snapshots.size(), size_text(bytes),
                                            options.state ? ", digests of the rows" : ""));
  }
  if (!outcome.state.mark) return text;
  const std::string at = count_text(outcome.state.mark->applied_index.value());
  std::string rows = fmt::format("applied to {}: checksums of all files", at);
  if (options.state) rows += ", digests recomputed from the rows";
  text += field_line("Rows", rows);
  if (outcome.replayed_from == wire::LogIndex(0)) {
    text += field_line("Replay", "digests recomputed from entries 1 to " + at);
  } else if (outcome.replayed_from) {
    text += field_line("Replay", fmt::format("digests recomputed from the snapshot at entry {} "
                                             "and the entries to {}",
                                             count_text(outcome.replayed_from->value()), at));
  }
  return text;
}

void print_text(const VerifyOptions& options, const Outcome& outcome, const Console& console) {
  const Paint paint(console.colour_out);
  console.out << checked_text(options, outcome);
  for (const Finding& finding : outcome.findings) console.out << finding_text(finding, paint);
  console.out << advice_text(outcome.findings);
  const std::string text = verdict(outcome.findings);
  const ExitCode code = exit_code(outcome.findings);
  console.out << (code == ExitCode::kClean    ? paint.good(text)
                  : code == ExitCode::kDamage ? paint.bad(text)
                                              : paint.warn(text))
              << "\n";
}

void print_json(const Outcome& outcome, const Console& console) {
  const ExitCode code = exit_code(outcome.findings);
  Json json;
  json["verdict"] = code == ExitCode::kClean    ? "clean"
                    : code == ExitCode::kDamage ? "damaged"
                                                : "incomplete";
  json["segments"] = outcome.survey.segments.size();
  json["entries"] = outcome.survey.entries;
  json["events_checked"] = outcome.events_checked;
  const auto& mark = outcome.state.mark;
  json["snapshots"] = outcome.snapshots.snapshots.size();
  json["replayed_from"] = outcome.replayed_from ? Json(outcome.replayed_from->value()) : Json();
  json["applied_index"] = mark ? Json(mark->applied_index.value()) : Json();
  json["findings"] = Json::array();
  for (const Finding& finding : outcome.findings) {
    json["findings"].push_back(finding_json(finding));
  }
  console.out << json_line(json) << "\n";
}

void check_state(const VerifyOptions& options, Outcome& outcome) {
  Findings& findings = outcome.findings;
  check_snapshots(outcome.snapshots, options.state, findings);
  check_mark(outcome.state, outcome.survey, outcome.snapshots, findings);
  if (!options.state) return;
  check_rows(outcome.state, outcome.survey, outcome.snapshots, findings);
  if (!options.replay) return;
  outcome.replayed_from = check_replay(outcome.state, outcome.survey, outcome.snapshots, findings);
}

}  // namespace

ExitCode verify(const VerifyOptions& options, const Console& console) {
  const auto directory = DataDirectory::find(options.common.directory);
  if (!directory) return report_error(directory.error(), console);
  Outcome outcome;
  // Before the log, which a running node carries on: rows must never seem to be ahead of it.
  outcome.state = open_state(directory->state, StateCheck::kFiles);
  std::optional<EventChecker> events;
  auto survey = survey_log(directory->log, [&] { return &events.emplace(directory->log); });
  if (survey) {
    outcome.survey = *std::move(survey);
    outcome.findings = outcome.survey.findings;
    outcome.findings.insert(outcome.findings.end(), events->findings.begin(),
                            events->findings.end());
    outcome.events_checked = events->events;
    outcome.snapshots = find_snapshots(directory->snapshots, outcome.survey, outcome.findings);
    check_directory(*directory, outcome.survey, outcome.snapshots, outcome.findings);
    check_state(options, outcome);
  } else {
    outcome.findings = check_without_log(*directory);
    if (!has_damage(outcome.findings)) return report_error(survey.error(), console);
  }
  if (options.common.json) {
    print_json(outcome, console);
  } else {
    print_text(options, outcome, console);
  }
  return exit_code(outcome.findings);
}

}  // namespace bib::inspect
