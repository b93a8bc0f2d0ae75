// Recorder: the history of a run, as it happens, in memory and as JSON lines.
//
// Used by all client threads at once. A call is recorded before anything of it is sent, an answer
// after it has arrived, under one lock: if an answer has a lower index than a call, it really came
// first.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "history_file.h"
#include "support/linearizability.h"
#include "wire/base/ids.h"

namespace bib::nemesis {

class Recorder {
 public:
  explicit Recorder(const std::filesystem::path& file);

  // The number names the call below and in operations().
  std::size_t invoke(support::Operation operation);
  // `answer`: outcome, and what it says of value and revision; `position` of an acknowledged
  // change.
  void complete(std::size_t call, support::Operation answer, std::string error,
                std::optional<wire::Position> position = {});
  // A fault, for the reader.
  void fault(const std::string& what, const std::string& of);

  // After all threads have ended.
  const std::vector<support::Operation>& operations() const { return operations_; }
  const std::vector<std::optional<wire::Position>>& positions() const { return positions_; }
  // False: the file could not be written.
  bool finish();

 private:
  std::int64_t now_us() const;

  std::mutex mutex_;
  std::ofstream out_;
  std::vector<support::Operation> operations_;
  std::vector<std::optional<wire::Position>> positions_;
  std::uint64_t next_index_ = 1;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace bib::nemesis
