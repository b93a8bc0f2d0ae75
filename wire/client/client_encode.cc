#include <array>
#include <cstring>

#include "schema/client_generated.h"
#include "wire/base/check.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/client/client_message.h"
#include "wire/model/dataset_fields.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::client;

static_assert(std::variant_size_v<CommandBody> == static_cast<std::size_t>(fbs::CommandBody::MAX));

struct EncodedBody {
  fbs::CommandBody type;
  flatbuffers::Offset<void> offset;
};

template <typename Table>
EncodedBody finish_body(flatbuffers::Offset<Table> table) {
  return {fbs::CommandBodyTraits<Table>::enum_value, table.Union()};
}

EncodedBody put_body(Fbb& fbb, const CreateTopic& body) {
  const FbText path = put_present_text(fbb, body.path);
  const FbText description = put_text(fbb, body.description);
  const FbText schema = put_text(fbb, body.schema);
  const FbTexts owners = put_texts(fbb, body.owners);
  const FbTexts tags = put_texts(fbb, body.tags);
  return finish_body(fbs::CreateCreateTopic(fbb, path, description, schema, owners, tags,
                                            body.parents, body.may_exist));
}

// Absent and empty differ here: what is present is written, even when it is empty.
EncodedBody put_body(Fbb& fbb, const UpdateTopic& body) {
  const FbText path = put_present_text(fbb, body.path);
  const FbText description = put_optional_text(fbb, body.description);
  const FbText schema = put_optional_text(fbb, body.schema);
  const FbTexts owners = body.owners ? put_present_texts(fbb, *body.owners) : FbTexts();
  const FbTexts tags = body.tags ? put_present_texts(fbb, *body.tags) : FbTexts();
  return finish_body(fbs::CreateUpdateTopic(fbb, path, description, schema, owners, tags));
}

EncodedBody put_body(Fbb& fbb, const SetTopicStatus& body) {
  const FbText path = put_present_text(fbb, body.path);
  return finish_body(fbs::CreateSetTopicStatus(fbb, path, static_cast<std::uint8_t>(body.status)));
}

EncodedBody put_body(Fbb& fbb, const AddDatasetVersion& body) {
  const DatasetVersionParts parts = put_dataset_version(fbb, body.version);
  fbs::AddDatasetVersionBuilder builder(fbb);
  add_dataset_version(builder, parts, body.version);
  return finish_body(builder.Finish());
}

EncodedBody put_body(Fbb& fbb, const SetConfig& body) {
  const FbText key = put_present_text(fbb, body.key);
  const FbText value = put_present_text(fbb, body.value);
  return finish_body(fbs::CreateSetConfig(fbb, key, value));
}

EncodedBody put_body(Fbb& fbb, const UnsetConfig& body) {
  return finish_body(fbs::CreateUnsetConfig(fbb, put_present_text(fbb, body.key)));
}

EncodedBody put_body(Fbb& fbb, const IssueJoinToken& body) {
  const FbBytes secret = put_present_bytes(fbb, body.secret_sha256);
  return finish_body(fbs::CreateIssueJoinToken(fbb, secret, body.expires_at_us));
}

EncodedBody put_body(Fbb& fbb, const RegisterTask& body) {
  const FbText name = put_present_text(fbb, body.name);
  const FbText version = put_present_text(fbb, body.version);
  const FbText definition = put_text(fbb, body.definition);
  const FbText description = put_text(fbb, body.description);
  return finish_body(fbs::CreateRegisterTask(fbb, name, version, definition, description));
}

EncodedBody put_body(Fbb& fbb, const SubmitJob& body) {
  const FbText id = put_present_text(fbb, body.id);
  const FbText task = put_present_text(fbb, body.task);
  const FbText task_version = put_text(fbb, body.task_version);
  const FbText parameters = put_text(fbb, body.parameters);
  return finish_body(fbs::CreateSubmitJob(fbb, id, task, task_version, parameters));
}

EncodedBody put_body(Fbb& fbb, const SetJobState& body) {
  const FbText id = put_present_text(fbb, body.id);
  const FbText message = put_text(fbb, body.message);
  return finish_body(
      fbs::CreateSetJobState(fbb, id, static_cast<std::uint8_t>(body.state), message));
}

using CommandHead = std::array<std::uint8_t, kCommandHeadSize>;

CommandHead make_command_head(const Command& command) {
  BIB_CHECK(!command.expected_revision || command.expected_revision->value() != kAnyRevision,
            "this revision means any");
  CommandHead head{};
  std::memcpy(head.data(), command.client.bytes.data(), command.client.bytes.size());
  const std::array<std::uint64_t, 3> numbers = {
      command.sequence.value(), command.acknowledged_below.value(),
      command.expected_revision ? command.expected_revision->value() : kAnyRevision};
  std::memcpy(head.data() + command.client.bytes.size(), numbers.data(), sizeof numbers);
  return head;
}

}  // namespace

struct ClientEncoder::Impl {
  Fbb fbb{1024};
  // Offsets of a list's tables while the list is being written; kept for their storage.
  std::vector<flatbuffers::uoffset_t> tables;

  template <typename Table>
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<Table>>> finish_tables() {
    if (tables.empty()) return {};
    fbb.StartVector(tables.size(), sizeof(flatbuffers::uoffset_t));
    for (std::size_t i = tables.size(); i > 0; --i) {
      fbb.PushElement(flatbuffers::Offset<Table>(tables[i - 1]));
    }
    return {fbb.EndVector(tables.size())};
  }

  template <typename Table>
  ByteView finish(flatbuffers::Offset<Table> message) {
    fbb.Finish(fbs::CreateEnvelope(fbb, fbs::MessageTraits<Table>::enum_value, message.Union()));
    return buffer_of(fbb);
  }
};

ClientEncoder::ClientEncoder() : impl_(std::make_unique<Impl>()) {}
ClientEncoder::~ClientEncoder() = default;
ClientEncoder::ClientEncoder(ClientEncoder&&) noexcept = default;
ClientEncoder& ClientEncoder::operator=(ClientEncoder&&) noexcept = default;

ByteView ClientEncoder::encode(const ClientHello& hello) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const FbText program = put_text(fbb, hello.program);
  const auto client = to_fb_id<fbs::Id128>(hello.client);
  return impl_->finish(fbs::CreateClientHello(fbb, hello.protocol, &client, program));
}

ByteView ClientEncoder::encode(const ServerHello& hello) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  impl_->tables.clear();
  for (const MemberInfo& member : hello.members) {
    const FbText raft_address = put_text(fbb, member.raft_address);
    const FbText api_address = put_text(fbb, member.api_address);
    impl_->tables.push_back(
        fbs::CreateMemberInfo(fbb, member.id.value(), raft_address, api_address, member.voter).o);
  }
  const auto members = impl_->finish_tables<fbs::MemberInfo>();
  const FbText version = put_text(fbb, hello.version);
  const FbText cluster_name = put_text(fbb, hello.cluster_name);
  const FbText leader_api_address = put_text(fbb, hello.leader_api_address);
  const auto cluster = to_fb_id<fbs::Id128>(hello.cluster);
  return impl_->finish(fbs::CreateServerHello(fbb, hello.protocol, version, hello.node.value(),
                                              &cluster, cluster_name, hello.leader.value(),
                                              leader_api_address, members, hello.term.value()));
}

ByteView ClientEncoder::encode(const Command& command) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const EncodedBody body =
      std::visit([&fbb](const auto& typed) { return put_body(fbb, typed); }, command.body);
  impl_->finish(fbs::CreateCommand(fbb, body.type, body.offset));
  // The builder grows downwards, so the head is written in front of the finished buffer.
  static_assert(kCommandHeadSize % kFlatBufferAlignment == 0);
  const CommandHead head = make_command_head(command);
  fbb.PushFlatBuffer(head.data(), head.size());
  return buffer_of(fbb);
}

ByteView ClientEncoder::encode(const CommandReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  return impl_->finish(fbs::CreateCommandReply(fbb, reply.position.index.value(),
                                               reply.position.offset, reply.revision.value(),
                                               reply.unchanged, reply.replayed));
}

ByteView ClientEncoder::encode(const ErrorReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const FbText message = put_text(fbb, reply.message);
  const FbText leader_api_address = put_text(fbb, reply.leader_api_address);
  return impl_->finish(fbs::CreateErrorReply(fbb, static_cast<std::uint8_t>(reply.code), message,
                                             reply.leader.value(), leader_api_address,
                                             reply.current_revision.value()));
}

ByteView ClientEncoder::encode(const Query& query) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const FbText key = put_optional_text(fbb, query.key);
  const FbText scope = put_text(fbb, query.scope);
  const FbText prefix = put_text(fbb, query.prefix);
  const FbText after = put_text(fbb, query.after);
  return impl_->finish(fbs::CreateQuery(fbb, static_cast<fbs::Consistency>(query.consistency),
                                        static_cast<std::uint8_t>(query.table), key, scope, prefix,
                                        after, query.limit, query.max_age_us));
}

ByteView ClientEncoder::encode(const QueryReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  impl_->tables.clear();
  for (const QueryRow& row : reply.rows) {
    const FbBytes value = put_nested_buffer(fbb, row.value);
    const FbText key = put_text(fbb, row.key);
    impl_->tables.push_back(fbs::CreateQueryRow(fbb, key, value).o);
  }
  const auto rows = impl_->finish_tables<fbs::QueryRow>();
  const FbText next = put_optional_text(fbb, reply.next);
  return impl_->finish(fbs::CreateQueryReply(fbb, rows, next, reply.applied_index.value(),
                                             reply.age_us, reply.age_known));
}

ByteView ClientEncoder::encode(const ReadEvents& request) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const FbText stream_prefix = put_text(fbb, request.stream_prefix);
  return impl_->finish(fbs::CreateReadEvents(fbb, request.from.index.value(), request.from.offset,
                                             request.limit, request.follow, stream_prefix,
                                             static_cast<fbs::Consistency>(request.consistency)));
}

ByteView ClientEncoder::encode(const EventsReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  impl_->tables.clear();
  for (const LoggedEvent& logged : reply.events) {
    const FbBytes event = put_nested_buffer(fbb, logged.event);
    impl_->tables.push_back(fbs::CreateLoggedEvent(fbb, logged.position.index.value(),
                                                   logged.position.offset, logged.term.value(),
                                                   logged.time_us, event)
                                .o);
  }
  const auto events = impl_->finish_tables<fbs::LoggedEvent>();
  return impl_->finish(
      fbs::CreateEventsReply(fbb, events, reply.next.index.value(), reply.next.offset, reply.end));
}

ByteView ClientEncoder::encode(const ListSnapshots& request) {
  begin_buffer(impl_->fbb);
  return impl_->finish(fbs::CreateSnapshots(impl_->fbb, request.create));
}

ByteView ClientEncoder::encode(const SnapshotsReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  impl_->tables.clear();
  for (const SnapshotInfo& info : reply.snapshots) {
    impl_->tables.push_back(fbs::CreateSnapshotInfo(fbb, info.index.value(), info.term.value(),
                                                    info.created_us, info.bytes, info.files,
                                                    info.rows, info.node.value())
                                .o);
  }
  const auto snapshots = impl_->finish_tables<fbs::SnapshotInfo>();
  return impl_->finish(fbs::CreateSnapshotsReply(fbb, reply.node.value(), reply.first.value(),
                                                 reply.made, snapshots));
}

ByteView ClientEncoder::encode(const StatusReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  impl_->tables.clear();
  for (const MemberStatus& member : reply.members) {
    const FbText raft_address = put_text(fbb, member.raft_address);
    const FbText api_address = put_text(fbb, member.api_address);
    const FbText report = put_text(fbb, member.report);
    impl_->tables.push_back(
        fbs::CreateMemberStatus(fbb, member.id.value(), raft_address, api_address, member.voter,
                                member.leader, member.healthy, member.match.value(), member.known,
                                member.incoming, member.outgoing, member.wants_vote,
                                member.caught_up, report, static_cast<std::uint8_t>(member.rows))
            .o);
  }
  const auto members = impl_->finish_tables<fbs::MemberStatus>();
  impl_->tables.clear();
  for (const ProjectionStatus& projection : reply.projections) {
    const FbText name = put_text(fbb, projection.name);
    impl_->tables.push_back(fbs::CreateProjectionStatus(fbb, name, projection.version,
                                                        projection.rows, projection.digest_low,
                                                        projection.digest_high)
                                .o);
  }
  const auto projections = impl_->finish_tables<fbs::ProjectionStatus>();
  impl_->tables.clear();
  for (const Counter& counter : reply.counters) {
    const FbText name = put_text(fbb, counter.name);
    impl_->tables.push_back(fbs::CreateCounter(fbb, name, counter.value).o);
  }
  const auto counters = impl_->finish_tables<fbs::Counter>();
  const FbText cluster_name = put_text(fbb, reply.cluster_name);
  const FbText version = put_text(fbb, reply.version);
  const FbText role = put_text(fbb, reply.role);
  const auto cluster = to_fb_id<fbs::Id128>(reply.cluster);
  return impl_->finish(fbs::CreateStatusReply(
      fbb, &cluster, cluster_name, reply.node.value(), version, role, reply.leader.value(),
      reply.term.value(), reply.commit.value(), reply.applied.value(), reply.last.value(),
      reply.first.value(), members, projections, reply.uptime_us, reply.resident_bytes,
      reply.membership_index.value(), reply.membership_committed, reply.joint, reply.auto_leave,
      reply.age_us, reply.age_known, counters));
}

ByteView ClientEncoder::encode(const ChangeMembership& request) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  impl_->tables.clear();
  for (const MemberChange& change : request.changes) {
    const FbText raft_address = put_text(fbb, change.raft_address);
    const FbText api_address = put_text(fbb, change.api_address);
    impl_->tables.push_back(fbs::CreateMemberChange(fbb, static_cast<std::uint8_t>(change.kind),
                                                    change.id.value(), raft_address, api_address)
                                .o);
  }
  const auto changes = impl_->finish_tables<fbs::MemberChange>();
  return impl_->finish(
      fbs::CreateChangeMembership(fbb, changes, request.explicit_leave, request.force));
}

ByteView ClientEncoder::encode(const ChangeMembershipReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const FbText waits_for = put_text(fbb, reply.waits_for);
  return impl_->finish(fbs::CreateChangeMembershipReply(
      fbb, reply.done, reply.unchanged, reply.index.value(), reply.joint, waits_for));
}

ByteView ClientEncoder::encode(const TransferLeadership& request) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  return impl_->finish(
      fbs::CreateTransferLeadership(fbb, request.target.value(), request.from.value()));
}

ByteView ClientEncoder::encode(const TransferReply& reply) {
  Fbb& fbb = impl_->fbb;
  begin_buffer(fbb);
  const FbText waits_for = put_text(fbb, reply.waits_for);
  return impl_->finish(fbs::CreateTransferReply(
      fbb, reply.done, reply.leader.value(), reply.term.value(), reply.target.value(), waits_for));
}

}  // namespace bib::wire
