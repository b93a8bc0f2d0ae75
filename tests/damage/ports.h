// The ports of a Machine: each does its work on the real files, a little later.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "engine/ports/client_port.h"
#include "engine/ports/entropy.h"
#include "engine/ports/executor.h"
#include "engine/ports/log_port.h"
#include "engine/ports/logger.h"
#include "engine/ports/peer_port.h"
#include "engine/ports/store_port.h"
#include "engine/ports/turns.h"
#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "machine.h"

namespace bib::damage {

class LogLines final : public engine::Logger {
 public:
  explicit LogLines(Machine& machine) : Logger(engine::LogLevel::kInfo), machine_(machine) {}

 private:
  void write(engine::LogLevel level, std::string_view area, std::string_view message) override;

  Machine& machine_;
};

class Chance final : public engine::Entropy {
 public:
  explicit Chance(Machine& machine) : machine_(machine) {}
  std::uint64_t next() override { return machine_.chance(); }

 private:
  Machine& machine_;
};

class VirtualTurns final : public engine::Turns {
 public:
  explicit VirtualTurns(Machine& machine) : machine_(machine) {}
  std::uint64_t now_ms() const override { return machine_.monotonic_us() / 1000; }
  void continue_soon() override;
  void poll_soon() override {}

 private:
  Machine& machine_;
  bool is_due_ = false;
};

class FileLog final : public engine::LogPort {
 public:
  FileLog(Machine& machine, std::unique_ptr<engine::LogStore> store,
          std::shared_ptr<engine::LogReader> reader)
      : machine_(machine), store_(std::move(store)), reader_(std::move(reader)) {}
  void attach(engine::LogEvents& events) { events_ = &events; }

  [[nodiscard]] bool submit(engine::LogStoreWrite&& write) override;
  void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
            std::size_t bytes_max) override;
  void compact(wire::LogIndex index) override;
  std::chrono::microseconds append_running() const override { return {}; }
  wire::Status stop(std::vector<engine::LogStoreWrite> rest) override;

 private:
  void append();
  void compact_now();
  void fail(const wire::Error& error);

  Machine& machine_;
  std::unique_ptr<engine::LogStore> store_;
  std::shared_ptr<engine::LogReader> reader_;
  engine::LogEvents* events_ = nullptr;
  std::vector<engine::LogStoreWrite> queue_;
  bool is_due_ = false;
  std::uint64_t appends_ = 0;
  wire::LogIndex compact_to_;
  std::optional<wire::Error> failure_;
  bool is_stopped_ = false;
};

class Pool final : public engine::Executor {
 public:
  explicit Pool(Machine& machine) : machine_(machine) {}
  void run(std::function<void()> work, std::function<void()> done) override;

 private:
  Machine& machine_;
};

class StoreQueue final : public engine::StorePort {
 public:
  explicit StoreQueue(Machine& machine) : machine_(machine) {}
  bool is_busy() const override { return is_busy_; }
  void run(std::function<void()> work, std::function<void()> done) override;
  void stop() override;

 private:
  Machine& machine_;
  bool is_busy_ = false;
  bool is_stopped_ = false;
  std::function<void()> work_;  // asked for, and not begun
};

class Peers final : public engine::PeerPort {
 public:
  explicit Peers(Machine& machine) : machine_(machine) {}

  void send(const wire::PeerMessage& message) override;
  void send(const wire::SnapshotRequest& request) override;
  void send(const wire::SnapshotPart& part) override;
  void set_members(const std::vector<wire::Member>&) override {}  // all are dialled
  bool is_connected(wire::NodeId peer) const override;
  void flush() override {}
  void count(std::vector<wire::Counter>&) const override {}

 private:
  Machine& machine_;
};

class Sessions final : public engine::ClientPort {
 public:
  explicit Sessions(Machine& machine) : machine_(machine) {}

  void answer(engine::Asker asker, wire::FrameKind kind, wire::ByteView body) override {
    machine_.answer(asker.request, kind, body);
  }
  void answer_partly(engine::Asker asker, wire::FrameKind kind, wire::ByteView body) override {
    answer(asker, kind, body);
  }
  bool is_open(engine::SessionId) const override { return true; }
  std::size_t outgoing_bytes(engine::SessionId) const override { return 0; }
  std::size_t outgoing_bytes() const override { return 0; }
  void stop_listening() override {}
  void flush() override {}

 private:
  Machine& machine_;
};

}  // namespace bib::damage
