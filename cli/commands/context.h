// Context: what every command of `bib` is given: its streams, its environment and the global
// options. Lives on main's stack for the length of one run.
#pragma once

#include <chrono>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/client/client.h"
#include "cli/config/environment.h"
#include "cli/print/exit_code.h"
#include "cli/print/output.h"
#include "wire/client/client_message.h"

namespace bib::cli {

struct Context {
  std::istream& in;
  std::ostream& out;  // data
  std::ostream& err;  // all else
  Environment environment;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;

  OutputFormat format = OutputFormat::kTable;
  std::chrono::milliseconds timeout{10000};
  std::vector<std::string> servers;
  wire::Consistency consistency = wire::Consistency::kLinearizable;
  std::optional<std::chrono::milliseconds> max_age;  // stale reads only

  // Colours on that stream: a terminal, and NO_COLOR is not set.
  bool colours_on_err() const;

  // Prints `data` as JSON or YAML, or `text`, as -o asks.
  void emit(const Json& data, std::string_view text) const;
  // One line on stderr.
  void note(std::string_view text) const;
  // Says what happened on stderr, with the next command to type, and gives the exit code.
  ExitCode report(const wire::Error& error) const;
  ExitCode report(ExitCode code, std::string_view message, std::string_view hint = {}) const;

  // Where to look for a node: --server, BIB_SERVER, the local node's socket, its api.listen_addr.
  wire::Result<std::vector<ServerAddress>> server_addresses() const;
  wire::Result<std::unique_ptr<Client>> make_client(bool to_leader,
                                                    std::size_t inflight_max = 1) const;
};

// What to try next after an error of this code; empty where the message says it all.
std::string next_step(wire::ErrorCode code);

}  // namespace bib::cli
