#include "cli/commands/requests.h"

#include <algorithm>

#include "cli/commands/cluster_view.h"
#include "wire/base/units.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;

constexpr std::uint32_t kPageSize = 1000;

// A reply that does not decode is the node's mistake, not one in the user's arguments.
tl::unexpected<wire::Error> bad_reply(const wire::Error& error) {
  return wire::fail(ErrorCode::kUnsupported, "the node's answer cannot be read: {}", error.message);
}

wire::Result<std::unique_ptr<Client>> reader(const Context& context) {
  return context.make_client(context.consistency != wire::Consistency::kStale);
}

void set_consistency(const Context& context, wire::Query& query) {
  query.consistency = context.consistency;
  if (context.max_age) {
    query.max_age_us = static_cast<std::uint64_t>(context.max_age->count()) * 1000;
  }
}

// Marks a stale answer, so that it is not taken for a new one.
void tell_age(const Context& context, const wire::QueryReply& reply) {
  if (context.consistency != wire::Consistency::kStale) return;
  const std::string age =
      reply.age_known
          ? fmt::format("at most {} old", wire::format_duration((reply.age_us + 999) / 1000))
          : "of unknown age";
  context.note(fmt::format("As of entry {}, {}.", reply.applied_index.value(), age));
}

}  // namespace

wire::Result<wire::CommandReply> send_command(const Context& context, const wire::CommandBody& body,
                                              std::optional<wire::Revision> expected_revision) {
  BIB_TRY(const auto client, context.make_client(true));
  const Completion completion = client->call(body, expected_revision);
  if (!completion.reply) return tl::unexpected(explained(context, completion.reply.error()));
  const auto reply = wire::decode_command_reply(completion.reply->body.view());
  if (!reply) return bad_reply(reply.error());
  return *reply;
}

wire::Status visit_rows(const Context& context, wire::Query query, std::uint64_t limit,
                        const RowVisitor& visit, bool* more) {
  BIB_TRY(const auto client, reader(context));
  set_consistency(context, query);
  std::string after;
  std::uint64_t seen = 0;
  for (;;) {
    query.limit = kPageSize;
    if (limit != 0) {
      query.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(kPageSize, limit - seen));
    }
    query.after = after;
    const Completion completion = client->call(query);
    if (!completion.reply) return tl::unexpected(explained(context, completion.reply.error()));
    const auto reply = wire::decode_query_reply(completion.reply->body.view());
    if (!reply) return bad_reply(reply.error());
    if (seen == 0) tell_age(context, *reply);
    for (const wire::QueryRow& row : reply->rows) BIB_TRY_VOID(visit(row));
    seen += reply->rows.size();
    const bool finished = !reply->next || reply->rows.empty();
    if (finished || (limit != 0 && seen >= limit)) {
      if (more != nullptr) *more = !finished;
      return {};
    }
    after = *reply->next;
  }
}

wire::Status visit_row(const Context& context, wire::Query query, const std::string& what,
                       const RowVisitor& visit) {
  BIB_TRY(const auto client, reader(context));
  set_consistency(context, query);
  const Completion completion = client->call(query);
  if (!completion.reply) return tl::unexpected(explained(context, completion.reply.error()));
  const auto reply = wire::decode_query_reply(completion.reply->body.view());
  if (!reply) return bad_reply(reply.error());
  tell_age(context, *reply);
  if (reply->rows.empty()) return wire::fail(ErrorCode::kNotFound, "{} does not exist", what);
  return visit(reply->rows.front());
}

ExitCode emit_change(const Context& context, std::string_view what,
                     const wire::Result<wire::CommandReply>& reply) {
  if (!reply) return context.report(reply.error());
  const Json data = {{"revision", reply->revision.value()},
                     {"position", wire::to_string(reply->position)},
                     {"unchanged", reply->unchanged}};
  std::string text =
      reply->unchanged
          ? fmt::format("{}: unchanged (revision {})\n", printable(what), reply->revision.value())
          : fmt::format("{} (revision {}, position {})\n", printable(what), reply->revision.value(),
                        wire::to_string(reply->position));
  context.emit(data, text);
  return ExitCode::kOk;
}

}  // namespace bib::cli
