// One side of a connection, for tests over real sockets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/uv/connection.h"

namespace bib::engine {

// Collects what comes, and can echo it.
struct Side final : Connection::Handler {
  std::unique_ptr<Connection> connection;
  std::vector<std::string> received;
  std::vector<wire::Error> closed;
  std::function<void()> on_change = [] {};
  bool echo = false;
  bool connected = false;

  void on_frame(wire::Frame&& frame) override {
    received.emplace_back(wire::as_text(frame.body.view()));
    if (echo) {
      connection->send(frame.kind, frame.id, frame.body.view());
      connection->flush();
    }
    on_change();
  }
  void on_closed(const wire::Error& reason) override {
    closed.push_back(reason);
    connection.reset();
    on_change();
  }
  void on_connected() override {
    connected = true;
    on_change();
  }
};

}  // namespace bib::engine
