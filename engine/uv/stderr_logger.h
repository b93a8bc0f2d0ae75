// StderrLogger: the process's log.
//
//   2026-11-23T21:00:00.123Z info  raft     became leader of term 5
//
// A line is written with one write(2).
#pragma once

#include "engine/ports/logger.h"

namespace bib::engine {

class StderrLogger final : public Logger {
 public:
  using Logger::Logger;

 private:
  void write(LogLevel level, std::string_view area, std::string_view message) override;
};

}  // namespace bib::engine
