#include "wire/model/event.h"

#include <fmt/format.h>

#include <iterator>
#include <limits>

#include "schema/event_bfbs_generated.h"
#include "schema/event_generated.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/base/limits.h"
#include "wire/model/dataset_fields.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::event;

static_assert(std::variant_size_v<EventBody> == static_cast<std::size_t>(fbs::EventBody::MAX));
static_assert(static_cast<int>(TopicStatus::kArchived) == static_cast<int>(fbs::TopicStatus::MAX));
static_assert(static_cast<int>(JobState::kCancelled) == static_cast<int>(fbs::JobState::MAX));

constexpr std::size_t kSecretHashSize = 32;
constexpr std::size_t kNoListLimit = std::numeric_limits<std::size_t>::max();
// An event is a table with one table in it; newer builds may nest a little deeper.
constexpr flatbuffers::Verifier::Options kVerifierOptions = {
    .max_depth = 16, .max_tables = 65536, .check_alignment = true};

// The bodies' names are checked while they are read; the first that is empty is kept here.
class RequiredNames {
 public:
  std::string_view read(const char* field, const flatbuffers::String* text) {
    const std::string_view name = text_of(text);
    if (name.empty() && empty_field_ == nullptr) empty_field_ = field;
    return name;
  }
  void check(const char* field, std::string_view name) {
    if (name.empty() && empty_field_ == nullptr) empty_field_ = field;
  }
  const char* empty_field() const { return empty_field_; }

 private:
  const char* empty_field_ = nullptr;
};

template <typename Topic, typename Table>
Result<EventBody> read_topic(const Table& table, RequiredNames& names) {
  return Topic{.path = names.read("path", table.path()),
               .description = text_of(table.description()),
               .schema = text_of(table.schema()),
               .owners = texts_of(table.owners(), kNoListLimit),
               .tags = texts_of(table.tags(), kNoListLimit)};
}

Result<EventBody> read_body(const fbs::TopicCreated& table, RequiredNames& names) {
  return read_topic<TopicCreated>(table, names);
}

Result<EventBody> read_body(const fbs::TopicUpdated& table, RequiredNames& names) {
  return read_topic<TopicUpdated>(table, names);
}

Result<EventBody> read_body(const fbs::TopicStatusChanged& table, RequiredNames& names) {
  if (table.status() > fbs::TopicStatus::MAX) {
    return fail(ErrorCode::kCorrupt, "a TopicStatusChanged event has status {}, not 0 to {}",
                static_cast<int>(table.status()), static_cast<int>(fbs::TopicStatus::MAX));
  }
  return TopicStatusChanged{.path = names.read("path", table.path()),
                            .status = static_cast<TopicStatus>(table.status())};
}

Result<EventBody> read_body(const fbs::DatasetVersionAdded& table, RequiredNames& names) {
  DatasetVersionAdded added = dataset_version_of(table, kNoListLimit);
  names.check("topic", added.topic);
  names.check("dataset", added.dataset);
  names.check("version", added.version);
  return added;
}

Result<EventBody> read_body(const fbs::ConfigSet& table, RequiredNames& names) {
  return ConfigSet{.key = names.read("key", table.key()), .value = text_of(table.value())};
}

Result<EventBody> read_body(const fbs::ConfigUnset& table, RequiredNames& names) {
  return ConfigUnset{.key = names.read("key", table.key())};
}

Result<EventBody> read_body(const fbs::JoinTokenIssued& table, RequiredNames&) {
  const ByteView secret = bytes_of(table.secret_sha256());
  if (secret.size() != kSecretHashSize) {
    return fail(ErrorCode::kCorrupt, "a JoinTokenIssued event has a SHA-256 of {} bytes, not {}",
                secret.size(), kSecretHashSize);
  }
  return JoinTokenIssued{.secret_sha256 = secret, .expires_at_us = table.expires_at_us()};
}

Result<EventBody> read_body(const fbs::TaskRegistered& table, RequiredNames& names) {
  return TaskRegistered{.name = names.read("name", table.name()),
                        .version = names.read("version", table.version()),
                        .definition = text_of(table.definition()),
                        .description = text_of(table.description())};
}

Result<EventBody> read_body(const fbs::JobSubmitted& table, RequiredNames& names) {
  return JobSubmitted{.id = names.read("id", table.id()),
                      .task = names.read("task", table.task()),
                      .task_version = names.read("task_version", table.task_version()),
                      .parameters = text_of(table.parameters())};
}

Result<EventBody> read_body(const fbs::JobStateChanged& table, RequiredNames& names) {
  if (table.state() > fbs::JobState::MAX) {
    return fail(ErrorCode::kCorrupt, "a JobStateChanged event has state {}, not 0 to {}",
                static_cast<int>(table.state()), static_cast<int>(fbs::JobState::MAX));
  }
  return JobStateChanged{.id = names.read("id", table.id()),
                         .state = static_cast<JobState>(table.state()),
                         .message = text_of(table.message())};
}

Result<EventBody> read_body(const fbs::SessionsExpired& table, RequiredNames&) {
  SessionsExpired expired;
  if (table.records() == nullptr) return expired;
  const auto& records = *table.records();
  expired.records.reserve(records.size());
  for (flatbuffers::uoffset_t i = 0; i < records.size(); ++i) {
    // Copied first: the bytes may lie at any address.
    fbs::SessionKey key;
    std::memcpy(static_cast<void*>(&key), records.Data() + i * sizeof key, sizeof key);
    expired.records.push_back(
        {.client = id_of<ClientId>(&key.client()), .sequence = RequestSequence(key.sequence())});
  }
  return expired;
}

Result<EventBody> read_union(const fbs::Event& event, RequiredNames& names) {
  switch (event.body_type()) {
    case fbs::EventBody::TopicCreated:
      return read_body(*event.body_as_TopicCreated(), names);
    case fbs::EventBody::TopicUpdated:
      return read_body(*event.body_as_TopicUpdated(), names);
    case fbs::EventBody::TopicStatusChanged:
      return read_body(*event.body_as_TopicStatusChanged(), names);
    case fbs::EventBody::DatasetVersionAdded:
      return read_body(*event.body_as_DatasetVersionAdded(), names);
    case fbs::EventBody::ConfigSet:
      return read_body(*event.body_as_ConfigSet(), names);
    case fbs::EventBody::ConfigUnset:
      return read_body(*event.body_as_ConfigUnset(), names);
    case fbs::EventBody::JoinTokenIssued:
      return read_body(*event.body_as_JoinTokenIssued(), names);
    case fbs::EventBody::TaskRegistered:
      return read_body(*event.body_as_TaskRegistered(), names);
    case fbs::EventBody::JobSubmitted:
      return read_body(*event.body_as_JobSubmitted(), names);
    case fbs::EventBody::JobStateChanged:
      return read_body(*event.body_as_JobStateChanged(), names);
    case fbs::EventBody::SessionsExpired:
      return read_body(*event.body_as_SessionsExpired(), names);
    case fbs::EventBody::NONE:
      return fail(ErrorCode::kCorrupt, "an event's body has no type");
  }
  return fail(
      ErrorCode::kUnsupported,
      "an event has body number {}, and this build knows 1 to {}: it was written by a newer "
      "version of bibd; upgrade this one",
      static_cast<int>(event.body_type()), static_cast<int>(fbs::EventBody::MAX));
}

Result<Origin> read_origin(const fbs::Origin* place) {
  // Copied first: the bytes may lie at any address.
  fbs::Origin origin;
  std::memcpy(static_cast<void*>(&origin), place, sizeof origin);
  if (origin.forget_to() != 0 && (origin.forget_to() < origin.forget_from() ||
                                  origin.forget_to() - origin.forget_from() > kForgottenMax)) {
    return fail(ErrorCode::kCorrupt, "an event forgets the requests {} to {} of its client",
                origin.forget_from(), origin.forget_to());
  }
  return Origin{.client = id_of<ClientId>(&origin.client()),
                .sequence = RequestSequence(origin.sequence()),
                .digest = origin.digest(),
                .forget_from = RequestSequence(origin.forget_from()),
                .forget_to = RequestSequence(origin.forget_to())};
}

struct StreamName {
  std::string operator()(const TopicCreated& body) const { return topic(body.path); }
  std::string operator()(const TopicUpdated& body) const { return topic(body.path); }
  std::string operator()(const TopicStatusChanged& body) const { return topic(body.path); }
  std::string operator()(const DatasetVersionAdded& body) const {
    return fmt::format("dataset/{}/{}", body.topic, body.dataset);
  }
  std::string operator()(const ConfigSet& body) const { return config(body.key); }
  std::string operator()(const ConfigUnset& body) const { return config(body.key); }
  std::string operator()(const JoinTokenIssued&) const { return {}; }
  std::string operator()(const TaskRegistered& body) const {
    return fmt::format("task/{}", body.name);
  }
  std::string operator()(const JobSubmitted& body) const { return job(body.id); }
  std::string operator()(const JobStateChanged& body) const { return job(body.id); }
  std::string operator()(const SessionsExpired&) const { return {}; }

  static std::string topic(std::string_view path) { return fmt::format("topic/{}", path); }
  static std::string config(std::string_view key) { return fmt::format("config/{}", key); }
  static std::string job(std::string_view id) { return fmt::format("job/{}", id); }
};

}  // namespace

std::string_view state_name(JobState state) {
  switch (state) {
    case JobState::kSubmitted:
      return "submitted";
    case JobState::kRunning:
      return "running";
    case JobState::kSucceeded:
      return "succeeded";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string_view event_type_name(const EventBody& body) {
  return fbs::EnumNameEventBody(static_cast<fbs::EventBody>(body.index() + 1));
}

std::string event_stream(const EventBody& body) {
  return std::visit(StreamName{}, body);
}

Result<Event> read_event(ByteView bytes) {
  if (bytes.size() > kEventSizeMax) {
    return fail(ErrorCode::kCorrupt, "an event of {} bytes is larger than the {} allowed",
                bytes.size(), kEventSizeMax);
  }
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), kVerifierOptions);
  if (!fbs::VerifyEventBuffer(verifier)) {
    return fail(ErrorCode::kCorrupt, "{} bytes are not an event of the schema event.fbs",
                bytes.size());
  }
  const fbs::Event& event = *fbs::GetEvent(bytes.data());
  RequiredNames names;
  BIB_TRY(EventBody body, read_union(event, names));
  if (names.empty_field() != nullptr) {
    return fail(ErrorCode::kCorrupt, "a {} event has an empty {}",
                fbs::EnumNameEventBody(event.body_type()), names.empty_field());
  }
  Event read{.revision = Revision(event.revision()), .body = std::move(body)};
  if (event.origin() != nullptr) {
    BIB_TRY(read.origin, read_origin(event.origin()));
  }
  return read;
}

ByteView event_schema() {
  return {fbs::EventBinarySchema::data(), fbs::EventBinarySchema::size()};
}

}  // namespace bib::wire
