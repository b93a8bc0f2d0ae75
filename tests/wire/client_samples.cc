#include "client_samples.h"

namespace bib::wire {
namespace {

std::vector<CommandBody> bodies() {
  using namespace std::string_view_literals;
  return {
      CreateTopic{.path = "physics/cern",
                  .description = "Collisions",
                  .schema = "{}",
                  .owners = {"alice", "bob"},
                  .tags = {"open", ""},
                  .parents = true,
                  .may_exist = true},
      CreateTopic{.path = "a"},
      UpdateTopic{.path = "physics/cern",
                  .description = "Collisions",
                  .schema = "{}",
                  .owners = TextList{"alice"},
                  .tags = TextList{"open"}},
      UpdateTopic{.path = "physics/cern",
                  .description = "",
                  .schema = "",
                  .owners = TextList{},
                  .tags = TextList{}},
      UpdateTopic{.path = "a"},
      SetTopicStatus{.path = "physics/cern", .status = TopicStatus::kArchived},
      SetTopicStatus{.path = "a"},
      AddDatasetVersion{sample_dataset_version()},
      AddDatasetVersion{{.topic = "a", .dataset = "b", .version = "1"}},
      SetConfig{.key = "limits/upload", .value = "with\na line break and a \0 zero"sv},
      SetConfig{.key = "k"},
      UnsetConfig{.key = "limits/upload"},
      UnsetConfig{.key = "k"},
      IssueJoinToken{.secret_sha256 = sample_secret(), .expires_at_us = -5},
      IssueJoinToken{.secret_sha256 = sample_secret()},
      RegisterTask{
          .name = "resample", .version = "2.1", .definition = "{}", .description = "Resamples"},
      RegisterTask{.name = "t", .version = "1"},
      SubmitJob{.id = "job-1", .task = "resample", .task_version = "2.1", .parameters = "{}"},
      SubmitJob{.id = "j", .task = "t"},
      SetJobState{.id = "job-1", .state = JobState::kCancelled, .message = "enough"},
      SetJobState{.id = "j"},
  };
}

ClusterId sample_cluster() {
  return ClusterId{sample_client(0xc0).bytes};
}

}  // namespace

std::vector<ClientHello> client_hellos() {
  return {{.protocol = 3, .client = sample_client(7), .program = "bib 0.1.0"},
          {.protocol = 0, .client = sample_client(7)}};
}

std::vector<ServerHello> server_hellos() {
  return {{.protocol = 1,
           .version = "0.1.0",
           .node = NodeId(11),
           .cluster = sample_cluster(),
           .cluster_name = "papers",
           .leader = NodeId(12),
           .leader_api_address = "10.0.0.2:7411",
           .members = {{.id = NodeId(11),
                        .raft_address = "10.0.0.1:7410",
                        .api_address = "10.0.0.1:7411",
                        .voter = true},
                       {.id = NodeId(12), .voter = false}},
           .term = Term(17)},
          {.protocol = 0}};
}

std::vector<Command> commands() {
  std::vector<Command> list;
  for (CommandBody& body : bodies()) {
    const std::uint64_t number = list.size() + 1;
    list.push_back({.client = sample_client(9),
                    .sequence = RequestSequence(number),
                    .acknowledged_below = RequestSequence(number / 2),
                    .body = std::move(body)});
    if (number % 2 == 0) list.back().expected_revision = Revision(number - 2);
  }
  return list;
}

std::vector<CommandReply> command_replies() {
  return {{.position = {.index = LogIndex(77), .offset = 3},
           .revision = Revision(5),
           .unchanged = true,
           .replayed = true},
          {}};
}

std::vector<ErrorReply> error_replies() {
  return {{.code = ErrorCode::kNotLeader,
           .message = "this node is not the leader; ask 10.0.0.2:7411",
           .leader = NodeId(12),
           .leader_api_address = "10.0.0.2:7411",
           .current_revision = Revision(4)},
          {.code = static_cast<ErrorCode>(200)}};
}

std::vector<Query> queries() {
  using namespace std::string_view_literals;
  return {{.consistency = Consistency::kStale,
           .table = QueryTable::kJobs,
           .key = "k\0v"sv,
           .scope = "t\0d"sv,
           .prefix = "p",
           .after = "a",
           .limit = kQueryLimitMax,
           .max_age_us = 5'000'000},
          {.table = QueryTable::kTopics, .key = "", .limit = 0},
          {.consistency = Consistency::kLeader, .table = QueryTable::kVersions, .limit = 1}};
}

std::vector<QueryReply> query_replies() {
  static constexpr std::array<std::uint8_t, 13> value = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  return {{.rows = {{.key = "a", .value = value},
                    {.key = "ab", .value = ByteView(value).first(1)},
                    {.key = "abc", .value = value}},
           .next = "abc",
           .applied_index = LogIndex(99),
           .age_us = 17,
           .age_known = true},
          {}};
}

std::vector<ReadEvents> read_events_requests() {
  return {{.from = {.index = LogIndex(5), .offset = 2},
           .limit = 10,
           .follow = true,
           .stream_prefix = "topic/",
           .consistency = Consistency::kStale},
          {}};
}

std::vector<EventsReply> events_replies() {
  static constexpr std::array<std::uint8_t, 9> event = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  return {{.events = {{.position = {.index = LogIndex(5), .offset = 2},
                       .term = Term(3),
                       .time_us = 17,
                       .event = event},
                      {.position = {.index = LogIndex(6), .offset = 0},
                       .term = Term(3),
                       .time_us = -1,
                       .event = ByteView(event).first(1)}},
           .next = {.index = LogIndex(6), .offset = 1},
           .end = true},
          {}};
}

std::vector<ListSnapshots> snapshots_requests() {
  return {{.create = true}, {}};
}

std::vector<SnapshotsReply> snapshots_replies() {
  return {{.node = NodeId(11),
           .first = LogIndex(50),
           .made = true,
           .snapshots = {{.index = LogIndex(90),
                          .term = Term(3),
                          .created_us = 1'700'000'000'000'000,
                          .bytes = 1U << 20,
                          .files = 7,
                          .rows = 1000,
                          .node = NodeId(12)},
                         {.index = LogIndex(100), .term = Term(4)}}},
          {}};
}

std::vector<StatusReply> status_replies() {
  return {{.cluster = sample_cluster(),
           .cluster_name = "papers",
           .node = NodeId(11),
           .version = "0.1.0",
           .role = "leader",
           .leader = NodeId(11),
           .term = Term(4),
           .commit = LogIndex(100),
           .applied = LogIndex(99),
           .last = LogIndex(101),
           .first = LogIndex(50),
           .members = {{.id = NodeId(11),
                        .raft_address = "10.0.0.1:7410",
                        .api_address = "10.0.0.1:7411",
                        .voter = true,
                        .leader = true,
                        .healthy = true,
                        .match = LogIndex(101),
                        .known = true,
                        .incoming = true,
                        .outgoing = true,
                        .wants_vote = true,
                        .caught_up = true,
                        .report = "it has lost its way",
                        .rows = RowsVerdict::kDifferent},
                       {.id = NodeId(12), .voter = false}},
           .projections = {{.name = "topics",
                            .version = 1,
                            .rows = 12,
                            .digest_low = 0xffffffffffffffffULL,
                            .digest_high = 1}},
           .uptime_us = 5'000'000,
           .resident_bytes = 1U << 26,
           .membership_index = LogIndex(90),
           .membership_committed = true,
           .joint = true,
           .auto_leave = true,
           .age_us = 3,
           .age_known = true,
           .counters = {{.name = "peer.dropped.boot", .value = 4}, {.name = "x"}}},
          {}};
}

std::vector<ChangeMembership> change_membership_requests() {
  return {{.changes = {{.kind = MemberChangeKind::kUpdate,
                        .id = NodeId(11),
                        .raft_address = "10.0.0.1:7410",
                        .api_address = "10.0.0.1:7411"},
                       {.kind = MemberChangeKind::kRemove, .id = NodeId(12)}},
           .explicit_leave = true,
           .force = true},
          {}};
}

std::vector<ChangeMembershipReply> change_membership_replies() {
  return {{.done = true,
           .unchanged = true,
           .index = LogIndex(7),
           .joint = true,
           .waits_for = "a majority of the voters"},
          {}};
}

std::vector<TransferLeadership> transfer_requests() {
  return {{.target = NodeId(11), .from = NodeId(12)}, {}};
}

std::vector<TransferReply> transfer_replies() {
  return {{.done = true,
           .leader = NodeId(11),
           .term = Term(3),
           .target = NodeId(11),
           .waits_for = "the target's election"},
          {}};
}

}  // namespace bib::wire
