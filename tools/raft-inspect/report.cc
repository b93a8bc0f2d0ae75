// What the sub-commands share in saying what they found.
#include <algorithm>
#include <ostream>
#include <vector>

#include "inspect/commands.h"
#include "inspect/directory_source.h"

namespace bib::inspect {

using wire::ErrorCode;
using wire::SegmentEnd;

ExitCode report_error(const wire::Error& error, const Console& console) {
  console.err << Paint(console.colour_err).bad("raft-inspect: ") << printable(error.message)
              << "\n";
  return error.code == ErrorCode::kNotFound ? ExitCode::kNotBibData : ExitCode::kGeneral;
}

ExitCode report_no_log(const DataDirectory& directory, const wire::Error& error,
                       const Console& console) {
  const Findings findings = check_without_log(directory);
  return has_damage(findings) ? report_findings(findings, console) : report_error(error, console);
}

std::string finding_text(const Finding& finding, const Paint& paint) {
  const std::string kind = finding.kind == FindingKind::kDamage   ? paint.bad("DAMAGE  ")
                           : finding.kind == FindingKind::kUndone ? paint.warn("UNDONE  ")
                                                                  : paint.faint("note    ");
  std::string text = kind + printable(finding.path) + "\n";
  if (finding.kind == FindingKind::kDamage) {
    text += fmt::format("        offset {}", finding.offset);
    if (finding.index != wire::LogIndex()) {
      text += fmt::format(", entries from {} on", finding.index.value());
    }
    text += "\n";
  } else if (finding.offset > 0) {
    text += fmt::format("        offset {}\n", finding.offset);
  }
  return text + "        " + printable(finding.what) + "\n";
}

std::string advice_text(const Findings& findings) {
  std::vector<std::string> said;
  std::string text;
  for (const Finding& finding : findings) {
    if (finding.advice.empty()) continue;
    if (std::find(said.begin(), said.end(), finding.advice) != said.end()) continue;
    said.push_back(finding.advice);
    text += (text.empty() ? "What to do:\n  - " : "  - ") + printable(finding.advice) + "\n";
  }
  return text;
}

ExitCode exit_code(const Findings& findings) {
  if (has_damage(findings)) return ExitCode::kDamage;
  return is_whole(findings) ? ExitCode::kClean : ExitCode::kGeneral;
}

ExitCode report_findings(const Findings& findings, const Console& console) {
  if (is_whole(findings)) return ExitCode::kClean;
  console.out.flush();
  const Paint paint(console.colour_err);
  Findings said;
  for (const Finding& finding : findings) {
    if (finding.kind == FindingKind::kNote) continue;
    said.push_back(finding);
    console.err << finding_text(finding, paint);
  }
  console.err << advice_text(said);
  return exit_code(findings);
}

Json finding_json(const Finding& finding) {
  Json json;
  json["kind"] = finding.kind == FindingKind::kDamage   ? "damage"
                 : finding.kind == FindingKind::kUndone ? "undone"
                                                        : "note";
  json["path"] = finding.path;
  json["offset"] = finding.offset;
  json["index"] = finding.index == wire::LogIndex() ? Json() : Json(finding.index.value());
  json["what"] = finding.what;
  json["advice"] = finding.advice;
  return json;
}

Json membership_json(const wire::Membership& membership) {
  Json members = Json::array();
  for (const wire::Member& member : membership.members) {
    members.push_back({{"id", to_string(member.id)},
                       {"role", membership.is_voter(member.id) ? "voter" : "non-voter"},
                       {"raft_address", member.raft_address},
                       {"api_address", member.api_address}});
  }
  return {{"joint", membership.is_joint()}, {"members", std::move(members)}};
}

std::string json_line(const Json& json) {
  constexpr int kOneLine = -1;
  return printable(json.dump(kOneLine, ' ', false, Json::error_handler_t::replace));
}

std::string segment_end_name(const wire::WalkedSegment& segment) {
  if (segment.is_blank) return "blank";
  if (!segment.is_ours) return "unusable";
  switch (segment.end) {
    case SegmentEnd::kSealed:
      return "sealed";
    case SegmentEnd::kTail:
      return "tail";
    case SegmentEnd::kClosed:
      return "closed";
    case SegmentEnd::kTorn:
      return "torn";
    case SegmentEnd::kDamaged:
      return "damaged";
  }
  return "unknown";
}

}  // namespace bib::inspect
