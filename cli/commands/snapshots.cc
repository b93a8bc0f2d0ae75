// bib snapshot create | list: the snapshots of the node that is asked.
#include "cli/client/client.h"
#include "cli/commands/bib_command.h"
#include "wire/base/time_text.h"

namespace bib::cli {
namespace {

Json to_json(const wire::SnapshotInfo& info) {
  return {{"name", fmt::format("{}-{}", info.index.value(), info.term.value())},
          {"index", info.index.value()},
          {"term", info.term.value()},
          {"created", wire::format_time(info.created_us)},
          {"rows", info.rows},
          {"files", info.files},
          {"bytes", info.bytes},
          {"made_by", wire::to_string(info.node)}};
}

wire::Result<wire::Frame> ask(const Context& context, const wire::ListSnapshots& request) {
  BIB_TRY(const auto client, context.make_client(false));
  return client->call(request).reply;
}

ExitCode list(const Context& context) {
  const auto frame = ask(context, {.create = false});
  if (!frame) return context.report(frame.error());
  const auto reply = wire::decode_snapshots_reply(frame->body.view());
  if (!reply) return context.report(reply.error());
  Json snapshots = Json::array();
  Table table({"SNAPSHOT", "CREATED", "ROWS", "FILES", "BYTES", "MADE BY"});
  for (const std::size_t column : {2U, 3U, 4U}) table.align_right(column);
  for (const wire::SnapshotInfo& info : reply->snapshots) {
    snapshots.push_back(to_json(info));
    table.add({fmt::format("{}-{}", info.index.value(), info.term.value()),
               wire::format_time(info.created_us), std::to_string(info.rows),
               std::to_string(info.files), std::to_string(info.bytes), wire::to_string(info.node)});
  }
  context.emit({{"node", wire::to_string(reply->node)},
                {"log_begins_at", reply->first.value()},
                {"snapshots", std::move(snapshots)}},
               table.render());
  if (context.format == OutputFormat::kTable) {
    context.note(fmt::format("On node {}, whose log begins at entry {}.",
                             wire::to_string(reply->node), reply->first.value()));
  }
  return ExitCode::kOk;
}

ExitCode create(const Context& context) {
  const auto frame = ask(context, {.create = true});
  if (!frame) return context.report(frame.error());
  const auto reply = wire::decode_snapshots_reply(frame->body.view());
  if (!reply) return context.report(reply.error());
  if (reply->snapshots.empty()) {
    return context.report(ExitCode::kGeneral, "the node made a snapshot and does not list it");
  }
  const wire::SnapshotInfo& newest = reply->snapshots.back();
  Json json = to_json(newest);
  json["node"] = wire::to_string(reply->node);
  json["unchanged"] = !reply->made;
  context.emit(json, reply->made
                         ? fmt::format("Snapshot {}-{} on node {}: {} rows, {} bytes\n",
                                       newest.index.value(), newest.term.value(),
                                       wire::to_string(reply->node), newest.rows, newest.bytes)
                         : fmt::format("Unchanged: snapshot {}-{} on node {} is of the "
                                       "state as it is now\n",
                                       newest.index.value(), newest.term.value(),
                                       wire::to_string(reply->node)));
  return ExitCode::kOk;
}

}  // namespace

void add_snapshot_commands(Commands& commands) {
  Context& context = commands.context();
  CLI::App* snapshot =
      commands.app().add_subcommand("snapshot", "Snapshots of the state, on the node asked");
  snapshot->require_subcommand(1);
  CLI::App* create_command =
      snapshot->add_subcommand("create", "Make one of the state as it is now");
  commands.on(*create_command, [&] { return create(context); });
  CLI::App* list_command = snapshot->add_subcommand("list", "The snapshots that the node has");
  commands.on(*list_command, [&] { return list(context); });
}

}  // namespace bib::cli
