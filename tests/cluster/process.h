// Child processes for the cluster tests: started, watched, ended by their own id, never by name.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bib::cluster {

using Environment = std::map<std::string, std::string>;

// A program in the background with its output in a file. Killed and reaped at the end of its life.
class Process {
 public:
  Process(const std::vector<std::string>& command, const Environment& environment,
          const std::filesystem::path& log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }
  bool is_running();
  void signal(int number);
  // The exit code, or 128 + signal; nullopt: still running when the time was up.
  std::optional<int> wait(std::chrono::milliseconds within);
  void kill_now();

 private:
  pid_t id_ = -1;
  std::optional<int> result_;
};

struct Finished {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Runs a program to its end, with `input` on its standard input.
Finished run(const std::vector<std::string>& command, const Environment& environment = {},
             const std::string& input = {},
             std::chrono::milliseconds within = std::chrono::seconds(60));

// A TCP port of 127.0.0.1 that nobody has at the moment, and that this process was not given
// before: the system may name the same one twice until somebody listens there. One thread.
int free_port();

// A port of 127.0.0.1 on which somebody else listens.
class TakenPort {
 public:
  explicit TakenPort(int port);
  ~TakenPort();
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;

 private:
  int descriptor_ = -1;
};

// The program that the build gave us, by its environment variable ("BIB_BIBD").
std::string program(const char* variable);

}  // namespace bib::cluster
