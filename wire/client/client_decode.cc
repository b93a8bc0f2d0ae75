// The requests, as a node reads them. Replies are in client_decode_reply.cc.
#include <cstring>

#include "schema/client_generated.h"
#include "wire/base/checksum.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/base/little_endian.h"
#include "wire/client/client_envelope.h"
#include "wire/client/client_message.h"
#include "wire/client/field_checker.h"
#include "wire/model/dataset_fields.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::client;

constexpr std::size_t kSecretHashSize = 32;
// A request is an envelope, a command and its body.
constexpr flatbuffers::uoffset_t kRequestTablesMax = 16;
// One more than is allowed, so that the check sees an excess without reading all of it.
constexpr std::size_t kListReadMax = kListSizeMax + 1;

constexpr std::size_t kSequencePlace = 16;
constexpr std::size_t kAcknowledgedPlace = 24;
constexpr std::size_t kExpectedRevisionPlace = 32;
// What the digest covers begins at the expected revision: the same request has the same digest
// under any acknowledgement.
constexpr std::size_t kDigestBegin = kExpectedRevisionPlace;

CommandBody read_body(const fbs::CreateTopic& table, FieldChecker& check) {
  CreateTopic body{.path = text_of(table.path()),
                   .description = text_of(table.description()),
                   .schema = text_of(table.schema()),
                   .owners = texts_of(table.owners(), kListReadMax),
                   .tags = texts_of(table.tags(), kListReadMax),
                   .parents = table.parents(),
                   .may_exist = table.may_exist()};
  check.required_name("the topic's path", body.path);
  check.text("the topic's description", body.description);
  check.text("the topic's schema", body.schema);
  check.names("the list of the topic's owners", "an owner of the topic", body.owners);
  check.names("the list of the topic's tags", "a tag of the topic", body.tags);
  return body;
}

std::optional<TextList> optional_names(const char* list, const char* element,
                                       const flatbuffers::Vector<FbText>* texts,
                                       FieldChecker& check) {
  if (texts == nullptr) return std::nullopt;
  TextList names = texts_of(texts, kListReadMax);
  check.names(list, element, names);
  return names;
}

CommandBody read_body(const fbs::UpdateTopic& table, FieldChecker& check) {
  UpdateTopic body{.path = text_of(table.path()),
                   .description = optional_text_of(table.description()),
                   .schema = optional_text_of(table.schema()),
                   .owners = optional_names("the list of the topic's owners",
                                            "an owner of the topic", table.owners(), check),
                   .tags = optional_names("the list of the topic's tags", "a tag of the topic",
                                          table.tags(), check)};
  check.required_name("the topic's path", body.path);
  check.text("the topic's description", body.description.value_or(""));
  check.text("the topic's schema", body.schema.value_or(""));
  return body;
}

CommandBody read_body(const fbs::SetTopicStatus& table, FieldChecker& check) {
  check.at_most("the topic's status", table.status(),
                static_cast<std::uint8_t>(TopicStatus::kArchived));
  check.required_name("the topic's path", text_of(table.path()));
  return SetTopicStatus{.path = text_of(table.path()),
                        .status = static_cast<TopicStatus>(table.status())};
}

CommandBody read_body(const fbs::AddDatasetVersion& table, FieldChecker& check) {
  DatasetVersionAdded version = dataset_version_of(table, kListReadMax);
  check.required_name("the dataset's topic", version.topic);
  check.required_name("the dataset's name", version.dataset);
  check.required_name("the dataset's version", version.version);
  check.name("the dataset's hash", version.hash);
  check.name("the dataset's format", version.format);
  check.name("the dataset's licence", version.licence);
  check.text("the dataset's description", version.description);
  check.text("the dataset's homepage", version.homepage);
  check.names("the list of the dataset's owners", "an owner of the dataset", version.owners);
  check.names("the list of the dataset's tags", "a tag of the dataset", version.tags);
  check.list_size("the list of the dataset's holders", version.holders.size(), kListSizeMax);
  check.text("the dataset's source", version.source);
  return AddDatasetVersion{std::move(version)};
}

CommandBody read_body(const fbs::SetConfig& table, FieldChecker& check) {
  SetConfig body{.key = text_of(table.key()), .value = text_of(table.value())};
  check.required_name("the key", body.key);
  check.value("the value", body.value);
  return body;
}

CommandBody read_body(const fbs::UnsetConfig& table, FieldChecker& check) {
  check.required_name("the key", text_of(table.key()));
  return UnsetConfig{.key = text_of(table.key())};
}

CommandBody read_body(const fbs::IssueJoinToken& table, FieldChecker& check) {
  const ByteView secret = bytes_of(table.secret_sha256());
  check.require("the SHA-256 of the join token's secret", secret.size() == kSecretHashSize,
                "does not have 32 bytes");
  return IssueJoinToken{.secret_sha256 = secret, .expires_at_us = table.expires_at_us()};
}

CommandBody read_body(const fbs::RegisterTask& table, FieldChecker& check) {
  RegisterTask body{.name = text_of(table.name()),
                    .version = text_of(table.version()),
                    .definition = text_of(table.definition()),
                    .description = text_of(table.description())};
  check.required_name("the task's name", body.name);
  check.required_name("the task's version", body.version);
  check.value("the task's definition", body.definition);
  check.text("the task's description", body.description);
  return body;
}

CommandBody read_body(const fbs::SubmitJob& table, FieldChecker& check) {
  SubmitJob body{.id = text_of(table.id()),
                 .task = text_of(table.task()),
                 .task_version = text_of(table.task_version()),
                 .parameters = text_of(table.parameters())};
  check.required_name("the job's id", body.id);
  check.required_name("the job's task", body.task);
  check.name("the version of the job's task", body.task_version);
  check.value("the text of the job's parameters", body.parameters);
  return body;
}

CommandBody read_body(const fbs::SetJobState& table, FieldChecker& check) {
  check.at_most("the job's state", table.state(), static_cast<std::uint8_t>(JobState::kCancelled));
  SetJobState body{.id = text_of(table.id()),
                   .state = static_cast<JobState>(table.state()),
                   .message = text_of(table.message())};
  check.required_name("the job's id", body.id);
  check.text("the job's message", body.message);
  return body;
}

template <typename Table>
Result<CommandBody> read_checked(const Table* table) {
  FieldChecker check;
  CommandBody body = read_body(*table, check);
  BIB_TRY_VOID(std::move(check).status());
  return body;
}

Result<CommandBody> read_union(const fbs::Command& command) {
  switch (command.body_type()) {
    case fbs::CommandBody::CreateTopic:
      return read_checked(command.body_as_CreateTopic());
    case fbs::CommandBody::UpdateTopic:
      return read_checked(command.body_as_UpdateTopic());
    case fbs::CommandBody::SetTopicStatus:
      return read_checked(command.body_as_SetTopicStatus());
    case fbs::CommandBody::AddDatasetVersion:
      return read_checked(command.body_as_AddDatasetVersion());
    case fbs::CommandBody::SetConfig:
      return read_checked(command.body_as_SetConfig());
    case fbs::CommandBody::UnsetConfig:
      return read_checked(command.body_as_UnsetConfig());
    case fbs::CommandBody::IssueJoinToken:
      return read_checked(command.body_as_IssueJoinToken());
    case fbs::CommandBody::RegisterTask:
      return read_checked(command.body_as_RegisterTask());
    case fbs::CommandBody::SubmitJob:
      return read_checked(command.body_as_SubmitJob());
    case fbs::CommandBody::SetJobState:
      return read_checked(command.body_as_SetJobState());
    case fbs::CommandBody::NONE:
      return fail(ErrorCode::kInvalid, "the command has no body");
  }
  return fail(ErrorCode::kUnsupported,
              "command number {} is not known here (1 to {} are): the client is newer than the "
              "node; upgrade the node",
              static_cast<int>(command.body_type()), static_cast<int>(fbs::CommandBody::MAX));
}

}  // namespace

Result<ClientHello> decode_client_hello(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::ClientHello>(body, kRequestTablesMax));
  ClientHello hello{.protocol = table->protocol(),
                    .client = id_of<ClientId>(table->client()),
                    .program = text_of(table->program())};
  FieldChecker check;
  check.require("the client's id", !hello.client.is_none(), "is zero; draw 16 random bytes");
  check.name("the client program's name", hello.program);
  BIB_TRY_VOID(std::move(check).status());
  return hello;
}

Result<Command> decode_command(ByteView body) {
  if (body.size() < kCommandHeadSize) {
    return fail(ErrorCode::kInvalid, "a command of {} bytes is shorter than its head of {}",
                body.size(), kCommandHeadSize);
  }
  Command command;
  std::memcpy(command.client.bytes.data(), body.data(), command.client.bytes.size());
  command.sequence = RequestSequence(load_u64(body.data() + kSequencePlace));
  command.acknowledged_below = RequestSequence(load_u64(body.data() + kAcknowledgedPlace));
  const std::uint64_t expected_revision = load_u64(body.data() + kExpectedRevisionPlace);
  if (expected_revision != kAnyRevision) command.expected_revision = Revision(expected_revision);
  FieldChecker check;
  check.require("the command's client id", !command.client.is_none(),
                "is zero; draw 16 random bytes");
  check.require("the command's sequence", command.sequence.value() != 0,
                "is 0; a client counts from 1");
  check.require("the command's acknowledgement", command.acknowledged_below <= command.sequence,
                "is larger than the command's own sequence, which is not answered yet");
  BIB_TRY_VOID(std::move(check).status());
  BIB_TRY(const auto* table,
          open_envelope<fbs::Command>(body.subspan(kCommandHeadSize), kRequestTablesMax));
  BIB_TRY(command.body, read_union(*table));
  command.digest = checksum64(body.subspan(kDigestBegin));
  return command;
}

Result<Query> decode_query(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::Query>(body, kRequestTablesMax));
  FieldChecker check;
  check.at_most("the query's consistency", static_cast<std::uint8_t>(table->consistency()),
                static_cast<std::uint8_t>(fbs::Consistency::MAX));
  check.require("the query's table", table->table_() >= kQueryTableMin,
                "is 0; say which table to read");
  check.at_most("the query's table", table->table_(), kQueryTableMax);
  Query query{.consistency = static_cast<Consistency>(table->consistency()),
              .table = static_cast<QueryTable>(table->table_()),
              .key = optional_text_of(table->key()),
              .scope = text_of(table->scope()),
              .prefix = text_of(table->prefix()),
              .after = text_of(table->after()),
              .limit = table->limit(),
              .max_age_us = table->max_age_us()};
  check.query_key("the query's key", query.key.value_or(""));
  check.query_key("the query's scope", query.scope);
  check.query_key("the query's prefix", query.prefix);
  check.query_key("the key after which the query continues", query.after);
  check.require("the query's limit", query.key || query.limit != 0,
                "is 0; ask for at least one row");
  check.at_most("the query's limit", query.limit, kQueryLimitMax);
  check.require("the query's largest age",
                query.max_age_us == 0 || query.consistency == Consistency::kStale,
                "is given, but only stale reads have an age");
  BIB_TRY_VOID(std::move(check).status());
  return query;
}

Result<ListSnapshots> decode_snapshots(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::Snapshots>(body, kRequestTablesMax));
  return ListSnapshots{.create = table->create()};
}

Result<ReadEvents> decode_read_events(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::ReadEvents>(body, kRequestTablesMax));
  FieldChecker check;
  check.at_most("the consistency of the events", static_cast<std::uint8_t>(table->consistency()),
                static_cast<std::uint8_t>(Consistency::kStale));
  ReadEvents request{
      .from = {.index = LogIndex(table->from_index()), .offset = table->from_offset()},
      .limit = table->limit(),
      .follow = table->follow(),
      .stream_prefix = text_of(table->stream_prefix()),
      .consistency = static_cast<Consistency>(table->consistency())};
  check.query_key("the prefix of the streams", request.stream_prefix);
  BIB_TRY_VOID(std::move(check).status());
  return request;
}

Result<ChangeMembership> decode_change_membership(ByteView body) {
  BIB_TRY(const auto* table,
          open_envelope<fbs::ChangeMembership>(body, kMemberChangesMax + kRequestTablesMax));
  FieldChecker check;
  ChangeMembership request{.explicit_leave = table->explicit_leave(), .force = table->force()};
  const auto* changes = table->changes();
  check.list_size("the list of changes of members", changes == nullptr ? 0 : changes->size(),
                  kMemberChangesMax);
  for (flatbuffers::uoffset_t i = 0; changes != nullptr && i < changes->size(); ++i) {
    const fbs::MemberChange& row = *changes->Get(i);
    check.require("the kind of a change of members", row.kind() != 0,
                  "is 0; say what is to change");
    check.at_most("the kind of a change of members", row.kind(),
                  static_cast<std::uint8_t>(MemberChangeKind::kUpdate));
    check.require("the member's id", row.id() != 0, "is 0; name the member");
    const MemberChange change{.kind = static_cast<MemberChangeKind>(row.kind()),
                              .id = NodeId(row.id()),
                              .raft_address = text_of(row.raft_address()),
                              .api_address = text_of(row.api_address())};
    check.name("the member's address for nodes", change.raft_address);
    check.name("the member's address for clients", change.api_address);
    request.changes.push_back(change);
  }
  BIB_TRY_VOID(std::move(check).status());
  return request;
}

Result<TransferLeadership> decode_transfer_leadership(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::TransferLeadership>(body, kRequestTablesMax));
  return TransferLeadership{.target = NodeId(table->target()), .from = NodeId(table->from())};
}

}  // namespace bib::wire
