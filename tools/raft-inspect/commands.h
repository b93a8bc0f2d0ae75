// The sub-commands and what they share. Each looks, prints data on `out` and all else on `err`, and
// answers with an exit code. docs/raft-inspect.md describes the output.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "inspect/event_decoder.h"
#include "inspect/exit_code.h"
#include "inspect/finding.h"
#include "inspect/range.h"
#include "inspect/source.h"
#include "inspect/survey.h"
#include "inspect/text.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"

namespace bib::inspect {

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool colour_out = false;
  bool colour_err = false;
};

struct CommonOptions {
  std::string directory;
  bool json = false;
};

struct LogOptions {
  CommonOptions common;
  IndexRange range;
  bool records = false;  // hard states, truncations and void entries too
  std::string stream_prefix;
  std::string type;
};

struct VerifyOptions {
  CommonOptions common;
  bool state = false;
  bool replay = false;
};

ExitCode show_status(const CommonOptions& options, const Console& console);
ExitCode show_log(const LogOptions& options, const Console& console);
ExitCode verify(const VerifyOptions& options, const Console& console);

// ---- shared by them (report.cc)
// Says on `err` why there is nothing to see.
ExitCode report_error(const wire::Error& error, const Console& console);
// The same where the log could not be walked: what is left of a node without one is damage.
ExitCode report_no_log(const DataDirectory& directory, const wire::Error& error,
                       const Console& console);
std::string finding_text(const Finding& finding, const Paint& paint);
// "What to do:" and each advice once; empty when there is none.
std::string advice_text(const Findings& findings);
// What they come to.
ExitCode exit_code(const Findings& findings);
// All but notes, and advice, on `err`, as commands that were asked for something else do.
ExitCode report_findings(const Findings& findings, const Console& console);
Json finding_json(const Finding& finding);
Json membership_json(const wire::Membership& membership);
// One line of JSON, without control characters and with bytes that are not UTF-8 replaced.
std::string json_line(const Json& json);
std::string segment_end_name(const wire::WalkedSegment& segment);

}  // namespace bib::inspect
