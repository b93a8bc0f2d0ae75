#include "cli/commands/context.h"

#include <sys/stat.h>

#include <ostream>

#include "cli/config/config_file.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;

bool is_socket(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

wire::Result<std::vector<ServerAddress>> parse_servers(const std::vector<std::string>& texts) {
  std::vector<ServerAddress> servers;
  for (const std::string& text : texts) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view item = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      if (item.empty()) continue;
      BIB_TRY(ServerAddress server, parse_server_address(item));
      servers.push_back(std::move(server));
    }
  }
  if (servers.empty()) {
    return wire::fail(ErrorCode::kInvalid, "the list of servers is empty; give HOST:PORT");
  }
  return servers;
}

}  // namespace

std::string next_step(ErrorCode code) {
  switch (code) {
    case ErrorCode::kIo:
      return "Start the node with `bibd`, or name one that runs: --server HOST:PORT";
    case ErrorCode::kTimeout:
    case ErrorCode::kOverloaded:
      return "Look at the cluster with `bib cluster status`, or allow more time: --timeout 30s";
    case ErrorCode::kNotLeader:
    case ErrorCode::kNoQuorum:
      return "See which members are missing: `bib cluster status`";
    case ErrorCode::kUnauthenticated:
      return "Ask for a new token on a member of the cluster: `bib cluster token create`";
    case ErrorCode::kUnsupported:
      return "Compare the versions: `bib version` and `bibd --version`";
    default:
      return {};
  }
}

bool Context::colours_on_err() const {
  return err_is_terminal && environment.get("NO_COLOR").empty() &&
         environment.get("TERM") != "dumb";
}

void Context::emit(const Json& data, std::string_view text) const {
  switch (format) {
    case OutputFormat::kTable:
      out << text;
      break;
    case OutputFormat::kJson:
      out << to_json_text(data, true) << '\n';
      break;
    case OutputFormat::kYaml:
      out << to_yaml_text(data);
      break;
  }
  out.flush();
}

void Context::note(std::string_view text) const {
  err << text << '\n' << std::flush;
}

ExitCode Context::report(const wire::Error& error) const {
  return report(exit_code_for(error.code), error.message, next_step(error.code));
}

ExitCode Context::report(ExitCode code, std::string_view message, std::string_view hint) const {
  out.flush();
  const bool colours = colours_on_err();
  err << (colours ? "\x1b[31mbib:\x1b[0m " : "bib: ");
  // Line by line: a configuration error is several lines, and a node's text is not trusted.
  for (std::size_t end = message.find('\n'); end != std::string_view::npos;
       end = message.find('\n')) {
    err << printable(message.substr(0, end)) << '\n';
    message.remove_prefix(end + 1);
  }
  err << printable(message) << '\n';
  if (!hint.empty()) err << hint << ".\n";
  err.flush();
  return code;
}

wire::Result<std::vector<ServerAddress>> Context::server_addresses() const {
  if (!servers.empty()) return parse_servers(servers);
  const std::string from_environment = environment.get("BIB_SERVER");
  if (!from_environment.empty()) return parse_servers({from_environment});

  // The local node's configuration, where it can be read; its mistakes are bibd's to report.
  ConfigSources sources;
  sources.path = environment.config_path();
  const LoadedConfig local = load_config(sources, environment);
  std::vector<ServerAddress> found;
  const std::string socket = local.config.socket_path();
  if (is_socket(socket)) {
    auto address = parse_server_address(socket);
    if (address) found.push_back(std::move(*address));
  }
  BIB_TRY(ServerAddress tcp, parse_server_address(local.config.api_listen_addr));
  if (wire::is_wildcard(tcp.tcp.host)) tcp.tcp.host = "127.0.0.1";
  found.push_back(std::move(tcp));
  return found;
}

wire::Result<std::unique_ptr<Client>> Context::make_client(bool to_leader,
                                                           std::size_t inflight_max) const {
  BIB_TRY(auto addresses, server_addresses());
  ClientOptions options;
  options.servers = std::move(addresses);
  options.timeout = timeout;
  options.to_leader = to_leader;
  options.inflight_max = inflight_max;
  return std::make_unique<Client>(std::move(options));
}

}  // namespace bib::cli
