// Requests: what commands ask of a cluster, as one call each.
//
// Functions over a Context; each makes its own connection and blocks until the answer or the
// timeout. Rows are views into the reply and live for the length of the callback.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/commands/context.h"
#include "wire/client/client_message.h"
#include "wire/model/row.h"

namespace bib::cli {

wire::Result<wire::CommandReply> send_command(
    const Context& context, const wire::CommandBody& body,
    std::optional<wire::Revision> expected_revision = std::nullopt);

// Fetches at most `limit` rows in order of key; 0: all. Sets `more` when rows were left out.
using RowVisitor = std::function<wire::Status(const wire::QueryRow&)>;
wire::Status visit_rows(const Context& context, wire::Query query, std::uint64_t limit,
                        const RowVisitor& visit, bool* more = nullptr);
// The one row under query.key; kNotFound says that `what` does not exist.
wire::Status visit_row(const Context& context, wire::Query query, const std::string& what,
                       const RowVisitor& visit);

// visit_rows with rows of one type.
template <typename T, typename Visit>
wire::Status visit_rows_as(const Context& context, const wire::Query& query, std::uint64_t limit,
                           const Visit& visit, bool* more = nullptr) {
  return visit_rows(
      context, query, limit,
      [&](const wire::QueryRow& row) -> wire::Status {
        BIB_TRY(T typed, wire::read_row_as<T>(row.value));
        visit(typed);
        return {};
      },
      more);
}
template <typename T, typename Visit>
wire::Status visit_row_as(const Context& context, const wire::Query& query, const std::string& what,
                          const Visit& visit) {
  return visit_row(context, query, what, [&](const wire::QueryRow& row) -> wire::Status {
    BIB_TRY(T typed, wire::read_row_as<T>(row.value));
    visit(typed);
    return {};
  });
}

// What changed, for people and machines: {"revision": 3, "position": "12:0", "unchanged": false}.
ExitCode emit_change(const Context& context, std::string_view what,
                     const wire::Result<wire::CommandReply>& reply);

}  // namespace bib::cli
