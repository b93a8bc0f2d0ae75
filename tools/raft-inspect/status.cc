// raft-inspect status: whose data this is, how far it goes, and how it ended.
#include <ostream>

#include "inspect/commands.h"
#include "inspect/directory_source.h"
#include "inspect/snapshot_source.h"
#include "inspect/state_source.h"
#include "wire/base/time_text.h"

namespace bib::inspect {

using projections::family_index;
using projections::family_name;
using wire::LogIndex;
using wire::NodeId;

namespace {

struct Status {
  Survey survey;
  StateSource state;
  SnapshotSource snapshots;
  std::optional<long> process;
  Findings of_log;
};

std::string vote_text(const wire::HardState& state) {
  return state.vote == NodeId() ? "no vote" : "vote for " + to_string(state.vote);
}

std::string ending_text(const Status& status, const Paint& paint) {
  if (status.process) return fmt::format("open: process {} is running on it", *status.process);
  if (has_damage(status.of_log)) return paint.bad("damaged");
  if (!is_whole(status.of_log)) return paint.warn("not all of it could be read");
  if (status.survey.closed_cleanly()) return paint.good("closed cleanly");
  return paint.warn("not closed cleanly") +
         ": the node was killed or has crashed; it recovers at "
         "its next start";
}

std::string entries_text(const Survey& survey) {
  if (survey.entries == 0) return "none";
  std::string text =
      fmt::format("{}: {} to {}, last term {}", count_text(survey.entries),
                  count_text(survey.first_index.value()),
                  count_text(survey.log.last().index.value()), survey.log.last().term.value());
  if (survey.overwritten > 0) {
    text += fmt::format("; {} overwritten", count_text(survey.overwritten));
  }
  return text;
}

std::string summary_text(const Status& status, const Paint& paint) {
  const Survey& survey = status.survey;
  std::string text;
  if (const auto& identity = survey.log.identity) {
    text += field_line("Cluster", to_string(identity->cluster));
    text += field_line("Node", to_string(identity->node));
    text += field_line("Log id", fmt::format("{:016x}", identity->log_id));
  }
  text += field_line("Log", ending_text(status, paint));
  text += field_line("Term", fmt::format("{}, {}", survey.log.hard_state.term.value(),
                                         vote_text(survey.log.hard_state)));
  if (survey.log.base().index > LogIndex()) {
    text += field_line("Starts", fmt::format("after entry {} of term {}",
                                             count_text(survey.log.base().index.value()),
                                             survey.log.base().term.value()));
  }
  text += field_line("Entries", entries_text(survey));
  if (survey.committed) {
    text += field_line("Committed", fmt::format("to entry {} at least, as the node noted",
                                                count_text(survey.committed->value())));
  }
  text +=
      field_line("Events", (survey.events_are_exact ? "" : "about ") + count_text(survey.events));
  if (survey.first_time_us) {
    text += field_line("Time",
                       fmt::format("{} to {} UTC ({})", time_text(*survey.first_time_us),
                                   time_text(*survey.last_time_us),
                                   duration_text(*survey.last_time_us - *survey.first_time_us)));
  }
  if (survey.stored_body_bytes > 0) {
    text += field_line("Bodies",
                       fmt::format("{} stored as {} ({:.1f} to 1)", size_text(survey.body_bytes),
                                   size_text(survey.stored_body_bytes),
                                   static_cast<double>(survey.body_bytes) /
                                       static_cast<double>(survey.stored_body_bytes)));
  }
  return text + field_line("Durable",
                           fmt::format("up to block {} of {}; a block is vouched for by one that "
                                       "comes later",
                                       count_text(survey.durable_sequence()),
                                       count_text(survey.last_sequence())));
}

std::string members_text(const Survey& survey) {
  if (survey.log.memberships.empty()) return "\nMembers     not in the log\n";
  const wire::LoggedMembership& logged = survey.log.memberships.back();
  Table table({"NODE", "ROLE", "RAFT ADDRESS", "API ADDRESS"});
  for (const wire::Member& member : logged.membership.members) {
    table.add({to_string(member.id), logged.membership.is_voter(member.id) ? "voter" : "non-voter",
               printable(member.raft_address), printable(member.api_address)});
  }
  return fmt::format("\nMembers     as of entry {}{}\n{}", count_text(logged.index.value()),
                     logged.membership.is_joint() ? ", in a joint change" : "", table.render());
}

std::string segments_text(const Survey& survey) {
  Table table({"NUMBER", "SIZE", "USED", "BLOCKS", "FIRST", "LAST", "END"});
  for (const std::size_t column : {0U, 1U, 2U, 3U, 4U, 5U}) table.align_right(column);
  const auto index = [](LogIndex value) {
    return value == LogIndex() ? std::string("-") : count_text(value.value());
  };
  for (const wire::WalkedSegment& segment : survey.segments) {
    table.add({std::to_string(segment.number), size_text(segment.bytes),
               size_text(segment.end_offset), count_text(segment.blocks),
               index(segment.first_index), index(segment.last_index), segment_end_name(segment)});
  }
  return fmt::format("\nSegments    {} in {}\n{}", count_text(survey.segments.size()),
                     size_text(survey.file_bytes()), table.render());
}

std::string snapshots_text(const SnapshotSource& source) {
  if (source.path.empty()) return {};
  if (source.snapshots.empty()) return "\nSnapshots   none in " + printable(source.path) + "\n";
  Table table({"SNAPSHOT", "CREATED", "ROWS", "FILES", "SIZE", "MADE BY"});
  for (const std::size_t column : {2U, 3U, 4U}) table.align_right(column);
  for (const wire::SnapshotManifest& snapshot : source.snapshots) {
    std::uint64_t rows = 0;
    for (const wire::SnapshotProjection& projection : snapshot.projections) {
      rows += projection.rows;
    }
    table.add({wire::snapshot_name(snapshot.index, snapshot.term), time_text(snapshot.created_us),
               count_text(rows), count_text(snapshot.files.size()), size_text(snapshot.bytes()),
               to_string(snapshot.node)});
  }
  return fmt::format("\nSnapshots   {} (`verify` reads their files)\n{}", source.snapshots.size(),
                     table.render());
}

std::string rows_text(const Status& status) {
  const StateSource& state = status.state;
  if (state.path.empty()) return "\nRows        not looked for: this is a bare log directory\n";
  if (!state.exists) return "\nRows        none in " + printable(state.path) + "\n";
  if (!state.mark) return "\nRows        " + printable(state.problem->message) + "\n";
  const LogIndex applied = state.mark->applied_index;
  const LogIndex log_end = status.survey.log.last().index;
  Table table({"PROJECTION", "ROWS", "DIGEST"});
  table.align_right(1);
  for (const projections::Family family : projections::kFamilies) {
    if (family == projections::Family::kMeta) continue;
    const projections::Digest& digest = state.mark->digests[family_index(family)];
    table.add({std::string(family_name(family)), count_text(digest.rows), to_string(digest)});
  }
  const std::string behind =
      applied <= log_end ? counted(log_end - applied, "entry", "entries") + " behind the log"
                         : counted(applied - log_end, "entry", "entries") +
                               " ahead of what can be read of the log";
  return fmt::format("\nRows        applied to {} of term {}, {}{}\n{}",
                     count_text(applied.value()), state.mark->applied_term.value(), behind,
                     status.process ? " (flushed; the running node has the rest in memory)" : "",
                     table.render());
}

Json segment_json(const Survey& survey, const wire::WalkedSegment& segment) {
  const auto index = [](LogIndex value) {
    return value == LogIndex() ? Json() : Json(value.value());
  };
  return {{"number", segment.number},
          {"path", segment_path(survey.directory, segment.number)},
          {"bytes", segment.bytes},
          {"used_bytes", segment.end_offset},
          {"blocks", segment.blocks},
          {"first_index", index(segment.first_index)},
          {"last_index", index(segment.last_index)},
          {"end", segment_end_name(segment)}};
}

Json snapshot_json(const wire::SnapshotManifest& snapshot) {
  return {{"name", wire::snapshot_name(snapshot.index, snapshot.term)},
          {"index", snapshot.index.value()},
          {"term", snapshot.term.value()},
          {"created", wire::format_time(snapshot.created_us)},
          {"node", to_string(snapshot.node)},
          {"files", snapshot.files.size()},
          {"bytes", snapshot.bytes()}};
}

Json rows_json(const StateSource& state) {
  Json json{{"path", state.path}, {"exists", state.exists}};
  if (state.problem) json["problem"] = state.problem->message;
  if (!state.mark) return json;
  json["applied_index"] = state.mark->applied_index.value();
  json["applied_term"] = state.mark->applied_term.value();
  for (const projections::Family family : projections::kFamilies) {
    if (family == projections::Family::kMeta) continue;
    const projections::Digest& digest = state.mark->digests[family_index(family)];
    json["projections"][std::string(family_name(family))] = {{"rows", digest.rows},
                                                             {"digest", to_string(digest)}};
  }
  return json;
}

Json status_json(const Status& status) {
  const Survey& survey = status.survey;
  Json json;
  if (const auto& identity = survey.log.identity) {
    json["cluster"] = to_string(identity->cluster);
    json["node"] = to_string(identity->node);
    json["log_id"] = fmt::format("{:016x}", identity->log_id);
  }
  const wire::HardState& hard_state = survey.log.hard_state;
  json["process"] = status.process ? Json(*status.process) : Json();
  json["closed_cleanly"] = survey.closed_cleanly();
  json["term"] = hard_state.term.value();
  json["vote"] = hard_state.vote == NodeId() ? Json() : Json(to_string(hard_state.vote));
  json["base_index"] = survey.log.base().index.value();
  json["first_index"] = survey.entries == 0 ? Json() : Json(survey.first_index.value());
  json["last_index"] = survey.log.last().index.value();
  json["last_term"] = survey.log.last().term.value();
  json["committed_index"] = survey.committed ? Json(survey.committed->value()) : Json();
  json["entries"] = survey.entries;
  json["events"] = survey.events;
  json["events_are_exact"] = survey.events_are_exact;
  json["overwritten_entries"] = survey.overwritten;
  json["first_time"] =
      survey.first_time_us ? Json(wire::format_time(*survey.first_time_us)) : Json();
  json["last_time"] = survey.last_time_us ? Json(wire::format_time(*survey.last_time_us)) : Json();
  json["body_bytes"] = survey.body_bytes;
  json["stored_body_bytes"] = survey.stored_body_bytes;
  json["durable_block"] = survey.durable_sequence();
  json["last_block"] = survey.last_sequence();
  if (!survey.log.memberships.empty()) {
    json["membership"] = membership_json(survey.log.memberships.back().membership);
    json["membership"]["index"] = survey.log.memberships.back().index.value();
  }
  json["segments"] = Json::array();
  for (const wire::WalkedSegment& segment : survey.segments) {
    json["segments"].push_back(segment_json(survey, segment));
  }
  json["snapshots"] = Json::array();
  for (const wire::SnapshotManifest& snapshot : status.snapshots.snapshots) {
    json["snapshots"].push_back(snapshot_json(snapshot));
  }
  json["rows"] = rows_json(status.state);
  json["findings"] = Json::array();
  for (const Finding& finding : survey.findings) {
    json["findings"].push_back(finding_json(finding));
  }
  return json;
}

}  // namespace

ExitCode show_status(const CommonOptions& options, const Console& console) {
  const auto directory = DataDirectory::find(options.directory);
  if (!directory) return report_error(directory.error(), console);
  Status status;
  status.process = directory->lock.empty() ? std::nullopt : lock_holder(directory->lock);
  // Before the log, which a running node carries on: rows must never seem to be ahead of it.
  status.state = open_state(directory->state, StateCheck::kMark);
  auto survey = survey_log(directory->log);
  if (!survey) return report_no_log(*directory, survey.error(), console);
  status.survey = *std::move(survey);
  status.of_log = status.survey.findings;
  status.snapshots = find_snapshots(directory->snapshots, status.survey, status.survey.findings);
  check_directory(*directory, status.survey, status.snapshots, status.survey.findings);
  check_mark(status.state, status.survey, status.snapshots, status.survey.findings);
  if (options.json) {
    console.out << json_line(status_json(status)) << "\n";
  } else {
    console.out << summary_text(status, Paint(console.colour_out)) << members_text(status.survey)
                << segments_text(status.survey) << snapshots_text(status.snapshots)
                << rows_text(status);
  }
  return report_findings(status.survey.findings, console);
}

}  // namespace bib::inspect
