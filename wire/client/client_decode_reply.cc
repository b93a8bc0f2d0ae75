// The replies, as a client reads them. Requests are in client_decode.cc.
#include "schema/client_generated.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/base/text.h"
#include "wire/client/client_envelope.h"
#include "wire/client/client_message.h"
#include "wire/client/field_checker.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::client;

constexpr flatbuffers::uoffset_t kSmallReplyTablesMax = 16;
constexpr flatbuffers::uoffset_t kHelloTablesMax = kListSizeMax + 16;
constexpr flatbuffers::uoffset_t kStatusTablesMax = 3 * kListSizeMax + 16;
constexpr flatbuffers::uoffset_t kQueryReplyTablesMax = kQueryLimitMax + 16;
// A logged event takes more than 32 bytes, so that a body's limit is this one's, too.
constexpr flatbuffers::uoffset_t kEventsReplyTablesMax = kClientFrameBodyMax / 32;

// A FlatBuffer inside `body` must stand where it can be read in place.
bool is_aligned_in(ByteView body, ByteView nested) {
  if (nested.empty()) return true;
  return static_cast<std::size_t>(nested.data() - body.data()) % kFlatBufferAlignment == 0;
}

constexpr const char* kMisaligned = "does not begin at a multiple of eight bytes";

MemberInfo read_member(const fbs::MemberInfo& table, FieldChecker& check) {
  MemberInfo member{.id = NodeId(table.id()),
                    .raft_address = text_of(table.raft_address()),
                    .api_address = text_of(table.api_address()),
                    .voter = table.voter()};
  check.name("members.raft_address", member.raft_address);
  check.name("members.api_address", member.api_address);
  return member;
}

// A newer node's word for something else says nothing to this build.
RowsVerdict read_rows_verdict(std::uint8_t number) {
  const bool is_known = number <= static_cast<std::uint8_t>(RowsVerdict::kDisputed);
  return is_known ? static_cast<RowsVerdict>(number) : RowsVerdict::kUnknown;
}

MemberStatus read_member(const fbs::MemberStatus& table, FieldChecker& check) {
  MemberStatus member{.id = NodeId(table.id()),
                      .raft_address = text_of(table.raft_address()),
                      .api_address = text_of(table.api_address()),
                      .voter = table.voter(),
                      .leader = table.leader(),
                      .healthy = table.healthy(),
                      .match = LogIndex(table.match_index()),
                      .known = table.known(),
                      .incoming = table.incoming(),
                      .outgoing = table.outgoing(),
                      .wants_vote = table.wants_vote(),
                      .caught_up = table.caught_up(),
                      .report = text_of(table.report()),
                      .rows = read_rows_verdict(table.rows())};
  check.name("members.raft_address", member.raft_address);
  check.name("members.api_address", member.api_address);
  check.text("members.report", member.report);
  return member;
}

ProjectionStatus read_projection(const fbs::ProjectionStatus& table, FieldChecker& check) {
  ProjectionStatus projection{.name = text_of(table.name()),
                              .version = table.version(),
                              .rows = table.rows(),
                              .digest_low = table.digest_low(),
                              .digest_high = table.digest_high()};
  check.required_name("projections.name", projection.name);
  return projection;
}

// Every element of a list of tables, by `read`; an absent list is empty.
template <typename T, typename Table, typename Read>
std::vector<T> read_tables(const flatbuffers::Vector<flatbuffers::Offset<Table>>* tables,
                           const Read& read) {
  std::vector<T> list;
  if (tables == nullptr) return list;
  list.reserve(tables->size());
  for (flatbuffers::uoffset_t i = 0; i < tables->size(); ++i) list.push_back(read(*tables->Get(i)));
  return list;
}

}  // namespace

Result<ServerHello> decode_server_hello(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::ServerHello>(body, kHelloTablesMax));
  FieldChecker check("ServerHello");
  ServerHello hello{
      .protocol = table->protocol(),
      .version = text_of(table->version()),
      .node = NodeId(table->node()),
      .cluster = id_of<ClusterId>(table->cluster()),
      .cluster_name = text_of(table->cluster_name()),
      .leader = NodeId(table->leader()),
      .leader_api_address = text_of(table->leader_api_address()),
      .members = read_tables<MemberInfo>(
          table->members(), [&check](const auto& row) { return read_member(row, check); }),
      .term = Term(table->term())};
  check.list_size("members", hello.members.size(), kListSizeMax);
  check.name("version", hello.version);
  check.name("cluster_name", hello.cluster_name);
  check.name("leader_api_address", hello.leader_api_address);
  BIB_TRY_VOID(std::move(check).status());
  return hello;
}

Result<CommandReply> decode_command_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::CommandReply>(body, kSmallReplyTablesMax));
  return CommandReply{.position = {.index = LogIndex(table->index()), .offset = table->offset()},
                      .revision = Revision(table->revision()),
                      .unchanged = table->unchanged(),
                      .replayed = table->replayed()};
}

Result<ErrorReply> decode_error_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::ErrorReply>(body, kSmallReplyTablesMax));
  ErrorReply reply{.code = static_cast<ErrorCode>(table->code()),
                   .message = text_of(table->message()),
                   .leader = NodeId(table->leader()),
                   .leader_api_address = text_of(table->leader_api_address()),
                   .current_revision = Revision(table->current_revision())};
  // The code counts for more than the words: odd words do not hide it.
  if (reply.message.size() > kTextSizeMax || !is_valid_utf8(reply.message)) {
    reply.message = "the node's message is too long or not valid UTF-8, and is left out";
  }
  FieldChecker check("ErrorReply");
  check.require("code", reply.code != ErrorCode::kNone, "is 0, which is not an error");
  check.name("leader_api_address", reply.leader_api_address);
  BIB_TRY_VOID(std::move(check).status());
  return reply;
}

Result<QueryReply> decode_query_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::QueryReply>(body, kQueryReplyTablesMax));
  FieldChecker check("QueryReply");
  QueryReply reply{.rows = read_tables<QueryRow>(
                       table->rows(),
                       [&](const fbs::QueryRow& row) {
                         QueryRow view{.key = text_of(row.key()), .value = bytes_of(row.value())};
                         check.query_key("rows.key", view.key);
                         check.require("rows.value", is_aligned_in(body, view.value), kMisaligned);
                         return view;
                       }),
                   .next = optional_text_of(table->next()),
                   .applied_index = LogIndex(table->applied_index()),
                   .age_us = table->age_us(),
                   .age_known = table->age_known()};
  check.list_size("rows", reply.rows.size(), kQueryLimitMax);
  check.query_key("next", reply.next.value_or(""));
  BIB_TRY_VOID(std::move(check).status());
  return reply;
}

Result<EventsReply> decode_events_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::EventsReply>(body, kEventsReplyTablesMax));
  FieldChecker check("EventsReply");
  const auto read = [&](const fbs::LoggedEvent& row) {
    LoggedEvent logged{.position = {.index = LogIndex(row.index()), .offset = row.offset()},
                       .term = Term(row.term()),
                       .time_us = row.time_us(),
                       .event = bytes_of(row.event())};
    check.require("events.event", !logged.event.empty(), "is empty");
    check.require("events.event", is_aligned_in(body, logged.event), kMisaligned);
    return logged;
  };
  EventsReply reply{
      .events = read_tables<LoggedEvent>(table->events(), read),
      .next = {.index = LogIndex(table->next_index()), .offset = table->next_offset()},
      .end = table->end()};
  BIB_TRY_VOID(std::move(check).status());
  return reply;
}

Result<SnapshotsReply> decode_snapshots_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::SnapshotsReply>(body, kStatusTablesMax));
  FieldChecker check("SnapshotsReply");
  SnapshotsReply reply{
      .node = NodeId(table->node()),
      .first = LogIndex(table->first_index()),
      .made = table->made(),
      .snapshots = read_tables<SnapshotInfo>(table->snapshots(), [](const auto& row) {
        return SnapshotInfo{.index = LogIndex(row.index()),
                            .term = Term(row.term()),
                            .created_us = row.created_us(),
                            .bytes = row.bytes(),
                            .files = row.files(),
                            .rows = row.rows(),
                            .node = NodeId(row.node())};
      })};
  check.list_size("snapshots", reply.snapshots.size(), kListSizeMax);
  BIB_TRY_VOID(std::move(check).status());
  return reply;
}

Result<StatusReply> decode_status_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::StatusReply>(body, kStatusTablesMax));
  FieldChecker check("StatusReply");
  StatusReply reply{
      .cluster = id_of<ClusterId>(table->cluster()),
      .cluster_name = text_of(table->cluster_name()),
      .node = NodeId(table->node()),
      .version = text_of(table->version()),
      .role = text_of(table->role()),
      .leader = NodeId(table->leader()),
      .term = Term(table->term()),
      .commit = LogIndex(table->commit_index()),
      .applied = LogIndex(table->applied_index()),
      .last = LogIndex(table->last_index()),
      .first = LogIndex(table->first_index()),
      .members = read_tables<MemberStatus>(
          table->members(), [&check](const auto& row) { return read_member(row, check); }),
      .projections = read_tables<ProjectionStatus>(
          table->projections(), [&check](const auto& row) { return read_projection(row, check); }),
      .uptime_us = table->uptime_us(),
      .resident_bytes = table->resident_bytes(),
      .membership_index = LogIndex(table->membership_index()),
      .membership_committed = table->membership_committed(),
      .joint = table->joint(),
      .auto_leave = table->auto_leave(),
      .age_us = table->age_us(),
      .age_known = table->age_known(),
      .counters = read_tables<Counter>(table->counters(), [&check](const auto& row) {
        const Counter counter{.name = text_of(row.name()), .value = row.value()};
        check.required_name("counters.name", counter.name);
        return counter;
      })};
  check.list_size("counters", reply.counters.size(), kListSizeMax);
  check.list_size("members", reply.members.size(), kListSizeMax);
  check.list_size("projections", reply.projections.size(), kListSizeMax);
  check.name("cluster_name", reply.cluster_name);
  check.name("version", reply.version);
  check.name("role", reply.role);
  BIB_TRY_VOID(std::move(check).status());
  return reply;
}

Result<ChangeMembershipReply> decode_change_membership_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::ChangeMembershipReply>(body, kSmallReplyTablesMax));
  ChangeMembershipReply reply{.done = table->done(),
                              .unchanged = table->unchanged(),
                              .index = LogIndex(table->index()),
                              .joint = table->joint(),
                              .waits_for = text_of(table->waits_for())};
  FieldChecker check("ChangeMembershipReply");
  check.text("waits_for", reply.waits_for);
  BIB_TRY_VOID(std::move(check).status());
  return reply;
}

Result<TransferReply> decode_transfer_reply(ByteView body) {
  BIB_TRY(const auto* table, open_envelope<fbs::TransferReply>(body, kSmallReplyTablesMax));
  TransferReply reply{.done = table->done(),
                      .leader = NodeId(table->leader()),
                      .term = Term(table->term()),
                      .target = NodeId(table->target()),
                      .waits_for = text_of(table->waits_for())};
  FieldChecker check("TransferReply");
  check.text("waits_for", reply.waits_for);
  BIB_TRY_VOID(std::move(check).status());
  return reply;
}

}  // namespace bib::wire
