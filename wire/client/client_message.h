// Client messages: what `bib` and bibd say to each other, and their bytes.
//
// One TCP or Unix connection carries frames (frame.h) both ways. The client begins with
// ClientHello and is answered with ServerHello; then it may send any number of requests without
// waiting. Each carries an id of the client's choice in the frame's header, and its replies repeat
// it; replies may come in another order than the requests. A request is answered once, except
// ReadEvents, which is answered until EventsReply.end.
//
// A kCommand frame's body is a fixed head and then the FlatBuffers Command:
//   offset size  field
//        0   16  client id
//       16    8  sequence, from 1
//       24    8  acknowledged below: the client has its answers to all smaller sequences
//       32    8  expected revision of the stream, or all ones: any
//       40   ..  Envelope{Command} (client.fbs)
// Exactly once: a node remembers (client id, sequence) with the digest of bytes 32.. of the body.
// A retry repeats the same bytes and gets the same answer; other bytes under a used sequence are
// refused with kRequestReused.
//
// All structs are views into the bytes that they were read from, which must outlive them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/frame.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/client/query_table.h"
#include "wire/model/event.h"

namespace bib::wire {

inline constexpr std::uint32_t kClientProtocol = 1;
inline constexpr std::size_t kCommandHeadSize = 40;
inline constexpr std::uint64_t kAnyRevision = ~std::uint64_t{0};
// Limits on a command's parts, in bytes; more is kInvalid and names the field.
inline constexpr std::size_t kNameSizeMax = 512;
inline constexpr std::size_t kTextSizeMax = 64U << 10;
inline constexpr std::size_t kValueSizeMax = 1U << 20;
inline constexpr std::size_t kListSizeMax = 1024;
inline constexpr std::uint32_t kQueryLimitMax = 10000;
inline constexpr std::size_t kMemberChangesMax = 64;
// A query's key, scope, prefix and after: up to three names and what separates them.
inline constexpr std::size_t kQueryKeySizeMax = 3 * kNameSizeMax + 16;

struct ClientHello {
  std::uint32_t protocol = kClientProtocol;
  ClientId client{};
  std::string_view program{};
};
struct MemberInfo {
  NodeId id{};
  std::string_view raft_address{};
  std::string_view api_address{};
  bool voter = true;
};
struct ServerHello {
  std::uint32_t protocol = kClientProtocol;
  std::string_view version{};
  NodeId node{};
  ClusterId cluster{};
  std::string_view cluster_name{};
  NodeId leader{};
  std::string_view leader_api_address{};
  std::vector<MemberInfo> members{};
  Term term{};  // in which it leads; of two nodes that name different leaders the later is right
};

// ---- commands
struct CreateTopic {
  std::string_view path{};
  std::string_view description{};
  std::string_view schema{};
  TextList owners{};
  TextList tags{};
  bool parents = false;
  bool may_exist = false;
};
struct UpdateTopic {  // absent: stays as it is
  std::string_view path{};
  std::optional<std::string_view> description{};
  std::optional<std::string_view> schema{};
  std::optional<TextList> owners{};
  std::optional<TextList> tags{};
};
struct SetTopicStatus {
  std::string_view path{};
  TopicStatus status = TopicStatus::kActive;
};
struct AddDatasetVersion {
  DatasetVersionAdded version{};
};
struct SetConfig {
  std::string_view key{};
  std::string_view value{};
};
struct UnsetConfig {
  std::string_view key{};
};
struct IssueJoinToken {
  ByteView secret_sha256{};
  std::int64_t expires_at_us = 0;
};
struct RegisterTask {
  std::string_view name{};
  std::string_view version{};
  std::string_view definition{};
  std::string_view description{};
};
struct SubmitJob {
  std::string_view id{};
  std::string_view task{};
  std::string_view task_version{};  // empty: the latest
  std::string_view parameters{};
};
struct SetJobState {
  std::string_view id{};
  JobState state = JobState::kSubmitted;
  std::string_view message{};
};
// The order is that of the schema's union.
using CommandBody =
    std::variant<CreateTopic, UpdateTopic, SetTopicStatus, AddDatasetVersion, SetConfig,
                 UnsetConfig, IssueJoinToken, RegisterTask, SubmitJob, SetJobState>;

struct Command {
  ClientId client{};
  RequestSequence sequence{};
  RequestSequence acknowledged_below{};
  std::optional<Revision> expected_revision{};  // 0: must not exist
  std::uint64_t digest = 0;                     // filled by decode_command
  CommandBody body{};
};

struct CommandReply {
  Position position{};
  Revision revision{};
  bool unchanged = false;
  bool replayed = false;
};

struct ErrorReply {
  ErrorCode code = ErrorCode::kInvalid;
  std::string_view message{};
  NodeId leader{};
  std::string_view leader_api_address{};
  Revision current_revision{};
};

// ---- queries
enum class Consistency : std::uint8_t { kLinearizable = 0, kLeader = 1, kStale = 2 };
struct Query {
  Consistency consistency = Consistency::kLinearizable;
  QueryTable table = QueryTable::kTopics;
  std::optional<std::string_view> key{};  // one row; absent: a page
  std::string_view scope{};
  std::string_view prefix{};
  std::string_view after{};
  std::uint32_t limit = 100;
  std::uint64_t max_age_us = 0;  // stale only; 0: however old
};
struct QueryRow {
  std::string_view key{};  // pass the last one as `after`
  ByteView value{};        // row.h
};
struct QueryReply {
  std::vector<QueryRow> rows{};
  std::optional<std::string_view> next{};
  LogIndex applied_index{};
  // The rows show everything that was acknowledged so long before the answer, or longer.
  std::uint64_t age_us = 0;
  bool age_known = false;
};

// ---- events
struct ReadEvents {
  Position from{};
  std::uint32_t limit = 0;
  bool follow = false;
  std::string_view stream_prefix{};
  Consistency consistency = Consistency::kLinearizable;
};
struct LoggedEvent {
  Position position{};
  Term term{};
  std::int64_t time_us = 0;
  ByteView event{};  // event.h
};
struct EventsReply {
  std::vector<LoggedEvent> events{};
  Position next{};
  bool end = false;
};

// ---- snapshots (always of the node asked)
struct ListSnapshots {
  bool create = false;  // make one of the state as it is now, and then list
};
struct SnapshotInfo {
  LogIndex index{};  // of the last entry that it includes
  Term term{};
  std::int64_t created_us = 0;
  std::uint64_t bytes = 0;
  std::uint32_t files = 0;
  std::uint64_t rows = 0;
  NodeId node{};  // who made it
};
struct SnapshotsReply {
  NodeId node{};
  LogIndex first{};   // the log begins here
  bool made = false;  // the last one was made for this request
  std::vector<SnapshotInfo> snapshots{};
};

// ---- status (the request is an empty kStatus frame; always answered from the node asked)
// What the comparison of digests has found about a node's rows.
enum class RowsVerdict : std::uint8_t {
  kUnknown = 0,    // not compared yet, or not since they were exchanged for a snapshot
  kEqual = 1,      // those of a majority of the voters
  kDifferent = 2,  // a majority has others
  kDisputed = 3,   // no majority has the same
};
struct MemberStatus {
  NodeId id{};
  std::string_view raft_address{};
  std::string_view api_address{};
  bool voter = true;
  bool leader = false;
  bool healthy = false;
  LogIndex match{};
  bool known = false;         // `healthy` and `match` are known here (the leader knows)
  bool incoming = false;      // votes, and will when a joint change is left
  bool outgoing = false;      // votes until a joint change is left
  bool wants_vote = false;    // a non-voter that is promoted once it has caught up
  bool caught_up = false;     // no more than one message behind
  std::string_view report{};  // what it has told of itself, for a person
  RowsVerdict rows = RowsVerdict::kUnknown;  // the leader knows all, others their own
};
struct ProjectionStatus {
  std::string_view name{};
  std::uint32_t version = 0;
  std::uint64_t rows = 0;
  std::uint64_t digest_low = 0;
  std::uint64_t digest_high = 0;
};
struct Counter {
  std::string_view name{};
  std::uint64_t value = 0;
};
struct StatusReply {
  ClusterId cluster{};
  std::string_view cluster_name{};
  NodeId node{};
  std::string_view version{};
  std::string_view role{};  // "leader", "follower", "candidate", "learner", "removed"
  NodeId leader{};
  Term term{};
  LogIndex commit{};
  LogIndex applied{};
  LogIndex last{};
  LogIndex first{};
  std::vector<MemberStatus> members{};
  std::vector<ProjectionStatus> projections{};
  std::uint64_t uptime_us = 0;
  std::uint64_t resident_bytes = 0;
  LogIndex membership_index{};
  bool membership_committed = false;
  bool joint = false;
  bool auto_leave = false;
  std::uint64_t age_us = 0;  // as in QueryReply
  bool age_known = false;
  std::vector<Counter> counters{};
};

// ---- changing the cluster itself: answered by the leader, and safe to ask again
enum class MemberChangeKind : std::uint8_t {
  kAddVoter = 1,    // a member becomes a voter
  kAddLearner = 2,  // a member becomes a non-voter
  kRemove = 3,
  kUpdate = 4,  // new addresses; an empty one stays as it is
};
struct MemberChange {
  MemberChangeKind kind = MemberChangeKind::kAddVoter;
  NodeId id{};
  std::string_view raft_address{};
  std::string_view api_address{};
};
struct ChangeMembership {
  std::vector<MemberChange> changes{};  // none: leave the joint phase
  bool explicit_leave = false;          // enter the joint phase and stay there
  bool force = false;                   // although too few healthy voters would be left
};
struct ChangeMembershipReply {
  bool done = false;
  bool unchanged = false;  // nothing had to be done
  LogIndex index{};        // of the membership in effect
  bool joint = false;
  std::string_view waits_for{};  // not done: ask again
};
struct TransferLeadership {
  NodeId target{};  // none: the best one
  NodeId from{};    // who led when the client first asked; none: not known
};
struct TransferReply {
  bool done = false;
  NodeId leader{};
  Term term{};
  NodeId target{};
  std::string_view waits_for{};  // not done: ask again
};

// Encodes one body after another into its own storage, which the next call reuses; the result is
// valid until then. The body goes into a frame of the kind that fits the message.
class ClientEncoder {
 public:
  ClientEncoder();
  ~ClientEncoder();
  ClientEncoder(ClientEncoder&&) noexcept;
  ClientEncoder& operator=(ClientEncoder&&) noexcept;

  ByteView encode(const ClientHello& hello);
  ByteView encode(const ServerHello& hello);
  ByteView encode(const Command& command);  // head and FlatBuffers; `digest` is not used
  ByteView encode(const CommandReply& reply);
  ByteView encode(const ErrorReply& reply);
  ByteView encode(const Query& query);
  ByteView encode(const QueryReply& reply);
  ByteView encode(const ReadEvents& request);
  ByteView encode(const EventsReply& reply);
  ByteView encode(const StatusReply& reply);
  ByteView encode(const ListSnapshots& request);
  ByteView encode(const SnapshotsReply& reply);
  ByteView encode(const ChangeMembership& request);
  ByteView encode(const ChangeMembershipReply& reply);
  ByteView encode(const TransferLeadership& request);
  ByteView encode(const TransferReply& reply);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Each verifies (FlatBuffers, message type, enum ranges, limits) before it reads.
// kInvalid says what is wrong and names the field; kUnsupported is a command that this build does
// not know.
Result<ClientHello> decode_client_hello(ByteView body);
Result<ServerHello> decode_server_hello(ByteView body);
Result<Command> decode_command(ByteView body);
Result<CommandReply> decode_command_reply(ByteView body);
Result<ErrorReply> decode_error_reply(ByteView body);
Result<Query> decode_query(ByteView body);
Result<QueryReply> decode_query_reply(ByteView body);
Result<ReadEvents> decode_read_events(ByteView body);
Result<EventsReply> decode_events_reply(ByteView body);
Result<StatusReply> decode_status_reply(ByteView body);
Result<ListSnapshots> decode_snapshots(ByteView body);
Result<SnapshotsReply> decode_snapshots_reply(ByteView body);
Result<ChangeMembership> decode_change_membership(ByteView body);
Result<ChangeMembershipReply> decode_change_membership_reply(ByteView body);
Result<TransferLeadership> decode_transfer_leadership(ByteView body);
Result<TransferReply> decode_transfer_reply(ByteView body);

}  // namespace bib::wire
