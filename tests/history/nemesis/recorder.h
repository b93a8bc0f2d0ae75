// Recorder: the history of a run, as it happens, in memory and as JSON lines.
//
// Used by all client threads at once. A call is recorded before anything of it is sent, an answer
// after it has arrived, under one lock: if an answer has a lower index than a call, it really came
// first.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "history_file.h"
#include "support/linearizability.h"
#include "wire/base/ids.h"
#include "wire/client/client_message.h"

namespace bib::nemesis {

// A read of some level, asked of one node. It is not part of the history that has to be
// linearizable.
struct LevelRead {
  std::size_t node = 0;
  wire::Consistency level = wire::Consistency::kStale;
  std::uint64_t max_age_us = 0;
  std::string key{};
  // The answer, if there is one.
  bool answered = false;
  bool unset = false;  // "no such key": it names no entry
  std::optional<std::string> value{};
  wire::LogIndex applied{};
  std::optional<std::uint64_t> age_us{};
  // Filled by the recorder. Which run of the node's process it came to, counted from 1; 0: not
  // known.
  std::uint32_t run = 0;
  std::uint64_t asked = 0;  // places and times, as of operations
  std::uint64_t completed = 0;
  std::int64_t asked_us = 0;
  std::int64_t completed_us = 0;
};

// A change that was acknowledged: in which entry, when, and by which node, where that is known.
struct Acknowledged {
  wire::Position position;
  std::optional<std::size_t> node;
  std::uint64_t completed = 0;
  std::int64_t completed_us = 0;
};

class Recorder {
 public:
  // The history, and beside it reads.jsonl: reads of other levels, for people.
  explicit Recorder(const std::filesystem::path& file);

  // The number names the call below and in operations().
  std::size_t invoke(support::Operation operation);
  // `answer`: outcome, and what it says of value and revision; `position` of an acknowledged
  // change, and who acknowledged it.
  void complete(std::size_t call, support::Operation answer, std::string error,
                std::optional<wire::Position> position = {}, std::optional<std::size_t> node = {});
  std::size_t ask(LevelRead read);
  void answer(std::size_t number, const LevelRead& answer);
  // Its process is about to be ended, and again: has ended.
  void node_ends(std::size_t node);
  // A fault, for the reader.
  void fault(const std::string& what, const std::string& of);

  // After all threads have ended.
  const std::vector<support::Operation>& operations() const { return operations_; }
  const std::vector<std::optional<wire::Position>>& positions() const { return positions_; }
  const std::vector<Acknowledged>& acknowledged() const { return acknowledged_; }
  const std::vector<LevelRead>& reads() const { return reads_; }
  // False: the file could not be written.
  bool finish();

 private:
  std::int64_t now_us() const;
  std::uint32_t run_of(std::size_t node) const;

  std::mutex mutex_;
  std::ofstream out_;
  std::ofstream reads_out_;
  std::vector<support::Operation> operations_;
  std::vector<std::optional<wire::Position>> positions_;
  std::vector<Acknowledged> acknowledged_;
  std::vector<LevelRead> reads_;
  std::map<std::size_t, std::uint32_t> ends_;  // of each node's process: begun and done
  std::uint64_t next_index_ = 1;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace bib::nemesis
