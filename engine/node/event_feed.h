// EventFeed: answers clients that list or follow the log's events.
//
// Lives on the node loop; the log's files are read and the answers encoded on libuv's pool, one job
// at a time for each feed. Only committed and applied events leave. A client that does not take
// what was sent is not read for until it does. A feed ends with its limit, at the log's end (unless
// it follows), with an error, or with its session. The consistency that a request asks for is
// confirmed before it comes here (Queries).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/storage/log_reader.h"
#include "engine/uv/client_server.h"
#include "engine/uv/event_loop.h"
#include "wire/client/client_message.h"

namespace bib::engine {

class EventFeed {
 public:
  EventFeed(EventLoop& loop, ClientServer& clients, std::shared_ptr<LogReader> reader);
  ~EventFeed();

  void start(ClientServer::Asker asker, const wire::ReadEvents& request);
  // Everything up to `index` is applied.
  void on_applied(wire::LogIndex index);
  void on_session_end(SessionId session);
  void on_session_drained(SessionId session);

 private:
  struct Feed {
    ClientServer::Asker asker;
    wire::Position next;
    std::uint64_t left = 0;  // events; the greatest number: no limit
    bool follow = false;
    std::string stream_prefix;
    bool reading = false;
  };
  struct Batch;

  static wire::Result<Batch> read_batch(LogReader& reader, const Feed& feed,
                                        wire::LogIndex applied);
  void pump(std::uint64_t id);
  void on_batch(std::uint64_t id, wire::Result<Batch> batch);
  void send_end(const Feed& feed);

  EventLoop& loop_;
  ClientServer& clients_;
  std::shared_ptr<LogReader> reader_;
  std::shared_ptr<EventFeed*> alive_;
  std::map<std::uint64_t, Feed> feeds_;
  std::uint64_t next_id_ = 1;
  wire::LogIndex applied_;
};

}  // namespace bib::engine
