// bib cluster member list | remove | promote | demote | replace | update | change | leave-joint,
// and bib cluster transfer.
//
// A change is a request to the leader that names the wanted state. The leader answers within a
// second, either "done" or with what it waits for; the same request is then sent again until it is
// done or --timeout is over. So it does not matter who leads meanwhile.
#include <poll.h>

#include "cli/commands/bib_command.h"
#include "cli/commands/cluster_view.h"
#include "cli/commands/member_names.h"
#include "wire/base/units.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;
using wire::MemberChangeKind;
using wire::NodeId;

constexpr int kPauseMs = 20;  // a node answers "not done" after about a second by itself

struct MemberOptions {
  std::vector<std::string> ids;
  std::string id;
  std::string with;
  std::string raft_address;
  std::string api_address;
  std::vector<std::string> add_voters;
  std::vector<std::string> demote;
  std::vector<std::string> remove;
  std::string leave = "automatic";
  bool force = false;
};

// ---- asking

struct Asked {
  wire::ChangeMembershipReply reply;  // its text is not kept
  bool changed = false;
};

// Both kinds of request are asked again until they are done.
template <typename Request, typename Decode, typename Visit>
wire::Status ask_until_done(const Context& context, const Request& request, const Decode& decode,
                            const Visit& visit) {
  BIB_TRY(const auto client, context.make_client(true));
  const Clock::time_point deadline = Clock::now() + context.timeout;
  std::string told;
  for (;;) {
    const Completion completion = client->call(request);
    if (!completion.reply) return tl::unexpected(completion.reply.error());
    const auto reply = decode(completion.reply->body.view());
    if (!reply) {
      return wire::fail(ErrorCode::kUnsupported, "the node's answer cannot be read: {}",
                        reply.error().message);
    }
    if (visit(*reply)) return {};
    std::string waits_for(reply->waits_for);
    if (Clock::now() >= deadline) {
      return wire::fail(
          ErrorCode::kTimeout,
          "not done within {}; it waits for {}. What was started continues by itself: "
          "see `bib cluster member list`, or ask again with more --timeout",
          wire::format_duration(static_cast<std::uint64_t>(context.timeout.count())), waits_for);
    }
    if (waits_for != told) context.note("waiting for " + printable(waits_for));
    told = std::move(waits_for);
    ::poll(nullptr, 0, kPauseMs);
  }
}

wire::Result<Asked> ask_change(const Context& context, const wire::ChangeMembership& request) {
  Asked asked;
  unsigned tries = 0;
  BIB_TRY_VOID(ask_until_done(context, request, wire::decode_change_membership_reply,
                              [&](const wire::ChangeMembershipReply& reply) {
                                asked.reply = reply;
                                asked.reply.waits_for = {};
                                asked.changed = !reply.unchanged || tries++ > 0;
                                return reply.done;
                              }));
  return asked;
}

// ---- printing

Json list_json(const ClusterView& view) {
  return {{"members", members_json(view)},
          {"membership_index", view.membership_index.value()},
          {"committed", view.membership_committed},
          {"joint", view.joint},
          {"leave", leave_json(view)}};
}

ExitCode list_members(const Context& context) {
  const auto view = fetch_cluster_view(context);
  if (!view) return context.report(view.error());
  std::string text = members_text(*view);
  if (!view->membership_committed) {
    text += fmt::format("\nThe change in entry {} is not committed yet.\n",
                        view->membership_index.value());
  }
  if (view->joint) text += '\n' + joint_text(*view);
  context.emit(list_json(*view), text);
  return ExitCode::kOk;
}

ExitCode emit_members_change(const Context& context, std::string_view what,
                             const wire::Result<Asked>& asked) {
  if (!asked) return context.report(explained(context, asked.error()));
  const std::uint64_t index = asked->reply.index.value();
  const Json data = {
      {"changed", asked->changed}, {"membership_index", index}, {"joint", asked->reply.joint}};
  std::string text = asked->changed ? fmt::format("{} (entry {})\n", what, index)
                                    : fmt::format("{}: nothing to change\n", what);
  if (asked->reply.joint) text += "The joint phase lasts until `bib cluster member leave-joint`.\n";
  context.emit(data, text);
  return ExitCode::kOk;
}

// ---- changes

// The named changes in the order of the command line, once their ids are known.
class Wanted {
 public:
  explicit Wanted(const ClusterView& view) : view_(view) {}

  wire::Status add(MemberChangeKind kind, const std::string& text) {
    BIB_TRY(const NodeId id, find_member(view_.members, text));
    request.changes.push_back({.kind = kind, .id = id});
    return {};
  }
  wire::Status add(MemberChangeKind kind, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) BIB_TRY_VOID(add(kind, text));
    return {};
  }
  std::string names() const {
    std::vector<std::string> ids;
    for (const wire::MemberChange& change : request.changes) {
      ids.push_back(wire::to_string(change.id));
    }
    return fmt::format("{}", fmt::join(ids, ", "));
  }

  wire::ChangeMembership request;

 private:
  const ClusterView& view_;
};

// `fill` says what is wanted; `what` begins the sentence that tells of it.
template <typename Fill>
ExitCode change(const Context& context, const MemberOptions& options, std::string_view what,
                const Fill& fill) {
  const auto view = fetch_cluster_view(context);
  if (!view) return context.report(view.error());
  Wanted wanted(*view);
  wanted.request.force = options.force;
  if (const auto filled = fill(wanted); !filled) return context.report(filled.error());
  return emit_members_change(context, fmt::format("{} {}", what, wanted.names()),
                             ask_change(context, wanted.request));
}

ExitCode change_one_kind(const Context& context, const MemberOptions& options,
                         std::string_view what, MemberChangeKind kind) {
  return change(context, options, what,
                [&](Wanted& wanted) { return wanted.add(kind, options.ids); });
}

ExitCode replace(const Context& context, const MemberOptions& options) {
  return change(context, options, "Replaced", [&](Wanted& wanted) -> wire::Status {
    BIB_TRY_VOID(wanted.add(MemberChangeKind::kRemove, options.id));
    return wanted.add(MemberChangeKind::kAddVoter, options.with);
  });
}

ExitCode update(const Context& context, const MemberOptions& options) {
  if (options.raft_address.empty() && options.api_address.empty()) {
    return context.report(ExitCode::kUsage, "nothing to update: give --address or --api-address");
  }
  return change(context, options, "Updated", [&](Wanted& wanted) -> wire::Status {
    BIB_TRY_VOID(wanted.add(MemberChangeKind::kUpdate, options.id));
    wanted.request.changes.back().raft_address = options.raft_address;
    wanted.request.changes.back().api_address = options.api_address;
    return {};
  });
}

ExitCode change_several(const Context& context, const MemberOptions& options) {
  if (options.add_voters.empty() && options.demote.empty() && options.remove.empty()) {
    return context.report(ExitCode::kUsage,
                          "nothing to change: give --add-voter, --demote or --remove");
  }
  return change(context, options, "Changed", [&](Wanted& wanted) -> wire::Status {
    wanted.request.explicit_leave = options.leave == "explicit";
    BIB_TRY_VOID(wanted.add(MemberChangeKind::kAddVoter, options.add_voters));
    BIB_TRY_VOID(wanted.add(MemberChangeKind::kAddLearner, options.demote));
    return wanted.add(MemberChangeKind::kRemove, options.remove);
  });
}

ExitCode leave_joint(const Context& context) {
  return emit_members_change(context, "Left the joint phase", ask_change(context, {}));
}

// ---- leadership

ExitCode transfer(const Context& context, const MemberOptions& options) {
  const auto view = fetch_cluster_view(context);
  if (!view) return context.report(view.error());
  wire::TransferLeadership request;
  request.from = view->leader;
  if (!options.id.empty()) {
    const auto target = find_member(view->members, options.id);
    if (!target) return context.report(target.error());
    request.target = *target;
  }
  wire::TransferReply end;
  const auto status = ask_until_done(context, request, wire::decode_transfer_reply,
                                     [&](const wire::TransferReply& reply) {
                                       end = reply;
                                       end.waits_for = {};
                                       return reply.done;
                                     });
  if (!status) return context.report(explained(context, status.error()));
  const std::string leader = wire::to_string(end.leader);
  const bool changed = end.leader != view->leader;
  context.emit(
      {{"leader", leader},
       {"term", end.term.value()},
       {"from", view->leader == NodeId() ? Json(nullptr) : Json(wire::to_string(view->leader))},
       {"changed", changed}},
      changed ? fmt::format("{} leads now, in term {}\n", leader, end.term.value())
              : fmt::format("{} leads already, in term {}\n", leader, end.term.value()));
  return ExitCode::kOk;
}

void add_force(CLI::App& command, MemberOptions& options) {
  command.add_flag("--force", options.force,
                   "Although too few healthy voters, or one that has to catch up, would be left");
}

}  // namespace

void add_cluster_member_commands(Commands& commands, CLI::App& cluster) {
  auto& options = commands.keep<MemberOptions>();
  Context& context = commands.context();
  CLI::App* member = cluster.add_subcommand("member", "Who belongs to the cluster, and who votes");
  member->require_subcommand(1);
  CLI::App* list = member->add_subcommand("list", "The members and their part");
  commands.on(*list, [&] { return list_members(context); });

  struct Kind {
    const char* name;
    const char* help;
    const char* what;
    MemberChangeKind kind;
  };
  for (const Kind& kind :
       {Kind{"remove", "Take members out of the cluster, the leader too", "Removed",
             MemberChangeKind::kRemove},
        Kind{"promote", "Make non-voters voters once they have caught up", "Promoted",
             MemberChangeKind::kAddVoter},
        Kind{"demote", "Make voters non-voters", "Demoted", MemberChangeKind::kAddLearner}}) {
    CLI::App* command = member->add_subcommand(kind.name, kind.help);
    command->add_option("ID", options.ids, "Ids, or their beginnings")->required();
    add_force(*command, options);
    commands.on(*command, [&context, &options, kind] {
      return change_one_kind(context, options, kind.what, kind.kind);
    });
  }

  CLI::App* replace_command = member->add_subcommand("replace", "Replace a voter in one step");
  replace_command->add_option("OLD", options.id, "The member that goes")->required();
  replace_command->add_option("NEW", options.with, "The non-voter that takes its place")
      ->required();
  add_force(*replace_command, options);
  commands.on(*replace_command, [&] { return replace(context, options); });

  CLI::App* update_command = member->add_subcommand("update", "New addresses of a member");
  update_command->add_option("ID", options.id, "Its id, or the beginning")->required();
  update_command->add_option("--address", options.raft_address, "Where other nodes reach it")
      ->type_name("HOST:PORT");
  update_command->add_option("--api-address", options.api_address, "Where clients reach it")
      ->type_name("HOST:PORT");
  commands.on(*update_command, [&] { return update(context, options); });

  CLI::App* several = member->add_subcommand("change", "Several changes in one step");
  several->add_option("--add-voter", options.add_voters, "Non-voters to promote")->type_name("ID");
  several->add_option("--demote", options.demote, "Voters to demote to non-voters")
      ->type_name("ID");
  several->add_option("--remove", options.remove, "Members to remove")->type_name("ID");
  several
      ->add_option("--leave", options.leave, "How the joint phase is left: automatic or explicit")
      ->check(CLI::IsMember({"automatic", "explicit"}));
  add_force(*several, options);
  commands.on(*several, [&] { return change_several(context, options); });

  CLI::App* leave = member->add_subcommand("leave-joint", "End a joint phase that was to stay");
  commands.on(*leave, [&] { return leave_joint(context); });

  CLI::App* transfer_command =
      cluster.add_subcommand("transfer", "Hand the leadership to another voter");
  transfer_command->add_option("ID", options.id, "To whom; the best one if not given");
  commands.on(*transfer_command, [&] { return transfer(context, options); });
}

}  // namespace bib::cli
