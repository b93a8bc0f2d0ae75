#include "load.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

namespace bib::cluster {

using namespace std::chrono_literals;

// The servers are asked for here: a test may add nodes while the clients' threads begin.
Load::Load(const Cluster& cluster, std::size_t clients)
    : cluster_(cluster), servers_(cluster.servers()) {
  for (std::size_t i = 0; i < clients; ++i) {
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    client.key = "load/" + std::to_string(i);
    client.thread = std::thread([this, &client] { run(client); });
  }
}

void Load::run(Client& client) {
  cli::ClientOptions options;
  options.servers = servers_;
  options.timeout = 60s;
  cli::Client connection(options);
  std::uint64_t number = 0;
  while (!stop_) {
    const std::string value = std::to_string(++number);
    wire::SetConfig set;
    set.key = client.key;
    set.value = value;
    const cli::Clock::time_point begin = cli::Clock::now();
    if (connection.call(wire::CommandBody(set)).reply) {
      client.acknowledged = number;
    } else {
      ++failures_;
    }
    const auto took = std::chrono::ceil<std::chrono::milliseconds>(cli::Clock::now() - begin);
    if (took.count() > client.longest_ms) client.longest_ms = took.count();
  }
}

std::uint64_t Load::count() const {
  std::uint64_t sum = 0;
  for (const auto& client : clients_) sum += client->acknowledged;
  return sum;
}

std::chrono::milliseconds Load::longest() {
  std::int64_t longest = 0;
  for (const auto& client : clients_) longest = std::max(longest, client->longest_ms.exchange(0));
  return std::chrono::milliseconds(longest);
}

bool Load::goes_on(std::uint64_t writes) const {
  const std::uint64_t before = count();
  return support::wait_until([&] { return count() >= before + writes; }, 60s);
}

void Load::stop() {
  stop_ = true;
  for (const auto& client : clients_) {
    if (client->thread.joinable()) client->thread.join();
  }
}

std::string Load::missing() const {
  const Finished list =
      cluster_.bib({"--timeout", "30s", "-o", "json", "config", "list", "--prefix", "load/"});
  if (list.exit_code != 0) return "the keys cannot be listed: " + list.err;
  std::map<std::string, std::uint64_t> there;
  for (const auto& row : nlohmann::json::parse(list.out)) {
    there[row.at("key")] = std::stoull(row.at("value").get<std::string>());
  }
  std::string text;
  for (const auto& client : clients_) {
    if (there[client->key] >= client->acknowledged) continue;
    text += fmt::format("{} is {}, acknowledged was {}\n", client->key, there[client->key],
                        client->acknowledged.load());
  }
  return text;
}

}  // namespace bib::cluster
