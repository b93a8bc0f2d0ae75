#include "wire/model/row.h"

#include <limits>

#include "schema/row_generated.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/base/limits.h"
#include "wire/model/dataset_fields.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::row;

static_assert(std::variant_size_v<Row> == static_cast<std::size_t>(fbs::Body::MAX));

constexpr std::size_t kNoListLimit = std::numeric_limits<std::size_t>::max();
// A row is a table with one table in it.
constexpr flatbuffers::Verifier::Options kVerifierOptions = {
    .max_depth = 8, .max_tables = 16, .check_alignment = true};
// A row holds what one event said and a few numbers.
constexpr std::size_t kRowSizeMax = 2 * std::size_t{kEventSizeMax};

struct EncodedBody {
  fbs::Body type;
  flatbuffers::Offset<void> offset;
};

template <typename Table>
EncodedBody finish_body(flatbuffers::Offset<Table> table) {
  return {fbs::BodyTraits<Table>::enum_value, table.Union()};
}

EncodedBody put_body(Fbb& fbb, const TopicRow& row) {
  const FbText path = put_text(fbb, row.path);
  const FbText description = put_text(fbb, row.description);
  const FbText schema = put_text(fbb, row.schema);
  const FbTexts owners = put_texts(fbb, row.owners);
  const FbTexts tags = put_texts(fbb, row.tags);
  fbs::TopicBuilder builder(fbb);
  builder.add_path(path);
  builder.add_description(description);
  builder.add_schema(schema);
  builder.add_owners(owners);
  builder.add_tags(tags);
  builder.add_status(static_cast<std::uint8_t>(row.status));
  builder.add_revision(row.revision.value());
  builder.add_created_us(row.created_us);
  builder.add_updated_us(row.updated_us);
  builder.add_datasets(row.datasets);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const DatasetRow& row) {
  const FbText topic = put_text(fbb, row.topic);
  const FbText name = put_text(fbb, row.name);
  const FbText latest_version = put_text(fbb, row.latest_version);
  fbs::DatasetBuilder builder(fbb);
  builder.add_topic(topic);
  builder.add_name(name);
  builder.add_latest_version(latest_version);
  builder.add_versions(row.versions);
  builder.add_revision(row.revision.value());
  builder.add_created_us(row.created_us);
  builder.add_updated_us(row.updated_us);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const DatasetVersionRow& row) {
  const DatasetVersionParts parts = put_dataset_version(fbb, row.version);
  fbs::DatasetVersionBuilder builder(fbb);
  add_dataset_version(builder, parts, row.version);
  builder.add_added_us(row.added_us);
  builder.add_index(row.position.index.value());
  builder.add_offset(row.position.offset);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const ConfigRow& row) {
  const FbText key = put_text(fbb, row.key);
  const FbText value = put_text(fbb, row.value);
  fbs::ConfigBuilder builder(fbb);
  builder.add_key(key);
  builder.add_value(value);
  builder.add_revision(row.revision.value());
  builder.add_updated_us(row.updated_us);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const TaskRow& row) {
  const FbText name = put_text(fbb, row.name);
  const FbText version = put_text(fbb, row.version);
  const FbText definition = put_text(fbb, row.definition);
  const FbText description = put_text(fbb, row.description);
  fbs::TaskBuilder builder(fbb);
  builder.add_name(name);
  builder.add_version(version);
  builder.add_definition(definition);
  builder.add_description(description);
  builder.add_revision(row.revision.value());
  builder.add_registered_us(row.registered_us);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const JobRow& row) {
  const FbText id = put_text(fbb, row.id);
  const FbText task = put_text(fbb, row.task);
  const FbText task_version = put_text(fbb, row.task_version);
  const FbText parameters = put_text(fbb, row.parameters);
  const FbText message = put_text(fbb, row.message);
  fbs::JobBuilder builder(fbb);
  builder.add_id(id);
  builder.add_task(task);
  builder.add_task_version(task_version);
  builder.add_parameters(parameters);
  builder.add_state(static_cast<std::uint8_t>(row.state));
  builder.add_message(message);
  builder.add_revision(row.revision.value());
  builder.add_submitted_us(row.submitted_us);
  builder.add_updated_us(row.updated_us);
  return finish_body(builder.Finish());
}

Result<Row> read_body(const fbs::Topic& table) {
  if (table.status() > static_cast<std::uint8_t>(TopicStatus::kArchived)) {
    return fail(ErrorCode::kCorrupt, "a topic's row has unknown status {}", table.status());
  }
  return TopicRow{.path = text_of(table.path()),
                  .description = text_of(table.description()),
                  .schema = text_of(table.schema()),
                  .owners = texts_of(table.owners(), kNoListLimit),
                  .tags = texts_of(table.tags(), kNoListLimit),
                  .status = static_cast<TopicStatus>(table.status()),
                  .revision = Revision(table.revision()),
                  .created_us = table.created_us(),
                  .updated_us = table.updated_us(),
                  .datasets = table.datasets()};
}

Result<Row> read_body(const fbs::Dataset& table) {
  return DatasetRow{.topic = text_of(table.topic()),
                    .name = text_of(table.name()),
                    .latest_version = text_of(table.latest_version()),
                    .versions = table.versions(),
                    .revision = Revision(table.revision()),
                    .created_us = table.created_us(),
                    .updated_us = table.updated_us()};
}

Result<Row> read_body(const fbs::DatasetVersion& table) {
  return DatasetVersionRow{
      .version = dataset_version_of(table, kNoListLimit),
      .added_us = table.added_us(),
      .position = {.index = LogIndex(table.index()), .offset = table.offset()}};
}

Result<Row> read_body(const fbs::Config& table) {
  return ConfigRow{.key = text_of(table.key()),
                   .value = text_of(table.value()),
                   .revision = Revision(table.revision()),
                   .updated_us = table.updated_us()};
}

Result<Row> read_body(const fbs::Task& table) {
  return TaskRow{.name = text_of(table.name()),
                 .version = text_of(table.version()),
                 .definition = text_of(table.definition()),
                 .description = text_of(table.description()),
                 .revision = Revision(table.revision()),
                 .registered_us = table.registered_us()};
}

Result<Row> read_body(const fbs::Job& table) {
  if (table.state() > static_cast<std::uint8_t>(JobState::kCancelled)) {
    return fail(ErrorCode::kCorrupt, "a job's row has unknown state {}", table.state());
  }
  return JobRow{.id = text_of(table.id()),
                .task = text_of(table.task()),
                .task_version = text_of(table.task_version()),
                .parameters = text_of(table.parameters()),
                .state = static_cast<JobState>(table.state()),
                .message = text_of(table.message()),
                .revision = Revision(table.revision()),
                .submitted_us = table.submitted_us(),
                .updated_us = table.updated_us()};
}

}  // namespace

struct RowEncoder::Impl {
  Fbb fbb{1024};
};

RowEncoder::RowEncoder() : impl_(std::make_unique<Impl>()) {}
RowEncoder::~RowEncoder() = default;
RowEncoder::RowEncoder(RowEncoder&&) noexcept = default;
RowEncoder& RowEncoder::operator=(RowEncoder&&) noexcept = default;

ByteView RowEncoder::encode(const Row& row) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const EncodedBody body =
      std::visit([&fbb](const auto& typed) { return put_body(fbb, typed); }, row);
  fbb.Finish(fbs::CreateRow(fbb, body.type, body.offset));
  return buffer_of(fbb);
}

Result<Row> read_row(ByteView bytes) {
  if (bytes.size() > kRowSizeMax) {
    return fail(ErrorCode::kCorrupt, "a row of {} bytes is larger than the {} allowed",
                bytes.size(), kRowSizeMax);
  }
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), kVerifierOptions);
  if (!fbs::VerifyRowBuffer(verifier)) {
    return fail(ErrorCode::kCorrupt, "{} bytes are not a row of the schema row.fbs", bytes.size());
  }
  const fbs::Row& row = *fbs::GetRow(bytes.data());
  if (row.body() == nullptr) return fail(ErrorCode::kCorrupt, "a row has no body");
  switch (row.body_type()) {
    case fbs::Body::Topic:
      return read_body(*row.body_as_Topic());
    case fbs::Body::Dataset:
      return read_body(*row.body_as_Dataset());
    case fbs::Body::DatasetVersion:
      return read_body(*row.body_as_DatasetVersion());
    case fbs::Body::Config:
      return read_body(*row.body_as_Config());
    case fbs::Body::Task:
      return read_body(*row.body_as_Task());
    case fbs::Body::Job:
      return read_body(*row.body_as_Job());
    case fbs::Body::NONE:
      break;
  }
  return fail(ErrorCode::kCorrupt, "a row has body number {}, and this build knows 1 to {}",
              static_cast<int>(row.body_type()), static_cast<int>(fbs::Body::MAX));
}

}  // namespace bib::wire
