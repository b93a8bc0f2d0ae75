// Rules that several projections share: names, revisions, and the refusals that name them.
// Pure functions.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

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

Refusal refuse(wire::Error error, wire::Revision current = wire::Revision());
template <typename... Args>
Refusal refuse(wire::ErrorCode code, wire::Revision current, fmt::format_string<Args...> format,
               Args&&... args) {
  return refuse(wire::Error{code, fmt::format(format, std::forward<Args>(args)...)}, current);
}

// kRevisionConflict: the stream is at `current`, another revision than the command expects.
Refusal revision_conflict(wire::Revision expected, wire::Revision current, std::string_view stream);
// That refusal, unless the stream is at the revision that the command expects, if it expects one.
// `format` and `args` name the stream: "Job 'train'".
template <typename... Args>
std::optional<Refusal> check_revision(std::optional<wire::Revision> expected,
                                      wire::Revision current, fmt::format_string<Args...> format,
                                      Args&&... args) {
  if (!expected || *expected == current) return std::nullopt;
  return revision_conflict(*expected, current, fmt::format(format, std::forward<Args>(args)...));
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

// The stream that a command names, where it is one row: what it is now, and whether the command
// expects that.
template <typename T>
struct Stream {
  RowPtr holder;                    // of find_row()
  std::optional<T> row;             // nullopt: there is none
  wire::Revision revision;          // the row's; 0: there is none
  std::optional<Refusal> conflict;  // of check_revision(); where it is set, it is the ruling
};
template <typename T, typename... Args>
wire::Result<Stream<T>> find_stream(const DecideInput& input, Family family, std::string_view key,
                                    fmt::format_string<Args...> format, Args&&... args) {
  Stream<T> stream;
  BIB_TRY(stream.row, find_row<T>(input.state, family, key, stream.holder));
  if (stream.row) stream.revision = stream.row->revision;
  stream.conflict =
      check_revision(input.expected_revision, stream.revision, format, std::forward<Args>(args)...);
  return stream;
}

}  // namespace bib::projections
