// Audit: what the log says about the calls that clients made, once the cluster is whole again.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "recorder.h"

namespace bib::nemesis {

// What is wrong, a line each (at most twenty): a change that was acknowledged at a position where
// the log has no such event; a value that the log has more often than it was asked for; a key whose
// revisions do not go up by one. `events`: the lines of `bib -o json events list --stream
// config/history`, from any node, from the first event on that is still there.
struct AuditResult {
  std::vector<std::string> wrong;
  std::size_t events = 0;
  std::size_t acknowledged = 0;  // changes that were looked for
};
// One of those lines.
struct Logged {
  std::string key;
  std::optional<std::string> value;  // absent: unset
  std::uint64_t revision = 0;
};
// `wrong`: what is none.
std::map<wire::Position, Logged> read_events(const std::string& events,
                                             std::vector<std::string>& wrong);

AuditResult audit_events(const std::string& events, const Recorder& recorder);

}  // namespace bib::nemesis
