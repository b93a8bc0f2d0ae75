#include "cluster.h"

#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <regex>
#include <stdexcept>

namespace bib::cluster {

using std::chrono::seconds;

Environment quick_timeouts() {
  return {{"BIBD_CLUSTER_RAFT_HEARTBEAT_TIMEOUT", "50ms"},
          {"BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT", "500ms"},
          {"BIBD_LOG_SEGMENT_BYTES", "1MiB"}};
}

Cluster::Cluster(Environment environment) : environment_(std::move(environment)) {}

std::filesystem::path Cluster::config(std::size_t node) const {
  return scratch_ / nodes_[node].name / "config.yaml";
}
std::filesystem::path Cluster::data(std::size_t node) const {
  return scratch_ / nodes_[node].name / "data";
}
std::filesystem::path Cluster::log_path(std::size_t node) const {
  return scratch_ / (nodes_[node].name + ".log");
}

std::string Cluster::node_log(std::size_t node) const {
  return support::read_file(log_path(node));
}
std::string Cluster::api(std::size_t node) const {
  return nodes_[node].place.host + ":" + std::to_string(nodes_[node].api_port);
}

Finished Cluster::set_up_again(std::size_t node, const std::vector<std::string>& arguments) const {
  std::vector<std::string> command{program("BIB_BIB"), "setup", "--yes"};
  command.insert(command.end(), {"--config", config(node).string()});
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command);
}

Finished Cluster::set_up(std::size_t node, const std::vector<std::string>& arguments) const {
  const Node& machine = nodes_[node];
  std::vector<std::string> all{
      "--data-dir",   data(node).string(),
      "--listen",     machine.place.host + ":" + std::to_string(machine.raft_port),
      "--api-listen", api(node)};
  if (machine.place.host != "127.0.0.1") all.push_back("--insecure");
  if (!machine.advertised.empty()) all.insert(all.end(), {"--advertise", machine.advertised});
  all.insert(all.end(), arguments.begin(), arguments.end());
  return set_up_again(node, all);
}

std::size_t Cluster::add_node(const std::vector<std::string>& setup_arguments) {
  const std::size_t number = nodes_.size();
  const Place place = number < places_.size() ? places_[number] : Place();
  Node& node = nodes_.emplace_back();
  node.name = "node" + std::to_string(number + 1);
  node.place = place;
  node.raft_port = free_port();
  node.api_port = free_port();
  if (proxy_) node.advertised = proxy_->open_door(node.raft_port);
  std::vector<std::string> arguments{"--daemon"};
  arguments.insert(arguments.end(), setup_arguments.begin(), setup_arguments.end());
  const Finished setup = set_up(number, arguments);
  if (setup.exit_code != 0) throw std::runtime_error("bib setup: " + setup.err);
  std::smatch found;
  if (std::regex_search(setup.out, found, std::regex("\n  ([A-Za-z0-9+/=]{40,})\n"))) {
    token_ = found[1];
  }
  return number;
}

void Cluster::start(std::size_t node) {
  std::vector<std::string> command = nodes_[node].place.runner;
  command.insert(command.end(), {program("BIB_BIBD"), "--config", config(node).string()});
  nodes_[node].process = std::make_unique<Process>(command, environment_, log_path(node));
}

void Cluster::kill_9(std::size_t node) {
  nodes_[node].process->kill_now();
}

void Cluster::form(std::size_t nodes) {
  start(add_node({"--cluster"}));
  for (std::size_t i = 1; i < nodes; ++i) start(add_node({"--cluster-join", token_}));
  if (support::wait_until([this] { return all_healthy(); }, seconds(30))) return;
  std::string logs;
  for (std::size_t i = 0; i < nodes; ++i) logs += node_log(i);
  throw std::runtime_error("the cluster did not form:\n" + logs);
}

std::vector<cli::ServerAddress> Cluster::servers() const {
  std::vector<cli::ServerAddress> addresses;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    addresses.push_back(cli::parse_server_address(api(i)).value());
  }
  return addresses;
}

Finished Cluster::bib(std::vector<std::string> arguments, const std::string& input) const {
  std::string all;
  for (std::size_t i = 0; i < nodes_.size(); ++i) all += (i == 0 ? "" : ",") + api(i);
  std::vector<std::string> command{program("BIB_BIB"), "--server", all};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command, {}, input);
}

std::optional<cli::ClusterView> Cluster::view(std::size_t node) const {
  if (!nodes_[node].process) return std::nullopt;
  cli::ClientOptions options;
  options.servers = {cli::parse_server_address(api(node)).value()};
  options.timeout = std::chrono::milliseconds(500);
  options.to_leader = false;
  cli::Client client(options);
  const cli::Completion answer = client.call_status();
  if (!answer.reply || answer.reply->kind != wire::FrameKind::kStatusReply) return std::nullopt;
  // Only this node: a client goes to others that it was told of.
  const auto status = wire::decode_status_reply(answer.reply->body.view());
  if (!status) return std::nullopt;
  cli::ClusterView seen = cli::to_view(*status);
  for (const cli::MemberView& member : seen.members) {
    if (member.id == seen.node && member.api_address != api(node)) return std::nullopt;
  }
  return seen;
}

std::optional<std::size_t> Cluster::leader() const {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const auto seen = view(i);
    if (seen && seen->role == "leader") return i;
  }
  return std::nullopt;
}

wire::NodeId Cluster::id(std::size_t node) const {
  const auto seen = view(node);
  if (!seen) throw std::runtime_error("node " + std::to_string(node + 1) + " does not answer");
  return seen->node;
}

bool Cluster::all_healthy() const {
  const auto leading = leader();
  if (!leading) return false;
  const auto seen = view(*leading);
  if (!seen || seen->members.size() != nodes_.size()) return false;
  for (const cli::MemberView& member : seen->members) {
    if (!member.voter || !member.healthy) return false;
  }
  return true;
}

bool Cluster::converged() const {
  std::optional<cli::ClusterView> first;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    auto seen = view(i);
    if (!seen) return false;
    if (!first) {
      first = std::move(seen);
      continue;
    }
    if (seen->applied != first->applied) return false;
    for (std::size_t p = 0; p < seen->projections.size(); ++p) {
      if (seen->projections[p].digest != first->projections[p].digest) return false;
    }
  }
  return first.has_value();
}

std::string hex_text(wire::Prng& random, std::size_t size) {
  std::string text;
  while (text.size() < size) text += fmt::format("{:016x}", random.next());
  return text;
}

std::size_t leader_of(const Cluster& cluster) {
  std::optional<std::size_t> leader;
  if (!support::wait_until([&] { return (leader = cluster.leader()).has_value(); },
                           std::chrono::seconds(20)))
    throw std::runtime_error("no node leads");
  return *leader;
}

}  // namespace bib::cluster
