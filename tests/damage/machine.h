// Machine: a node over a real data directory, in virtual time: what a process has around
// engine/node, without sockets and threads. It starts as bibd does, and stops as bibd does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/node/node.h"
#include "engine/node/startup.h"
#include "engine/ports/clock.h"
#include "engine/ports/file.h"
#include "timeline.h"
#include "wire/base/prng.h"

namespace bib::damage {

class Lan;

// Where answers to clients' requests go.
using OnAnswer = std::function<void(std::uint64_t request, wire::FrameKind kind, wire::ByteView)>;

class Machine final : public engine::Clock {
 public:
  Machine(Timeline& timeline, Lan& lan, wire::NodeConfig config, std::uint64_t seed);
  ~Machine() override;

  wire::NodeId id() const { return config_.node_id; }
  const std::string& directory() const { return config_.data_dir; }

  void start();
  void stop();  // SIGTERM: what follows shows in ended()
  void kill();  // SIGKILL
  bool is_running() const;
  bool is_joining() const;
  // How the last start ended; nothing while it has not.
  const std::optional<wire::Status>& ended() const { return ended_; }
  engine::Node& node();
  const consensus::Raft& raft() { return node().raft(); }
  bool leads();
  // Warnings and errors of all its runs, a line each.
  const std::string& log() const { return log_; }

  void request(std::uint64_t number, wire::FrameKind kind, wire::ByteView body);
  void on_answer(OnAnswer what) { on_answer_ = std::move(what); }

  // ---- for the ports
  Timeline& timeline() { return timeline_; }
  Lan& lan() { return lan_; }
  // In this run, later; a turn of the node follows.
  void after(Time delay, std::function<void()> what);
  void happen(const std::function<void()>& what);
  void answer(std::uint64_t request, wire::FrameKind kind, wire::ByteView body);
  void note(const std::string& line) { log_ += line + "\n"; }
  std::uint64_t boot() const { return boot_; }
  std::uint64_t chance() { return random_.next(); }
  void on_joined(const wire::JoinReply& reply);

  // ---- Clock
  std::int64_t now_us() const override;
  std::uint64_t monotonic_us() const override { return timeline_.now(); }

 private:
  struct Process;
  wire::Status begin();
  wire::Status open_and_run(wire::ClusterId cluster, std::vector<wire::Member> first_members);
  void ask_to_join();
  void every(Time period, void (engine::Node::*what)());
  void end(wire::Status status);
  void end_step();

  Timeline& timeline_;
  Lan& lan_;
  const wire::NodeConfig config_;
  wire::Prng random_;
  std::uint64_t boot_ = 0;
  std::unique_ptr<Process> process_;
  std::optional<wire::Status> stopped_;  // the node has ended, within this step
  std::optional<wire::Status> ended_;
  bool in_step_ = false;
  std::size_t next_to_ask_ = 0;
  std::string log_;
  OnAnswer on_answer_;
};

}  // namespace bib::damage
