// bib cluster status | token create. The members' commands are in cluster_members.cc.
#include <poll.h>

#include <algorithm>

#include "cli/commands/bib_command.h"
#include "cli/commands/cluster_view.h"
#include "cli/commands/requests.h"
#include "cli/config/cluster_token.h"
#include "wire/base/time_text.h"
#include "wire/base/units.h"

namespace bib::cli {
namespace {

struct ClusterOptions {
  bool digests = false;
  std::string expires = "24h";
};

// One member's projections, or why it could not be asked.
struct MemberDigests {
  MemberView member;
  wire::Result<ClusterView> view;
};

// The member's own view: another node that answers at its address proves nothing about it.
wire::Result<ClusterView> fetch_member_view(const Context& context, const MemberView& member) {
  BIB_TRY(const ServerAddress address, parse_server_address(member.api_address));
  BIB_TRY(ClusterView view, fetch_node_view(context, address));
  if (view.node == member.id) return view;
  return wire::fail(wire::ErrorCode::kIo,
                    "could not be asked: node {} answers at its address for clients, {} (set "
                    "api.advertise_addr of each node to one that is reached from everywhere)",
                    wire::to_string(view.node), member.api_address);
}

// Members are asked one after another, and each has a share of what is left: one that hangs does
// not use up the others' time.
std::vector<MemberDigests> fetch_digests(const Context& context, const ClusterView& cluster,
                                         Clock::time_point deadline) {
  std::vector<MemberDigests> all;
  Context asking = context;
  for (const MemberView& member : cluster.members) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    const auto waiting = static_cast<std::int64_t>(cluster.members.size() - all.size());
    asking.timeout = std::max(left / waiting, std::chrono::milliseconds(1));
    all.push_back({member, fetch_member_view(asking, member)});
  }
  return all;
}

// Digests can be compared once all have answered and are at one index.
bool comparable(const std::vector<MemberDigests>& all) {
  return std::all_of(all.begin(), all.end(), [&](const MemberDigests& one) {
    return one.view && one.view->applied == all.front().view->applied;
  });
}

bool equal_digests(const std::vector<MemberDigests>& all) {
  const auto digest_of = [](const MemberDigests& one) {
    std::vector<std::string> digests;
    for (const ProjectionView& projection : one.view->projections) {
      digests.push_back(projection.name + '=' + projection.digest);
    }
    std::sort(digests.begin(), digests.end());
    return digests;
  };
  return std::all_of(all.begin(), all.end(), [&](const MemberDigests& one) {
    return digest_of(one) == digest_of(all.front());
  });
}

// Asks again until all members are at one index, because writes and the followers' applying
// continue meanwhile.
std::vector<MemberDigests> settle_digests(const Context& context, const ClusterView& cluster) {
  const Clock::time_point deadline = Clock::now() + context.timeout;
  for (;;) {
    std::vector<MemberDigests> all = fetch_digests(context, cluster, deadline);
    const bool all_answer = std::all_of(
        all.begin(), all.end(), [](const MemberDigests& one) { return one.view.has_value(); });
    if (comparable(all) || !all_answer || Clock::now() >= deadline) return all;
    ::poll(nullptr, 0, 20);
  }
}

std::string verdict_of(const std::vector<MemberDigests>& all) {
  if (all.empty() || !comparable(all)) {
    return "not comparable: the members are not at the same index";
  }
  const std::string index = std::to_string(all.front().view->applied.value());
  return equal_digests(all) ? "equal at index " + index : "DIFFERENT at index " + index;
}

ExitCode show_digests(const Context& context, const ClusterView& cluster) {
  const std::vector<MemberDigests> all = settle_digests(context, cluster);
  const std::string verdict = verdict_of(all);
  Json members = Json::array();
  Table table({"MEMBER", "APPLIED", "PROJECTION", "ROWS", "DIGEST"});
  table.align_right(1);
  table.align_right(3);
  for (const MemberDigests& one : all) {
    const std::string id = wire::to_string(one.member.id);
    if (!one.view) {
      table.add({id, "?", one.view.error().message});
      members.push_back({{"id", id}, {"error", one.view.error().message}});
      continue;
    }
    Json projections = Json::array();
    for (const ProjectionView& projection : one.view->projections) {
      table.add({id, std::to_string(one.view->applied.value()), projection.name,
                 std::to_string(projection.rows), projection.digest});
      projections.push_back({{"name", projection.name},
                             {"version", projection.version},
                             {"rows", projection.rows},
                             {"digest", projection.digest}});
    }
    members.push_back({{"id", id},
                       {"applied_index", one.view->applied.value()},
                       {"projections", std::move(projections)}});
  }
  const bool equal = comparable(all) && equal_digests(all);
  context.emit({{"members", std::move(members)}, {"equal", equal}, {"verdict", verdict}},
               table.render() + "\nDigests: " + verdict + "\n");
  return equal ? ExitCode::kOk : ExitCode::kGeneral;
}

ExitCode status(const Context& context, const ClusterOptions& options) {
  const auto view = fetch_cluster_view(context);
  if (!view) return context.report(view.error());
  if (options.digests) return show_digests(context, *view);
  context.emit(to_json(*view), to_text(*view));
  const Quorum quorum = judge(*view);
  if (quorum.has_quorum()) return ExitCode::kOk;
  return context.report(
      ExitCode::kNoLeader,
      view->leader.value() == 0 ? "the cluster has no leader; it accepts no writes"
      : quorum.known            ? "the cluster has no quorum; it accepts no writes"
                                : "the leader does not answer; a new one is elected if it is gone",
      "Start the missing members with `bibd`, and look again");
}

ExitCode create_token(const Context& context, const ClusterOptions& options) {
  const auto lifetime = wire::parse_duration(options.expires);
  if (!lifetime || *lifetime == 0) {
    return context.report(
        ExitCode::kUsage,
        fmt::format("--expires: {}", lifetime ? "must be above 0" : lifetime.error().message));
  }
  const auto view = fetch_cluster_view(context);
  if (!view) return context.report(view.error());
  const MemberView* leader = view->leader_member();
  if (leader == nullptr) {
    return context.report({wire::ErrorCode::kNoQuorum, "the cluster has no leader"});
  }
  const NewToken token = make_token(view->cluster_name, leader->raft_address, *lifetime);
  auto reply =
      send_command(context, wire::IssueJoinToken{token.secret_sha256, token.expires_at_us});
  if (!reply) return context.report(reply.error());
  context.emit({{"token", token.text},
                {"cluster_name", view->cluster_name},
                {"leader_addr", leader->raft_address},
                {"expires_at", wire::format_time(token.expires_at_us)}},
               token.text + "\n");
  if (context.format == OutputFormat::kTable) {
    context.note(
        fmt::format("It expires at {}. On the new node: bib setup --daemon "
                    "--cluster-join <token>",
                    wire::format_time(token.expires_at_us)));
  }
  return ExitCode::kOk;
}

}  // namespace

void add_cluster_commands(Commands& commands) {
  auto& options = commands.keep<ClusterOptions>();
  Context& context = commands.context();
  CLI::App* cluster = commands.app().add_subcommand("cluster", "The cluster's state and tokens");
  cluster->require_subcommand(1);

  CLI::App* status_command = cluster->add_subcommand(
      "status", "Members, leader, and how many failures the cluster tolerates");
  status_command->add_flag("--digests", options.digests,
                           "Compare the projections' digests on all members");
  commands.on(*status_command, [&] { return status(context, options); });

  add_cluster_member_commands(commands, *cluster);

  CLI::App* token = cluster->add_subcommand("token", "Tokens with which nodes join");
  token->require_subcommand(1);
  CLI::App* create_command = token->add_subcommand("create", "Print a new join token");
  create_command->add_option("--expires", options.expires, "How long it is valid (24h)")
      ->type_name("DURATION");
  commands.on(*create_command, [&] { return create_token(context, options); });
}

}  // namespace bib::cli
