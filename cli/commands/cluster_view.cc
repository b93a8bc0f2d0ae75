#include "cli/commands/cluster_view.h"

#include <algorithm>

#include "cli/print/units.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;

// Finding out more about the leader must not use up the user's patience.
constexpr std::chrono::milliseconds kLeaderTimeoutMax{2000};
constexpr std::chrono::milliseconds kExplainWithin{1000};

std::string digest_text(const wire::ProjectionStatus& projection) {
  return fmt::format("{:016x}{:016x}", projection.digest_high, projection.digest_low);
}

wire::Result<ClusterView> ask(Client& client) {
  const Completion completion = client.call_status();
  if (!completion.reply) return tl::unexpected(completion.reply.error());
  const auto reply = wire::decode_status_reply(completion.reply->body.view());
  if (!reply) {
    return wire::fail(ErrorCode::kUnsupported, "the node's status cannot be read: {}",
                      reply.error().message);
  }
  return to_view(*reply);
}

// A node that was removed shows the members as it last knew them; they know better.
ClusterView ask_members(const Context& context, ClusterView removed) {
  for (const MemberView& member : removed.members) {
    const auto address = parse_server_address(member.api_address);
    if (!address) continue;
    auto view = fetch_node_view(context, *address);
    if (view && view->role != "removed") return std::move(*view);
  }
  return removed;
}

std::string part_text(const ClusterView& view, const MemberView& member) {
  if (!view.joint) {
    if (member.voter) return "voter";
    return member.wants_vote ? "non-voter, to be promoted" : "non-voter";
  }
  if (member.incoming) return member.outgoing ? "voter" : "voter, joining";
  if (member.outgoing) return "voter, leaving";
  return "non-voter";
}

std::string role_text(const MemberView& member) {
  return member.leader ? "leader" : "follower";
}

Json rows_json(wire::RowsVerdict rows) {
  switch (rows) {
    case wire::RowsVerdict::kEqual:
      return "equal";
    case wire::RowsVerdict::kDifferent:
      return "different";
    case wire::RowsVerdict::kDisputed:
      return "disputed";
    case wire::RowsVerdict::kUnknown:
      break;
  }
  return nullptr;
}

bool rows_are_in_doubt(const MemberView& member) {
  return member.rows == wire::RowsVerdict::kDifferent ||
         member.rows == wire::RowsVerdict::kDisputed;
}

// What a majority has says who differs; without one it cannot be told.
std::string rows_text(const ClusterView& view) {
  std::string different;
  bool disputed = false;
  for (const MemberView& member : view.members) {
    if (member.rows == wire::RowsVerdict::kDifferent) {
      different += fmt::format("{}{}", different.empty() ? "" : ", ", wire::to_string(member.id));
    }
    disputed = disputed || member.rows == wire::RowsVerdict::kDisputed;
  }
  if (!different.empty()) {
    return fmt::format(
        "Rows: DIFFERENT from those of a majority on {}, which answers no reads: see `bib cluster "
        "status --digests`\n",
        different);
  }
  if (!disputed) return {};
  return "Rows: DISPUTED, no majority has the same: see `bib cluster status --digests`\n";
}

Json majority_json(const Quorum& quorum, const Majority& majority) {
  return {{"voters", majority.voters},
          {"needed", majority.needed},
          {"healthy", quorum.known ? Json(majority.healthy) : Json(nullptr)}};
}

Json quorum_json(const Quorum& quorum) {
  Json json = majority_json(quorum, quorum.voters);
  json["outgoing"] = quorum.outgoing ? majority_json(quorum, *quorum.outgoing) : Json(nullptr);
  json["has_quorum"] = quorum.known ? Json(quorum.has_quorum()) : Json(nullptr);
  json["tolerates"] = quorum.known ? Json(quorum.tolerates()) : Json(nullptr);
  return json;
}

std::string reached_text(const Quorum& quorum) {
  // Of the two halves of a joint phase the one that is short.
  const bool is_outgoing = quorum.outgoing && quorum.voters.is_there();
  const Majority& majority = is_outgoing ? *quorum.outgoing : quorum.voters;
  return fmt::format("the leader reaches {} of {} {}voters and needs {}", majority.healthy,
                     majority.voters, is_outgoing ? "outgoing " : "", majority.needed);
}

std::string health_text(const MemberView& member) {
  if (member.rows == wire::RowsVerdict::kDifferent) return "rows differ";
  if (!member.known) return "unknown";
  return member.healthy ? "healthy" : "unhealthy";
}

}  // namespace

const MemberView* ClusterView::leader_member() const {
  for (const MemberView& member : members) {
    if (leader.value() != 0 && member.id == leader) return &member;
  }
  return nullptr;
}

ClusterView to_view(const wire::StatusReply& reply) {
  ClusterView view;
  view.cluster_id = wire::to_string(reply.cluster);
  view.cluster_name = reply.cluster_name;
  view.node = reply.node;
  view.node_version = reply.version;
  view.role = reply.role;
  view.leader = reply.leader;
  view.term = reply.term;
  view.commit = reply.commit;
  view.applied = reply.applied;
  view.last = reply.last;
  view.first = reply.first;
  view.uptime_us = reply.uptime_us;
  view.resident_bytes = reply.resident_bytes;
  view.membership_index = reply.membership_index;
  view.membership_committed = reply.membership_committed;
  view.joint = reply.joint;
  view.auto_leave = reply.auto_leave;
  if (reply.age_known) view.age_us = reply.age_us;
  for (const wire::Counter& counter : reply.counters) {
    view.counters.emplace_back(counter.name, counter.value);
  }
  for (const wire::MemberStatus& member : reply.members) {
    MemberView& shown = view.members.emplace_back();
    shown.id = member.id;
    shown.raft_address = member.raft_address;
    shown.api_address = member.api_address;
    shown.voter = member.voter;
    shown.leader = reply.leader.value() != 0 && member.id == reply.leader;
    shown.known = member.known;
    shown.healthy = member.healthy;
    shown.behind = reply.last > member.match ? reply.last - member.match : 0;
    shown.incoming = member.incoming;
    shown.outgoing = member.outgoing;
    shown.wants_vote = member.wants_vote;
    shown.caught_up = member.caught_up;
    shown.report = printable(member.report);
    shown.rows = member.rows;
  }
  for (const wire::ProjectionStatus& projection : reply.projections) {
    view.projections.push_back({std::string(projection.name), projection.version, projection.rows,
                                digest_text(projection)});
  }
  return view;
}

Quorum judge(const ClusterView& view) {
  Quorum quorum;
  quorum.known = view.leader.value() != 0;
  if (view.joint) quorum.outgoing.emplace();
  const auto count = [](Majority& majority, const MemberView& member) {
    ++majority.voters;
    if (member.known && member.healthy) ++majority.healthy;
    majority.needed = majority.voters / 2 + 1;
  };
  for (const MemberView& member : view.members) {
    if (member.voter && !member.known) quorum.known = false;
    if (view.joint ? member.incoming : member.voter) count(quorum.voters, member);
    if (view.joint && member.outgoing) count(*quorum.outgoing, member);
  }
  return quorum;
}

std::string state_text(const ClusterView& view) {
  if (view.leader.value() == 0) return "no leader";
  const Quorum quorum = judge(view);
  if (!quorum.known) return "unknown (the leader does not answer)";
  if (!quorum.has_quorum()) return "no quorum";
  const bool all =
      std::all_of(view.members.begin(), view.members.end(), [](const MemberView& member) {
        return member.known && member.healthy && !rows_are_in_doubt(member);
      });
  return all ? "healthy" : "degraded";
}

std::string quorum_text(const Quorum& quorum) {
  const Majority& voters = quorum.voters;
  std::string text = fmt::format("Quorum: {}/{}", voters.needed, voters.voters);
  std::string healthy = fmt::format("{} of {}", voters.healthy, voters.voters);
  bool all = voters.healthy == voters.voters;
  if (quorum.outgoing) {
    const Majority& outgoing = *quorum.outgoing;
    text += fmt::format(" and {}/{} of the outgoing voters", outgoing.needed, outgoing.voters);
    healthy += fmt::format(" and {} of {} outgoing", outgoing.healthy, outgoing.voters);
    all = all && outgoing.healthy == outgoing.voters;
  }
  if (!quorum.known) return text + " (unknown: no leader says who is healthy)";
  if (!quorum.has_quorum()) return text + fmt::format(" (NO QUORUM: {} voters healthy)", healthy);
  const std::string verdict = all ? "healthy" : fmt::format("degraded: {} voters healthy", healthy);
  return text +
         fmt::format(" ({}), tolerates {}", verdict, counted(quorum.tolerates(), "more failure"));
}

Json leave_json(const ClusterView& view) {
  return view.joint ? Json(view.auto_leave ? "automatic" : "explicit") : Json(nullptr);
}

std::string joint_text(const ClusterView& view) {
  if (!view.joint) return {};
  return view.auto_leave
             ? "Joint phase: a change of members is under way; both majorities decide until it is "
               "complete.\n"
             : "Joint phase: both majorities decide until `bib cluster member leave-joint`.\n";
}

Json members_json(const ClusterView& view) {
  Json members = Json::array();
  for (const MemberView& member : view.members) {
    Json json = {{"id", wire::to_string(member.id)},
                 {"address", member.raft_address},
                 {"api_address", member.api_address},
                 {"part", part_text(view, member)},
                 {"voter", member.voter},
                 {"role", role_text(member)},
                 {"leader", member.leader},
                 {"healthy", nullptr},
                 {"behind", nullptr},
                 {"caught_up", nullptr},
                 {"rows", rows_json(member.rows)}};
    if (member.known) {
      json["healthy"] = member.healthy;
      json["behind"] = member.behind;
      json["caught_up"] = member.voter || member.caught_up;
    }
    json["report"] = member.report.empty() ? Json(nullptr) : Json(member.report);
    members.push_back(std::move(json));
  }
  return members;
}

std::string members_text(const ClusterView& view) {
  Table table({"MEMBER", "ADDRESS", "API", "PART", "ROLE", "HEALTH", "BEHIND"});
  table.align_right(6);
  for (const MemberView& member : view.members) {
    table.add({wire::to_string(member.id), member.raft_address, member.api_address,
               part_text(view, member), role_text(member), health_text(member),
               member.known ? std::to_string(member.behind) : "?"});
  }
  return table.render();
}

std::string reports_text(const ClusterView& view) {
  std::string text;
  for (const MemberView& member : view.members) {
    if (member.report.empty()) continue;
    text += fmt::format("{} reports: {}\n", wire::to_string(member.id), member.report);
  }
  return text.empty() ? text : text + '\n';
}

Json to_json(const ClusterView& view) {
  const Quorum quorum = judge(view);
  Json projections = Json::array();
  for (const ProjectionView& projection : view.projections) {
    projections.push_back({{"name", projection.name},
                           {"version", projection.version},
                           {"rows", projection.rows},
                           {"digest", projection.digest}});
  }
  Json counters = Json::object();
  for (const auto& [name, value] : view.counters) counters[name] = value;
  const Json leader = view.leader.value() == 0 ? Json(nullptr) : Json(wire::to_string(view.leader));
  return {{"cluster", view.cluster_name},
          {"cluster_id", view.cluster_id},
          {"state", state_text(view)},
          {"leader", leader},
          {"term", view.term.value()},
          {"commit_index", view.commit.value()},
          {"members", members_json(view)},
          {"joint", view.joint},
          {"leave", leave_json(view)},
          {"quorum", quorum_json(quorum)},
          {"node",
           {{"id", wire::to_string(view.node)},
            {"role", view.role},
            {"version", view.node_version},
            {"first_index", view.first.value()},
            {"last_index", view.last.value()},
            {"applied_index", view.applied.value()},
            {"uptime_seconds", view.uptime_us / 1000000},
            {"resident_bytes", view.resident_bytes},
            {"age_ms", view.age_us ? Json(*view.age_us / 1000) : Json(nullptr)},
            {"projections", std::move(projections)},
            {"counters", std::move(counters)}}}};
}

std::string to_text(const ClusterView& view) {
  const MemberView* leader = view.leader_member();
  std::string leader_text = "none";
  if (view.leader.value() != 0) {
    leader_text = fmt::format("{} ({})", wire::to_string(view.leader),
                              leader != nullptr ? leader->raft_address : "address unknown");
  }
  std::string text =
      render_fields({{"Cluster", fmt::format("{} ({})", view.cluster_name, view.cluster_id)},
                     {"State", state_text(view)},
                     {"Leader", leader_text},
                     {"Term", std::to_string(view.term.value())},
                     {"Commit index", std::to_string(view.commit.value())}});
  return text + '\n' + members_text(view) + '\n' + reports_text(view) + joint_text(view) +
         quorum_text(judge(view)) + '\n' + rows_text(view);
}

wire::Result<ClusterView> fetch_node_view(const Context& context, const ServerAddress& address) {
  ClientOptions options;
  options.servers = {address};
  options.timeout = std::min(context.timeout, kLeaderTimeoutMax);
  options.to_leader = false;
  Client client(std::move(options));
  return ask(client);
}

wire::Result<ClusterView> fetch_cluster_view(const Context& context) {
  BIB_TRY(const auto client, context.make_client(false));
  BIB_TRY(ClusterView view, ask(*client));
  if (view.role == "removed") view = ask_members(context, std::move(view));
  const MemberView* leader = view.leader_member();
  if (leader == nullptr || view.leader == view.node) return view;
  const auto address = parse_server_address(leader->api_address);
  if (!address) return view;
  auto from_leader = fetch_node_view(context, *address);
  return from_leader && from_leader->leader == from_leader->node ? std::move(*from_leader)
                                                                 : std::move(view);
}

wire::Error explained(const Context& context, wire::Error error) {
  if (error.code != ErrorCode::kTimeout) return error;
  Context asking = context;
  asking.timeout = std::min(asking.timeout, kExplainWithin);
  const auto view = fetch_cluster_view(asking);
  if (!view) return error;
  const Quorum quorum = judge(*view);
  if (quorum.known && quorum.has_quorum()) return error;
  const std::string why = quorum.known ? reached_text(quorum) : "no leader is known";
  return {ErrorCode::kNoQuorum,
          fmt::format("no quorum: {} (`bib cluster status`); {}", why, error.message)};
}

}  // namespace bib::cli
