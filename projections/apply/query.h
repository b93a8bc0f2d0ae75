// Queries: rows for a client, one by key or a page of a list.
//
// run_query() works on any RowReader or StateReader of one consistent state: on the node loop for
// one row, on the pool over a StateView for a page. The query's bytes must outlive the call.
// kNotFound when the named row, or the topic or dataset of the scope, does not exist.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "projections/rules/projection.h"
#include "projections/state/delta.h"
#include "projections/state/state.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/client/client_message.h"

namespace bib::projections {

// A page ends when its rows have this many bytes, even if fewer than `limit`.
inline constexpr std::size_t kPageBytesMax = 4U << 20;

class QueryResult {
 public:
  // Views into this result.
  const wire::QueryReply& reply() const { return reply_; }

  explicit QueryResult(wire::LogIndex applied);
  void add(std::string_view key, wire::ByteView value);
  void set_next(std::string_view key);
  std::size_t bytes() const { return bytes_; }

 private:
  std::string_view keep(std::string_view text);
  std::deque<std::string> texts_;
  wire::QueryReply reply_;
  std::size_t bytes_ = 0;
};

// Precondition: query.key is set.
wire::Result<QueryResult> run_point_query(const wire::Query& query, const Projections& projections,
                                          const RowReader& state, wire::LogIndex applied);
// One row or a page.
wire::Result<QueryResult> run_query(const wire::Query& query, const Projections& projections,
                                    const StateReader& state, wire::LogIndex applied);

// A consistent state to query on a pool thread, one thread at a time.
class QueryView {
 public:
  QueryView(std::shared_ptr<const StateView> state, std::shared_ptr<const Projections> projections)
      : state_(std::move(state)), projections_(std::move(projections)) {}

  wire::Result<QueryResult> run(const wire::Query& query) const {
    return run_query(query, *projections_, *state_, state_->mark().applied_index);
  }
  const StateView& state() const { return *state_; }
  wire::LogIndex applied_index() const { return state_->mark().applied_index; }

 private:
  std::shared_ptr<const StateView> state_;
  std::shared_ptr<const Projections> projections_;
};

}  // namespace bib::projections
