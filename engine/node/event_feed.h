// EventFeed: answers clients that list or follow the log's events.
//
// Lives on the node loop; the log's files are read and the answers encoded on the pool, one job
// at a time for each feed and a few for all. Only committed and applied events leave. A feed ends
// with its limit, at the log's end (unless it follows), with an error, or with its session. One
// that follows says once, by a reply without events, that it has caught up. The consistency that a
// request asks for is confirmed before it comes here (Queries).
//
// Bounded: a reply, in bytes as they are after decompression, and the memory of a job by that and
// one entry; feeds, of one session and of all; what waits to leave for all feeds together, of which
// each has a share that shrinks as they become more. A client that does not take what was sent is
// not read for until it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/ports/client_port.h"
#include "engine/ports/executor.h"
#include "engine/ports/lifetime.h"
#include "engine/storage/log_reader.h"
#include "wire/client/client_message.h"
#include "wire/log/entry.h"

namespace bib::engine {

struct EventFeedOptions {
  std::size_t reply_bytes_max = 4U << 20;  // of the events of one reply; a single one may be larger
  std::size_t outgoing_bytes_max = 64U << 20;  // of all feeds, on their way to clients
  std::size_t feeds_max = 1024;
  std::size_t feeds_per_session_max = 16;
  std::size_t reads_max = 2;  // jobs on the pool at a time: others need it, too
};

class EventFeed {
 public:
  EventFeed(EventFeedOptions options, Executor& pool, ClientPort& clients,
            std::shared_ptr<LogReader> reader);
  ~EventFeed();

  void start(Asker asker, const wire::ReadEvents& request);
  // Everything up to `index` is applied: a list ends there.
  void on_applied(wire::LogIndex index) { applied_ = index; }
  // Once per turn. A node applies what its own disk may not have yet; the log's files are read up
  // to what it has.
  void on_turn(wire::LogIndex readable);
  void on_session_end(SessionId session);
  void on_session_drained(SessionId session);
  // What is committed here is not to be believed: all that run are refused with this.
  void end_all(const wire::Error& why, const wire::Member* leader);

  std::uint64_t overloaded() const { return overloaded_; }

 private:
  struct Feed {
    Asker asker;
    wire::Position next;
    std::uint64_t left = 0;  // events; the greatest number: no limit
    bool follow = false;
    std::string stream_prefix;
    std::size_t batch_bytes = 0;  // that the job under way may bring; 0: none is under way
    bool parked = false;          // is in parked_
    bool heard = false;           // something was sent
  };
  // What the feeds of one session have.
  struct Session {
    std::vector<std::uint64_t> feeds;
    std::size_t outgoing = 0;  // bytes of theirs that wait to leave, at most
  };
  struct Batch;
  struct Collected;

  static wire::Result<Batch> read_batch(LogReader& reader, const Feed& feed, wire::LogIndex last);
  static wire::Status collect(const Feed& feed, const wire::EntryReader& entry, Batch& batch,
                              Collected& collected);
  wire::LogIndex readable() const;
  void pump(std::uint64_t id);
  void read(std::uint64_t id, Feed& feed);
  void on_batch(std::uint64_t id, wire::Result<Batch> batch);
  // The share of one feed in a job; what may wait beside it is half as much.
  std::size_t batch_bytes() const;
  // What the feed may read now; 0: it has to wait.
  std::size_t room_for(const Feed& feed) const;
  bool has_nothing_waiting(SessionId session) const;
  void pump_parked();
  void settle(SessionId session);
  void end(std::uint64_t id);
  void send(const Feed& feed, bool end);

  const EventFeedOptions options_;
  Executor& pool_;
  ClientPort& clients_;
  std::shared_ptr<LogReader> reader_;
  Lifetime<EventFeed> lifetime_{this};
  std::map<std::uint64_t, Feed> feeds_;
  std::map<SessionId, Session> sessions_;  // those with feeds, or with bytes of theirs
  std::deque<std::uint64_t> parked_;       // feeds that wait for room, in turn; some may have ended
  std::size_t reads_ = 0;                  // jobs under way
  std::size_t outgoing_ = 0;               // of all sessions here, and of the jobs under way
  std::uint64_t overloaded_ = 0;
  std::uint64_t next_id_ = 1;
  wire::LogIndex applied_;
  wire::LogIndex durable_;
  wire::LogIndex pumped_to_;  // what was readable when waiting feeds were looked at last
};

}  // namespace bib::engine
