// Queries: answers queries for rows, with the consistency that the client asks for; for reads that
// others answer (event_feed.h) it says when they may.
//
// Lives on the node loop. linearizable: from any node, after a read-index round (Raft dissertation
// §6.4); leader: from the node that believes it leads, without a round once it has applied what it
// inherited; stale: from this node's applied state, if it is known to be as new as is asked for
// (freshness.h): else a follower names the leader, and a leader has itself confirmed first. One row
// is read on the loop; a page is read on the pool over a frozen view.
//
// Bounded: reads that wait and their bytes, pages under way, and what waits to leave for slow
// clients. Beyond, a query is answered kOverloaded. Where too much waits for all clients together,
// that is the answer to those for whom something waits: a few that do not read do not shut the
// lists of all.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "engine/node/commands.h"
#include "engine/node/raft_driver.h"
#include "engine/ports/client_port.h"
#include "engine/ports/executor.h"
#include "engine/ports/lifetime.h"
#include "engine/ports/turns.h"
#include "projections/apply/projector.h"

namespace bib::engine {

struct QueriesOptions {
  std::size_t waiting_max = 16384;
  std::size_t waiting_bytes_max = 32U << 20;
  std::size_t pages_max = 256;                  // on the pool or waiting for it
  std::size_t outgoing_bytes_max = 256U << 20;  // that wait for all clients together
  std::size_t session_bytes_max = 16U << 20;    // ... for one
  std::uint64_t wait_ms = 5000;                 // for a read-index round
};

class Queries {
 public:
  Queries(Turns& turns, Executor& pool, QueriesOptions options, RaftDriver& driver,
          projections::Projector& projector, ClientPort& clients, Commands& commands);
  ~Queries();

  void on_query(Asker asker, const wire::Query& query);
  // Calls `read` once this node may answer with that consistency, at once or in a later turn; if it
  // may not, the asker is told so.
  void when_consistent(Asker asker, wire::Consistency consistency, std::function<void()> read);
  void on_read_ready(std::uint64_t token);
  void on_read_refused(std::uint64_t token, consensus::ReadRefusal reason);
  // The state is being exchanged for another: from now on reads are refused; it may happen once no
  // page is being read any more.
  void suspend() { suspended_ = true; }
  void resume() { suspended_ = false; }
  // Why what this node has is not to be believed: its rows differ from a majority's; or the cluster
  // has lost what is committed here, and its log's events are not to be read either.
  enum class Distrust : std::uint8_t { kRows, kLog };
  // From now on such reads are refused with this, and the leader is named; without it they are
  // answered again.
  void refuse_all(Distrust what, std::optional<std::string> why) {
    refusals_[static_cast<std::size_t>(what)] = std::move(why);
  }
  bool is_reading() const { return pages_under_way_ > 0; }
  // Now and then: gives up reads whose question was lost.
  void sweep();

  const std::optional<wire::Error>& failure() const { return failure_; }
  std::uint64_t overloaded() const { return overloaded_; }

 private:
  // A query with text of its own.
  struct Owned {
    explicit Owned(const wire::Query& query);
    wire::Query view() const;
    std::size_t bytes() const {
      return sizeof *this + key.size() + scope.size() + prefix.size() + after.size();
    }

    wire::Query fields;
    std::string key, scope, prefix, after;
  };
  struct Waiting {
    Asker asker;
    std::function<void()> read;
    std::size_t bytes = 0;  // that it keeps in memory
    std::uint64_t deadline_ms = 0;
  };

  // How old the rows are at most; nullopt: not known.
  using Age = std::optional<std::uint64_t>;

  bool must_confirm(wire::Consistency consistency) const;
  // Answers without a read-index round. False: the asker was told to ask the leader.
  bool may_answer_at_once(Asker asker, wire::Consistency consistency);
  void run_stale(Asker asker, const wire::Query& query);
  void confirm(Asker asker, const wire::Query& query);
  // `bytes`: what the waiting read keeps in memory.
  void confirm(Asker asker, std::size_t bytes, std::function<void()> read);
  void run(Asker asker, const wire::Query& query, Age age);
  void run_page(Asker asker, const wire::Query& query, Age age);
  void answer(Asker asker, const wire::Result<projections::QueryResult>& result, Age age);
  // Why not, as long as too much waits to leave; nullptr: there is room for one more answer.
  const char* no_room(Asker asker) const;
  void answer_overloaded(Asker asker, const char* what);
  void answer_too_old(Asker asker, std::uint64_t max_age_us, Age age);
  void forget(std::uint64_t token);
  bool is_refused(Asker asker, Distrust what);
  void refuse_and_name_leader(Asker asker, std::string message);

  Turns& turns_;
  Executor& pool_;
  QueriesOptions options_;
  RaftDriver& driver_;
  projections::Projector& projector_;
  ClientPort& clients_;
  Commands& commands_;
  wire::ClientEncoder encoder_;
  std::map<std::uint64_t, Waiting> waiting_;  // by token, so in the order of their deadlines
  std::size_t waiting_bytes_ = 0;
  std::uint64_t overloaded_ = 0;
  Lifetime<Queries> lifetime_{this};
  bool suspended_ = false;
  std::array<std::optional<std::string>, 2> refusals_;  // by Distrust
  std::size_t pages_under_way_ = 0;
  std::optional<wire::Error> failure_;
};

}  // namespace bib::engine
