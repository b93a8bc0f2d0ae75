// What a simulated node has between its start and its death: the parts of a node, and what is under
// way for them.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim_node.h"

namespace bib::sim {

struct SimNode::Process {
  std::unique_ptr<engine::LogStore> log;
  std::unique_ptr<engine::LogReader> reader;
  projections::Store* store = nullptr;
  std::unique_ptr<projections::Projector> projector;
  std::unique_ptr<engine::RaftDriver> driver;
  std::unique_ptr<engine::CommandDesk> commands;

  std::deque<engine::LogWrite> queued;
  std::vector<engine::LogWrite> appending;
  std::uint32_t appends = 0;  // numbers the idle timers
  std::vector<LogRead> log_reads;
  std::vector<projections::DeltaPtr> storing;
  std::map<std::uint64_t, std::pair<engine::Asker, std::string>> waiting_reads;
  std::uint64_t next_read_token = 1;
  bool leading = false;
  bool turn_is_scheduled = false;
  bool prepare_is_scheduled = false;
  bool collects = false;  // several inputs are coming; the turn follows
};

}  // namespace bib::sim
