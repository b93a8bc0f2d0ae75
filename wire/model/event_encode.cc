#include "schema/event_generated.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/model/dataset_fields.h"
#include "wire/model/event.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::event;

struct EncodedBody {
  fbs::EventBody type;
  flatbuffers::Offset<void> offset;
};

template <typename Table>
EncodedBody finish_body(flatbuffers::Offset<Table> table) {
  return {fbs::EventBodyTraits<Table>::enum_value, table.Union()};
}

template <typename FbTable, typename Topic>
EncodedBody put_topic(Fbb& fbb, const Topic& topic) {
  const FbText path = put_present_text(fbb, topic.path);
  const FbText description = put_text(fbb, topic.description);
  const FbText schema = put_text(fbb, topic.schema);
  const FbTexts owners = put_texts(fbb, topic.owners);
  const FbTexts tags = put_texts(fbb, topic.tags);
  typename FbTable::Builder builder(fbb);
  builder.add_path(path);
  builder.add_description(description);
  builder.add_schema(schema);
  builder.add_owners(owners);
  builder.add_tags(tags);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const TopicCreated& body) {
  return put_topic<fbs::TopicCreated>(fbb, body);
}

EncodedBody put_body(Fbb& fbb, const TopicUpdated& body) {
  return put_topic<fbs::TopicUpdated>(fbb, body);
}

EncodedBody put_body(Fbb& fbb, const TopicStatusChanged& body) {
  const FbText path = put_present_text(fbb, body.path);
  return finish_body(
      fbs::CreateTopicStatusChanged(fbb, path, static_cast<fbs::TopicStatus>(body.status)));
}

EncodedBody put_body(Fbb& fbb, const DatasetVersionAdded& body) {
  const DatasetVersionParts parts = put_dataset_version(fbb, body);
  fbs::DatasetVersionAddedBuilder builder(fbb);
  add_dataset_version(builder, parts, body);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const ConfigSet& body) {
  const FbText key = put_present_text(fbb, body.key);
  const FbText value = put_present_text(fbb, body.value);
  return finish_body(fbs::CreateConfigSet(fbb, key, value));
}

EncodedBody put_body(Fbb& fbb, const ConfigUnset& body) {
  return finish_body(fbs::CreateConfigUnset(fbb, put_present_text(fbb, body.key)));
}

EncodedBody put_body(Fbb& fbb, const JoinTokenIssued& body) {
  const FbBytes secret = put_present_bytes(fbb, body.secret_sha256);
  return finish_body(fbs::CreateJoinTokenIssued(fbb, secret, body.expires_at_us));
}

EncodedBody put_body(Fbb& fbb, const TaskRegistered& body) {
  const FbText name = put_present_text(fbb, body.name);
  const FbText version = put_present_text(fbb, body.version);
  const FbText definition = put_text(fbb, body.definition);
  const FbText description = put_text(fbb, body.description);
  return finish_body(fbs::CreateTaskRegistered(fbb, name, version, definition, description));
}

EncodedBody put_body(Fbb& fbb, const JobSubmitted& body) {
  const FbText id = put_present_text(fbb, body.id);
  const FbText task = put_present_text(fbb, body.task);
  const FbText task_version = put_present_text(fbb, body.task_version);
  const FbText parameters = put_text(fbb, body.parameters);
  return finish_body(fbs::CreateJobSubmitted(fbb, id, task, task_version, parameters));
}

EncodedBody put_body(Fbb& fbb, const JobStateChanged& body) {
  const FbText id = put_present_text(fbb, body.id);
  const FbText message = put_text(fbb, body.message);
  return finish_body(
      fbs::CreateJobStateChanged(fbb, id, static_cast<fbs::JobState>(body.state), message));
}

EncodedBody put_body(Fbb& fbb, const SessionsExpired& body) {
  flatbuffers::Offset<flatbuffers::Vector<const fbs::SessionKey*>> records;
  if (!body.records.empty()) {
    records = fbb.CreateVectorOfStructs<fbs::SessionKey>(
        body.records.size(), [&body](std::size_t i, fbs::SessionKey* place) {
          const SessionKey& key = body.records[i];
          *place = fbs::SessionKey(to_fb_id<fbs::Id128>(key.client), key.sequence.value());
        });
  }
  return finish_body(fbs::CreateSessionsExpired(fbb, records));
}

}  // namespace

struct EventEncoder::Impl {
  Fbb fbb{1024};
};

EventEncoder::EventEncoder() : impl_(std::make_unique<Impl>()) {}
EventEncoder::~EventEncoder() = default;
EventEncoder::EventEncoder(EventEncoder&&) noexcept = default;
EventEncoder& EventEncoder::operator=(EventEncoder&&) noexcept = default;

ByteView EventEncoder::encode(const Event& event) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const EncodedBody body =
      std::visit([&fbb](const auto& typed) { return put_body(fbb, typed); }, event.body);
  fbs::EventBuilder builder(fbb);
  builder.add_revision(event.revision.value());
  fbs::Origin origin;
  if (event.origin) {
    origin = fbs::Origin(to_fb_id<fbs::Id128>(event.origin->client), event.origin->sequence.value(),
                         event.origin->digest, event.origin->forget_from.value(),
                         event.origin->forget_to.value());
    builder.add_origin(&origin);
  }
  builder.add_body(body.offset);
  builder.add_body_type(body.type);
  fbb.Finish(builder.Finish());
  return buffer_of(fbb);
}

}  // namespace bib::wire
