#include "history_file.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace bib::history {
namespace {

using support::Call;
using support::Operation;
using support::Outcome;
using wire::ErrorCode;
using wire::fail;
using wire::Result;
using wire::Status;
using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<EventType, std::string_view>, 4> kTypes{{
    {EventType::kInvoke, "invoke"},
    {EventType::kOk, "ok"},
    {EventType::kFail, "fail"},
    {EventType::kInfo, "info"},
}};
constexpr std::string_view kNemesis = "nemesis";

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

Json optional_text(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json(nullptr);
}

Json value_of(const Event& event) {
  const bool answers_read = event.f == "read" && event.type == EventType::kOk;
  Json value = Json::object();
  if (event.expected) value["expected"] = *event.expected;
  if (event.value || answers_read) value["value"] = optional_text(event.value);
  if (event.revision) value["revision"] = *event.revision;
  return value.empty() ? Json(nullptr) : value;
}

// ---- reading

Status check_fields(const Json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [name, ignored] : object.items()) {
    if (!is_one_of(name, known)) return fail(ErrorCode::kInvalid, "unknown field '{}'", name);
  }
  return {};
}

Result<std::uint64_t> number(const Json& object, const char* name, std::uint64_t largest) {
  const auto found = object.find(name);
  if (found == object.end()) return fail(ErrorCode::kInvalid, "'{}' is missing", name);
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > largest) {
    return fail(ErrorCode::kInvalid, "'{}' is not a whole number of 0 to {}", name, largest);
  }
  return found->get<std::uint64_t>();
}

Result<std::string> text(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return fail(ErrorCode::kInvalid, "'{}' is missing", name);
  if (!found->is_string()) return fail(ErrorCode::kInvalid, "'{}' is not a text", name);
  return found->get<std::string>();
}

Status read_value(const Json& value, Event& event) {
  if (value.is_null()) return {};
  if (!value.is_object()) {
    return fail(ErrorCode::kInvalid, "'value' is neither null nor an object");
  }
  BIB_TRY_VOID(check_fields(value, {"expected", "value", "revision"}));
  constexpr auto kLargest = std::numeric_limits<std::uint64_t>::max();
  if (value.contains("expected")) {
    BIB_TRY(event.expected, number(value, "expected", kLargest));
  }
  if (value.contains("revision")) {
    BIB_TRY(event.revision, number(value, "revision", kLargest));
  }
  if (value.contains("value") && !value["value"].is_null()) {
    BIB_TRY(event.value, text(value, "value"));
  }
  return {};
}

// What each kind of line must and must not say.
Status check_content(const Event& event, bool has_value) {
  const bool invokes = event.type == EventType::kInvoke;
  const bool answers_read = event.f == "read" && event.type == EventType::kOk;
  if (!is_one_of(event.f, {"read", "write", "cas", "delete"})) {
    return fail(ErrorCode::kInvalid, "'f' is '{}', not read, write, cas or delete", event.f);
  }
  const bool may_expect = invokes && (event.f == "cas" || event.f == "delete");
  if (event.expected && !may_expect) {
    return fail(ErrorCode::kInvalid, "'expected' is allowed only in the invoke of a cas or delete");
  }
  if (invokes && event.f == "cas" && !event.expected) {
    return fail(ErrorCode::kInvalid, "the invoke of a cas has no 'expected'");
  }
  const bool writes = invokes && (event.f == "write" || event.f == "cas");
  if (writes && !event.value) {
    return fail(ErrorCode::kInvalid, "the invoke of a {} has no 'value' to write", event.f);
  }
  if (event.value && !writes && !answers_read) {
    return fail(ErrorCode::kInvalid, "a 'value' is allowed only in what writes and in a read's ok");
  }
  if (answers_read && !has_value) {
    return fail(ErrorCode::kInvalid, "a read's ok has no 'value' (null: not set)");
  }
  const bool may_know = event.type == EventType::kOk || event.type == EventType::kFail;
  if (event.revision && !may_know) {
    return fail(ErrorCode::kInvalid, "'revision' is allowed only in ok and fail");
  }
  if (!event.error.empty() && (invokes || event.type == EventType::kOk)) {
    return fail(ErrorCode::kInvalid, "'error' is allowed only in fail and info");
  }
  return {};
}

Result<EventType> type_of(std::string_view name) {
  for (const auto& [type, type_name] : kTypes) {
    if (name == type_name) return type;
  }
  return fail(ErrorCode::kInvalid, "'type' is '{}', not invoke, ok, fail or info", name);
}

Status read_process(const Json& object, Event& event) {
  const auto found = object.find("process");
  if (found != object.end() && found->is_string() && found->get<std::string>() == kNemesis) {
    return {};
  }
  BIB_TRY(const std::uint64_t process, number(object, "process", 1'000'000'000));
  event.process = static_cast<int>(process);
  return {};
}

Call call_of(const Event& event) {
  return event.f == "read" ? Call::kRead : event.f == "delete" ? Call::kDelete : Call::kWrite;
}

const char* name_of(const Operation& operation) {
  if (operation.call == Call::kRead) return "read";
  if (operation.call == Call::kDelete) return "delete";
  return operation.expected ? "cas" : "write";
}

}  // namespace

std::string to_line(const Event& event) {
  Json line;
  line["index"] = event.index;
  line["time"] = event.time_us;
  line["process"] = event.process ? Json(*event.process) : Json(std::string(kNemesis));
  for (const auto& [type, name] : kTypes) {
    if (type == event.type) line["type"] = std::string(name);
  }
  line["f"] = event.f;
  line["key"] = event.key;
  line["value"] = value_of(event);
  if (!event.error.empty()) line["error"] = event.error;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

Result<Event> parse_line(std::string_view line) {
  if (line.size() > kLineSizeMax) {
    return fail(ErrorCode::kInvalid, "longer than {} bytes", kLineSizeMax);
  }
  const Json object = Json::parse(line, nullptr, false);
  if (!object.is_object()) return fail(ErrorCode::kInvalid, "not a JSON object");
  BIB_TRY_VOID(
      check_fields(object, {"index", "time", "process", "type", "f", "key", "value", "error"}));
  Event event;
  BIB_TRY(event.index, number(object, "index", std::numeric_limits<std::int64_t>::max()));
  BIB_TRY(const std::uint64_t time,
          number(object, "time", std::numeric_limits<std::int64_t>::max()));
  event.time_us = static_cast<std::int64_t>(time);
  BIB_TRY_VOID(read_process(object, event));
  BIB_TRY(const std::string type, text(object, "type"));
  BIB_TRY(event.type, type_of(type));
  BIB_TRY(event.f, text(object, "f"));
  BIB_TRY(event.key, text(object, "key"));
  if (object.contains("error")) {
    BIB_TRY(event.error, text(object, "error"));
  }
  const auto value = object.find("value");
  if (value == object.end()) return fail(ErrorCode::kInvalid, "'value' is missing");
  BIB_TRY_VOID(read_value(*value, event));
  if (!event.process) {
    if (event.type == EventType::kInfo) return event;
    return fail(ErrorCode::kInvalid, "what the nemesis does has the type info");
  }
  BIB_TRY_VOID(check_content(event, value->is_object() && value->contains("value")));
  return event;
}

Status HistoryReader::add(const Event& event) {
  if (event.index <= last_index_) {
    return fail(ErrorCode::kInvalid, "index {} after index {}", event.index, last_index_);
  }
  if (event.time_us < last_time_us_) {
    return fail(ErrorCode::kInvalid, "time {} after time {}", event.time_us, last_time_us_);
  }
  last_index_ = event.index;
  last_time_us_ = event.time_us;
  if (!event.process) return {};
  const auto open = open_.find(*event.process);
  if (event.type == EventType::kInvoke) {
    if (open != open_.end()) {
      return fail(ErrorCode::kInvalid, "process {} calls before its call at index {} is answered",
                  *event.process, operations_[open->second].invoked);
    }
    open_[*event.process] = operations_.size();
    operations_.push_back({.process = *event.process,
                           .call = call_of(event),
                           .key = event.key,
                           .value = event.value,
                           .expected = event.expected,
                           .invoked = event.index});
    return {};
  }
  if (open == open_.end()) {
    return fail(ErrorCode::kInvalid, "process {} is answered and has not called", *event.process);
  }
  Operation& operation = operations_[open->second];
  if (operation.key != event.key || name_of(operation) != event.f) {
    return fail(ErrorCode::kInvalid, "process {} is answered for another call than at index {}",
                *event.process, operation.invoked);
  }
  open_.erase(open);
  operation.completed = event.index;
  operation.outcome = event.type == EventType::kOk     ? Outcome::kOk
                      : event.type == EventType::kFail ? Outcome::kFail
                                                       : Outcome::kInfo;
  operation.revision = event.revision;
  if (operation.call == Call::kRead) operation.value = event.value;
  return {};
}

Result<std::vector<Operation>> read_history(std::string_view text) {
  HistoryReader reader;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    if (number > kEventsMax) {
      return fail(ErrorCode::kInvalid, "more than {} lines", kEventsMax);
    }
    const auto event = parse_line(line);
    if (!event) return fail(ErrorCode::kInvalid, "line {}: {}", number, event.error().message);
    if (const Status added = reader.add(*event); !added) {
      return fail(ErrorCode::kInvalid, "line {}: {}", number, added.error().message);
    }
  }
  return reader.operations();
}

Event invocation(const Operation& operation, std::uint64_t index, std::int64_t time_us) {
  Event event;
  event.index = index;
  event.time_us = time_us;
  event.process = operation.process;
  event.f = name_of(operation);
  event.key = operation.key;
  if (operation.call == Call::kWrite) event.value = operation.value;
  event.expected = operation.expected;
  return event;
}

Event completion(const Operation& operation, std::uint64_t index, std::int64_t time_us,
                 std::string error) {
  Event event;
  event.index = index;
  event.time_us = time_us;
  event.process = operation.process;
  event.type = operation.outcome == Outcome::kOk     ? EventType::kOk
               : operation.outcome == Outcome::kFail ? EventType::kFail
                                                     : EventType::kInfo;
  event.f = name_of(operation);
  event.key = operation.key;
  const bool read_ok = operation.call == Call::kRead && operation.outcome == Outcome::kOk;
  if (read_ok) event.value = operation.value;
  if (operation.outcome != Outcome::kInfo) event.revision = operation.revision;
  if (operation.outcome != Outcome::kOk) event.error = std::move(error);
  return event;
}

}  // namespace bib::history
