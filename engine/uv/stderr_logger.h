// StderrLogger: the process's log.
//
//   2026-11-23T21:00:00.123Z info  raft     became leader of term 5
//
// Who logs never waits: a thread writes the lines, each with one write(2). While stderr takes
// nothing (a pipe whose reader has stopped), lines wait up to `waiting_bytes_max`; what is beyond
// is left out and counted, and a line says how many once there is room. Of debug and error lines
// all are taken; of the others, as many of one kind (a place in the code) as `limit` says, and then
// a line with the number of those left out. A long line is cut.
//
// The destructor, flush(), and a BIB_CHECK that fails, wait a moment for what has not been written.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>
#include <thread>

#include "engine/ports/line_limit.h"
#include "engine/ports/logger.h"

namespace bib::engine {

struct StderrLoggerOptions {
  int descriptor = STDERR_FILENO;              // the caller's
  std::size_t waiting_bytes_max = 256U << 10;  // half as much again for error lines
  LineLimitOptions limit;
};

class StderrLogger final : public Logger {
 public:
  using Options = StderrLoggerOptions;
  static constexpr std::size_t kLineBytesMax = 8192;  // longer ones are cut

  explicit StderrLogger(LogLevel level, Options options = {});
  ~StderrLogger() override;
  StderrLogger(const StderrLogger&) = delete;
  StderrLogger& operator=(const StderrLogger&) = delete;

  // Waits until what was logged before has been written; false: it took longer.
  bool flush(std::chrono::milliseconds within);

 private:
  struct State;

  void write(LogLevel level, std::string_view area, std::string_view message) override;
  void write_of_kind(LogLevel level, std::string_view area, std::string_view kind,
                     std::string_view message) override;
  static void flush_before_abort();

  // The thread's, too: it is left behind where it cannot be ended, in a write that does not return.
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace bib::engine
