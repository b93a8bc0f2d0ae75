// Rules that several projections share: names, revisions, and the refusals that name them.
// Pure functions.
#pragma once

#include <optional>
#include <string_view>

#include "projections/rules/projection.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::projections {

inline constexpr std::size_t kTopicDepthMax = 16;

// A name: 1 to wire::kNameSizeMax bytes of UTF-8 without control characters. `what` is the noun in
// the message, "a dataset's name".
wire::Status check_name(std::string_view name, std::string_view what);
// A topic's path: names separated by '/', none of them empty, at most kTopicDepthMax of them.
wire::Status check_topic_path(std::string_view path);
// "a/b" of "a/b/c"; empty for a path of one name.
std::string_view parent_path(std::string_view path);

// kRevisionConflict unless the stream is at the revision that the command expects.
std::optional<Refusal> check_revision(std::optional<wire::Revision> expected,
                                      wire::Revision current, std::string_view stream);

Refusal refuse(wire::Error error, wire::Revision current = wire::Revision());
template <typename... Args>
Refusal refuse(wire::ErrorCode code, wire::Revision current, fmt::format_string<Args...> format,
               Args&&... args) {
  return refuse(wire::Error{code, fmt::format(format, std::forward<Args>(args)...)}, current);
}

// The typed row, or nullopt where there is none. Its views live as long as the draft, or `holder`.
template <typename T>
wire::Result<std::optional<T>> find_row(const RowReader& state, Family family, std::string_view key,
                                        RowPtr& holder) {
  BIB_TRY(holder, state.find(family, key));
  if (!holder) return std::optional<T>();
  BIB_TRY(T row, wire::read_row_as<T>(holder->value()));
  return std::optional<T>(std::move(row));
}

}  // namespace bib::projections
