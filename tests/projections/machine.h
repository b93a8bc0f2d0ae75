// Machine: a projector with a store, a log and a clock, driven like the engine drives it, for
// tests.
//
// ask() sends a command through its encoding, as a client would, decides it in a turn of its own,
// seals and applies. For finer steps: decide(), seal(), apply_sealed().
#pragma once

#include <catch2/catch.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "projections/apply/projector.h"
#include "projections/apply/replay.h"
#include "wire/client/client_message.h"
#include "wire/log/entry.h"

namespace bib::projections {

template <typename T>
T must(wire::Result<T> result) {
  if (!result) FAIL(result.error().message);
  return *std::move(result);
}
inline void must(const wire::Status& status) {
  if (!status) FAIL(status.error().message);
}

inline wire::ClientId client_id(std::uint8_t number) {
  wire::ClientId id;
  id.bytes[0] = number;
  id.bytes[15] = 7;
  return id;
}

struct Request {
  std::uint8_t client = 1;
  std::uint64_t sequence = 0;  // 0: the client's next
  std::uint64_t acknowledged_below = 0;
  std::optional<std::uint64_t> expected_revision = std::nullopt;
};

class Machine {
 public:
  explicit Machine(Store& store_in, const ProjectorOptions& options = {})
      : store(store_in), projector(must(Projector::open(store, options))) {
    next_index_ = projector->applied_index() + 1;
    first_index_ = next_index_.value();
  }

  // Decides in the open batch, or begins one.
  Decision decide(const wire::CommandBody& body, const Request& request = {}) {
    begin();
    return must(projector->decide(encoded(body, request), now_us));
  }
  // Decide, seal, apply.
  Decision ask(const wire::CommandBody& body, const Request& request = {}) {
    Decision decision = decide(body, request);
    settle();
    return decision;
  }

  void begin() { projector->begin_turn(next_index_, now_us); }
  // Seals the open batch, if there is one.
  void seal() {
    if (!projector->has_open_batch()) return;
    log.push_back(projector->seal(wire::ClusterId(), term));
    ++next_index_;
    now_us += 1000;
  }
  // Applies the oldest entry of the log that is not applied.
  Applied apply_next() {
    const std::size_t at = projector->applied_index().value() - first_index_ + 1;
    REQUIRE(at < log.size());
    return must(projector->apply(log[at]));
  }
  void apply_all() {
    while (projector->applied_index() + 1 < next_index_) apply_next();
  }
  void settle() {
    seal();
    apply_all();
  }
  void add_entry(wire::Bytes entry) {
    log.push_back(std::move(entry));
    ++next_index_;
  }
  wire::LogIndex next_index() const { return next_index_; }
  // Entries from here on are lost: another leader's take their place.
  void truncate(wire::LogIndex from) {
    log.resize(from.value() - first_index_);
    next_index_ = from;
  }

  void write_behind() {
    const auto deltas = projector->take_for_store();
    if (deltas.empty()) return;
    must(store_deltas(deltas, store));
    projector->written(deltas.back()->mark().applied_index);
  }

  std::optional<wire::QueryReply> find(wire::QueryTable table, std::string_view key,
                                       std::string_view scope = "") {
    wire::Query query;
    query.table = table;
    query.key = key;
    query.scope = scope;
    auto result = projector->query(query);
    if (!result) {
      REQUIRE(result.error().code == wire::ErrorCode::kNotFound);
      return std::nullopt;
    }
    return results_.emplace_back(*std::move(result)).reply();
  }
  template <typename Row>
  std::optional<Row> row(wire::QueryTable table, std::string_view key,
                         std::string_view scope = "") {
    const auto reply = find(table, key, scope);
    if (!reply) return std::nullopt;
    REQUIRE(reply->rows.size() == 1);
    REQUIRE(reply->rows[0].key == key);
    return must(wire::read_row_as<Row>(reply->rows[0].value));
  }

  Store& store;
  std::unique_ptr<Projector> projector;
  std::vector<wire::Bytes> log;  // from first_index_
  wire::Term term{1};
  std::int64_t now_us = 1'700'000'000'000'000;

 private:
  wire::Command encoded(const wire::CommandBody& body, const Request& request) {
    wire::Command command;
    command.client = client_id(request.client);
    std::uint64_t& last = sequences_[request.client];
    if (request.sequence == 0) ++last;
    command.sequence = wire::RequestSequence(request.sequence == 0 ? last : request.sequence);
    last = std::max(last, command.sequence.value());
    command.acknowledged_below = wire::RequestSequence(request.acknowledged_below);
    if (request.expected_revision) {
      command.expected_revision = wire::Revision(*request.expected_revision);
    }
    command.body = body;
    const wire::ByteView bytes = encoder_.encode(command);
    bodies_.push_back(wire::Bytes::copy_of(bytes));
    return must(wire::decode_command(bodies_.back().view()));
  }

  std::uint64_t first_index_ = 1;
  wire::LogIndex next_index_;
  wire::ClientEncoder encoder_;
  std::deque<wire::Bytes> bodies_;
  std::deque<QueryResult> results_;
  std::uint64_t sequences_[256] = {};
};

// What a decision was; each fails the test when it was something else.
inline Accepted accepted(const Decision& decision) {
  if (const auto* refused = std::get_if<Refused>(&decision)) FAIL(refused->error.message);
  REQUIRE(std::holds_alternative<Accepted>(decision));
  return std::get<Accepted>(decision);
}
inline std::uint64_t accepted_revision(const Decision& decision) {
  return accepted(decision).revision.value();
}
inline wire::CommandReply answered(const Decision& decision) {
  if (const auto* refused = std::get_if<Refused>(&decision)) FAIL(refused->error.message);
  REQUIRE(std::holds_alternative<Answered>(decision));
  return std::get<Answered>(decision).reply;
}
inline Refused refused(const Decision& decision, wire::ErrorCode code) {
  REQUIRE(std::holds_alternative<Refused>(decision));
  auto refusal = std::get<Refused>(decision);
  INFO(refusal.error.message);
  REQUIRE(refusal.error.code == code);
  REQUIRE(refusal.error.message.size() > 20);
  return refusal;
}

// The log as a source for replay().
inline EntrySource source_of(const std::vector<wire::Bytes>& log) {
  return [&log, at = std::size_t{0}]() mutable -> wire::Result<std::optional<wire::Bytes>> {
    if (at == log.size()) return std::nullopt;
    return log[at++];
  };
}

}  // namespace bib::projections
