#include "audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

namespace bib::nemesis {
namespace {

using support::Call;
using support::Operation;
using support::Outcome;

constexpr std::size_t kWrongMax = 20;

void complain(AuditResult& result, std::string what) {
  if (result.wrong.size() < kWrongMax) result.wrong.push_back(std::move(what));
}

void check_revisions(const std::map<wire::Position, Logged>& logged, AuditResult& result) {
  std::map<std::string, std::uint64_t> last;
  for (const auto& [position, entry] : logged) {
    const auto known = last.find(entry.key);
    if (known != last.end() && entry.revision != known->second + 1) {
      complain(result, fmt::format("'{}' goes from revision {} to {} at {}", entry.key,
                                   known->second, entry.revision, wire::to_string(position)));
    }
    last[entry.key] = entry.revision;
  }
}

// Once for each time that it was asked for, at most: a value belongs to one operation, apart from
// those that repeat on purpose what they believe to be there.
void check_once(const std::map<wire::Position, Logged>& logged, const Recorder& recorder,
                AuditResult& result) {
  std::map<std::pair<std::string, std::string>, std::int64_t> left;
  for (const Operation& operation : recorder.operations()) {
    if (operation.call == Call::kWrite && operation.outcome != Outcome::kFail) {
      ++left[{operation.key, *operation.value}];
    }
  }
  for (const auto& [position, entry] : logged) {
    if (!entry.value || --left[{entry.key, *entry.value}] >= 0) continue;
    complain(result, fmt::format("'{}' was set to '{}' at {}, once more than it was asked for",
                                 entry.key, *entry.value, wire::to_string(position)));
  }
}

void check_acknowledged(const std::map<wire::Position, Logged>& logged, const Recorder& recorder,
                        AuditResult& result) {
  if (logged.empty()) return;
  const auto& operations = recorder.operations();
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto& position = recorder.positions()[i];
    // What lies before is not in the log any more.
    if (!position || *position < logged.begin()->first) continue;
    ++result.acknowledged;
    const Operation& operation = operations[i];
    const auto found = logged.find(*position);
    const bool is_there = found != logged.end() && found->second.key == operation.key &&
                          found->second.value == operation.value &&
                          found->second.revision == operation.revision;
    if (is_there) continue;
    complain(result, fmt::format("not in the log at {}: {} '{}'", wire::to_string(*position),
                                 support::to_string(operation), operation.key));
  }
}

}  // namespace

std::map<wire::Position, Logged> read_events(const std::string& events,
                                             std::vector<std::string>& wrong) {
  std::map<wire::Position, Logged> logged;
  std::istringstream lines(events);
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    const bool is_event = event.is_object() && event.contains("position") &&
                          event.contains("body") && event.contains("revision");
    const auto position =
        is_event ? wire::parse_position(event["position"].get<std::string>()) : std::nullopt;
    if (!position) {
      wrong.push_back("not an event of a key: " + line);
      continue;
    }
    const auto& body = event["body"];
    Logged entry;
    entry.key = body.value("key", "");
    if (event.value("type", "") == "ConfigSet") entry.value = body.value("value", "");
    entry.revision = event["revision"].get<std::uint64_t>();
    if (!logged.emplace(*position, std::move(entry)).second) {
      wrong.push_back("two events at " + wire::to_string(*position));
    }
  }
  return logged;
}

AuditResult audit_events(const std::string& events, const Recorder& recorder) {
  AuditResult result;
  const auto logged = read_events(events, result.wrong);
  result.wrong.resize(std::min(result.wrong.size(), kWrongMax));
  result.events = logged.size();
  check_revisions(logged, result);
  check_once(logged, recorder, result);
  check_acknowledged(logged, recorder, result);
  return result;
}

}  // namespace bib::nemesis
