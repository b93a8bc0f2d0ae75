// Rows: what projections keep in RocksDB and what queries return, in one encoding.
//
// Plain view structs, as in event.h: their text points into the row's bytes (reading) or into what
// the caller holds (writing). Times are microseconds since 1970-01-01 UTC.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/model/event.h"

namespace bib::wire {

struct TopicRow {
  std::string_view path{};
  std::string_view description{};
  std::string_view schema{};
  TextList owners{};
  TextList tags{};
  TopicStatus status = TopicStatus::kActive;
  Revision revision{};
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
  std::uint64_t datasets = 0;
};
struct DatasetRow {
  std::string_view topic{};
  std::string_view name{};
  std::string_view latest_version{};
  std::uint64_t versions = 0;
  Revision revision{};
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};
struct DatasetVersionRow {
  DatasetVersionAdded version{};
  std::int64_t added_us = 0;
  Position position{};
};
struct ConfigRow {
  std::string_view key{};
  std::string_view value{};
  Revision revision{};
  std::int64_t updated_us = 0;
};
struct TaskRow {
  std::string_view name{};
  std::string_view version{};
  std::string_view definition{};
  std::string_view description{};
  Revision revision{};
  std::int64_t registered_us = 0;
};
struct JobRow {
  std::string_view id{};
  std::string_view task{};
  std::string_view task_version{};
  std::string_view parameters{};
  JobState state = JobState::kSubmitted;
  std::string_view message{};
  Revision revision{};
  std::int64_t submitted_us = 0;
  std::int64_t updated_us = 0;
};

// The order is that of the schema's union.
using Row = std::variant<TopicRow, DatasetRow, DatasetVersionRow, ConfigRow, TaskRow, JobRow>;

// Encodes one row after another into its own storage, which the next call reuses.
class RowEncoder {
 public:
  RowEncoder();
  ~RowEncoder();
  RowEncoder(RowEncoder&&) noexcept;
  RowEncoder& operator=(RowEncoder&&) noexcept;

  // Valid until the next call.
  ByteView encode(const Row& row);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Verifies, then reads. kCorrupt on bytes that do not verify.
Result<Row> read_row(ByteView bytes);

// read_row for a known type; kCorrupt when the row is of another.
template <typename T>
Result<T> read_row_as(ByteView bytes) {
  BIB_TRY(Row row, read_row(bytes));
  if (auto* typed = std::get_if<T>(&row)) return std::move(*typed);
  return fail(ErrorCode::kCorrupt, "a row of another type than its place says");
}

}  // namespace bib::wire
