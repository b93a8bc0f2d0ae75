#include "projections/apply/query.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "projections/state/keys.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;
using wire::Query;
using wire::QueryTable;
using wire::Result;

namespace {

// Keys of several names are NUL-separated; a person sees "a / b".
std::string readable(std::string_view key) {
  std::string text;
  for (const char c : key) {
    if (c == '\0') {
      text.append(" / ");
    } else {
      text.push_back(c);
    }
  }
  return text;
}

tl::unexpected<wire::Error> does_not_exist(QueryTable table, const std::string& name) {
  const wire::QueryTableWords& words = wire::words_of(table);
  return fail(ErrorCode::kNotFound, "{} '{}' does not exist. `{}` shows those that do.",
              words.thing, name, words.command);
}

// The bytes, or a copy in `scratch` when they do not begin at a multiple of eight, as row.h wants.
wire::ByteView aligned(wire::ByteView bytes, std::vector<std::uint64_t>& scratch) {
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0) return bytes;
  scratch.resize((bytes.size() + 7) / 8);
  std::memcpy(scratch.data(), bytes.data(), bytes.size());
  return {reinterpret_cast<const std::uint8_t*>(scratch.data()), bytes.size()};
}

// The topic or dataset that the query lists the contents of must exist.
wire::Status check_scope(const Query& query, const RowReader& state) {
  if (query.scope.empty()) return {};
  Family family = Family::kTopics;
  std::string key(query.scope);
  if (query.table == QueryTable::kVersions) {
    family = Family::kCatalog;
    key.insert(key.begin(), keys::kDatasetTag);
  } else if (query.table != QueryTable::kDatasets) {
    return {};
  }
  BIB_TRY(const RowPtr row, state.find(family, key));
  if (row) return {};
  return does_not_exist(family == Family::kTopics ? QueryTable::kTopics : QueryTable::kDatasets,
                        readable(query.scope));
}

}  // namespace

QueryResult::QueryResult(wire::LogIndex applied) {
  reply_.applied_index = applied;
}

std::string_view QueryResult::keep(std::string_view text) {
  bytes_ += text.size();
  return texts_.emplace_back(text);
}

void QueryResult::add(std::string_view key, wire::ByteView value) {
  const std::string_view kept_key = keep(key);
  reply_.rows.push_back({kept_key, wire::as_bytes(keep(wire::as_text(value)))});
}

void QueryResult::set_next(std::string_view key) {
  reply_.next = keep(key);
}

Result<QueryResult> run_point_query(const Query& query, const Projections& projections,
                                    const RowReader& state, wire::LogIndex applied) {
  const Projection& projection = projections.owner_of(query.table);
  BIB_TRY(const QueryPlan plan, projection.plan(query));
  BIB_TRY(const RowPtr row, state.find(plan.family, plan.base + std::string(*query.key)));
  if (!row) {
    BIB_TRY_VOID(check_scope(query, state));
    const std::string place = query.scope.empty() ? "" : readable(query.scope) + " / ";
    return does_not_exist(query.table, place + readable(*query.key));
  }
  wire::RowEncoder encoder;
  BIB_TRY(const wire::ByteView value, projection.present(row->value(), state, encoder));
  QueryResult result(applied);
  result.add(*query.key, value);
  return result;
}

Result<QueryResult> run_query(const Query& query, const Projections& projections,
                              const StateReader& state, wire::LogIndex applied) {
  if (query.key) return run_point_query(query, projections, state, applied);
  const Projection& projection = projections.owner_of(query.table);
  BIB_TRY(const QueryPlan plan, projection.plan(query));
  BIB_TRY_VOID(check_scope(query, state));
  const std::size_t limit = std::clamp<std::size_t>(query.limit, 1, wire::kQueryLimitMax);
  const std::string prefix = plan.base + std::string(query.prefix);
  const std::string after = plan.base + std::string(query.after);
  QueryResult result(applied);
  wire::RowEncoder encoder;
  std::vector<std::uint64_t> scratch;
  wire::Status failure;
  const auto visit = [&](std::string_view key, wire::ByteView value) {
    if (result.reply().rows.size() == limit || result.bytes() >= kPageBytesMax) {
      result.set_next(result.reply().rows.back().key);
      return false;
    }
    const auto presented = projection.present(aligned(value, scratch), state, encoder);
    if (!presented) {
      failure = tl::unexpected(presented.error());
      return false;
    }
    result.add(key.substr(plan.base.size()), *presented);
    return true;
  };
  ScanRange range{.prefix = prefix};
  if (!query.after.empty()) range.after = after;
  BIB_TRY_VOID(scan(state, plan.family, range, visit));
  BIB_TRY_VOID(std::move(failure));
  return result;
}

}  // namespace bib::projections
