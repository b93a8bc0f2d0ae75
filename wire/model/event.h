// Events: building, verifying and reading them.
//
// The rest of the house sees events as the plain structs below; the FlatBuffers accessors stay
// inside wire. The structs are views: their text points into the event's bytes (reading) or into
// whatever the caller holds (writing), which must outlive them. Times are microseconds since
// 1970-01-01 UTC. Every member has a default, so that an initialiser names only what there is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/base/text.h"

namespace bib::wire {

enum class TopicStatus : std::uint8_t { kActive = 0, kDeprecated = 1, kArchived = 2 };
enum class JobState : std::uint8_t {
  kSubmitted = 0,
  kRunning = 1,
  kSucceeded = 2,
  kFailed = 3,
  kCancelled = 4,
};
// "submitted" and so on.
std::string_view state_name(JobState state);

struct TopicCreated {
  std::string_view path{};
  std::string_view description{};
  std::string_view schema{};
  TextList owners{};
  TextList tags{};
};
struct TopicUpdated {
  std::string_view path{};
  std::string_view description{};
  std::string_view schema{};
  TextList owners{};
  TextList tags{};
};
struct TopicStatusChanged {
  std::string_view path{};
  TopicStatus status = TopicStatus::kActive;
};
struct DatasetVersionAdded {
  std::string_view topic{};
  std::string_view dataset{};
  std::string_view version{};
  std::string_view hash{};
  std::optional<std::uint64_t> size{};  // bytes
  std::string_view format{};
  std::string_view licence{};
  std::string_view description{};
  std::string_view homepage{};
  TextList owners{};
  TextList tags{};
  std::vector<NodeId> holders{};
  std::string_view source{};
};
struct ConfigSet {
  std::string_view key{};
  std::string_view value{};
};
struct ConfigUnset {
  std::string_view key{};
};
struct JoinTokenIssued {
  ByteView secret_sha256{};  // 32 bytes
  std::int64_t expires_at_us = 0;
};
struct TaskRegistered {
  std::string_view name{};
  std::string_view version{};
  std::string_view definition{};
  std::string_view description{};
};
struct JobSubmitted {
  std::string_view id{};
  std::string_view task{};
  std::string_view task_version{};
  std::string_view parameters{};
};
struct JobStateChanged {
  std::string_view id{};
  JobState state = JobState::kSubmitted;
  std::string_view message{};
};
struct SessionKey {
  ClientId client{};
  RequestSequence sequence{};
};
struct SessionsExpired {
  std::vector<SessionKey> records{};
};

// The order is that of the schema's union: index() + 1 is the body's number on disk.
using EventBody = std::variant<TopicCreated, TopicUpdated, TopicStatusChanged, DatasetVersionAdded,
                               ConfigSet, ConfigUnset, JoinTokenIssued, TaskRegistered,
                               JobSubmitted, JobStateChanged, SessionsExpired>;

// Records that one event lets go. No leader writes nearly as many; more are damage, and would take
// far too long.
inline constexpr std::uint64_t kForgottenMax = 1U << 20;

// The command that an event answers; on the last event of a command only. With a SessionsExpired it
// is a mark: of the last request that its client has acknowledged, which left no event; digest 0.
struct Origin {
  ClientId client{};
  RequestSequence sequence{};
  std::uint64_t digest = 0;  // xxh3-64 of the command's body
  // The client has its answers to [forget_from, forget_to): their records can go.
  RequestSequence forget_from{};
  RequestSequence forget_to{};
};

struct Event {
  Revision revision{};  // of the stream that the body changes; 0 where it has none
  std::optional<Origin> origin{};
  EventBody body{};
};

// "TopicCreated" and so on: the body's name in the schema.
std::string_view event_type_name(const EventBody& body);
// The stream that the body changes: "topic/<path>", "dataset/<topic>/<name>", "config/<key>",
// "task/<name>", "job/<id>"; empty where it has none.
std::string event_stream(const EventBody& body);

// Encodes one event after another into its own storage, which the next call reuses.
class EventEncoder {
 public:
  EventEncoder();
  ~EventEncoder();
  EventEncoder(EventEncoder&&) noexcept;
  EventEncoder& operator=(EventEncoder&&) noexcept;

  // Valid until the next call.
  ByteView encode(const Event& event);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Verifies the bytes (FlatBuffers' verifier, known body, enum ranges, sizes) and then reads them.
// kCorrupt on bytes that do not verify, kUnsupported on a body that this build does not know.
Result<Event> read_event(ByteView bytes);

// The compiled schema (.bfbs) of events that this build writes, as it is in every segment's
// header.
ByteView event_schema();

// Decodes events by a compiled schema that may be older or newer than this build's, for tools.
// Field names are the schema's; output is one JSON object.
class EventPrinter {
 public:
  // kCorrupt when the bytes are not a compiled schema with a root table.
  static Result<EventPrinter> from_schema(ByteView compiled_schema);
  EventPrinter(EventPrinter&&) noexcept;
  EventPrinter& operator=(EventPrinter&&) noexcept;
  ~EventPrinter();

  // {"type": "ConfigSet", "revision": 3, "origin": {...}, "body": {...}}. Verifies first.
  // Bytes, and numbers that name something (digest, holders), are text of hex digits.
  Result<std::string> to_json(ByteView event) const;

 private:
  struct Impl;
  explicit EventPrinter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bib::wire
