// EventFeed: answers clients that list or follow the log's events.
//
// Lives on the node loop; the log's files are read and the answers encoded on the pool, one job
// at a time for each feed. Only committed and applied events leave. A client that does not take
// what was sent is not read for until it does. A feed ends with its limit, at the log's end (unless
// it follows), with an error, or with its session. The consistency that a request asks for is
// confirmed before it comes here (Queries).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "engine/ports/client_port.h"
#include "engine/ports/executor.h"
#include "engine/ports/lifetime.h"
#include "engine/storage/log_reader.h"
#include "wire/client/client_message.h"

namespace bib::engine {

class EventFeed {
 public:
  EventFeed(Executor& pool, ClientPort& clients, std::shared_ptr<LogReader> reader);
  ~EventFeed();

  void start(Asker asker, const wire::ReadEvents& request);
  // Everything up to `index` is applied: a list ends there.
  void on_applied(wire::LogIndex index) { applied_ = index; }
  // Once per turn. A node applies what its own disk may not have yet; the log's files are read up
  // to what it has.
  void on_turn(wire::LogIndex readable);
  void on_session_end(SessionId session);
  void on_session_drained(SessionId session);

 private:
  struct Feed {
    Asker asker;
    wire::Position next;
    std::uint64_t left = 0;  // events; the greatest number: no limit
    bool follow = false;
    std::string stream_prefix;
    bool reading = false;
  };
  struct Batch;

  static wire::Result<Batch> read_batch(LogReader& reader, const Feed& feed, wire::LogIndex last);
  wire::LogIndex readable() const;
  void pump(std::uint64_t id);
  void on_batch(std::uint64_t id, wire::Result<Batch> batch);
  void send_end(const Feed& feed);

  Executor& pool_;
  ClientPort& clients_;
  std::shared_ptr<LogReader> reader_;
  Lifetime<EventFeed> lifetime_{this};
  std::map<std::uint64_t, Feed> feeds_;
  std::uint64_t next_id_ = 1;
  wire::LogIndex applied_;
  wire::LogIndex durable_;
  wire::LogIndex pumped_to_;  // what was readable when waiting feeds were looked at last
};

}  // namespace bib::engine
