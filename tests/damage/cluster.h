// Cluster: some machines on one network, a client, and what is asked of them all.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lan.h"
#include "machine.h"
#include "timeline.h"
#include "wire/base/prng.h"
#include "wire/client/client_message.h"

namespace bib::damage {

// What was acknowledged: config keys and their values.
using Acknowledged = std::map<std::string, std::string>;

struct Answer {
  wire::FrameKind kind{};
  std::vector<std::uint8_t> body;
};

class Cluster {
 public:
  // `root`/n1, n2, ... are the data directories.
  Cluster(std::string root, std::uint64_t seed);

  // Node 1 founds, the others join.
  Machine& add(std::uint64_t id);
  Machine& machine(std::uint64_t id);
  std::string directory(std::uint64_t id) const;

  Timeline& timeline() { return timeline_; }
  bool run_until(const std::function<bool()>& condition, Time within) {
    return timeline_.run_until(condition, within);
  }
  // Who leads another cluster than this machine's is not asked from now on.
  void insist_on_cluster_of(std::uint64_t id) { trusted_ = id; }
  // The one with the highest term that leads.
  Machine* leader();

  // Acknowledged within the time, or not known.
  bool set(const std::string& key, const std::string& value, Time within);
  // The leader says that it is done.
  bool remove(std::uint64_t id, Time within);
  // All of them run, vote, have applied the same entry, the leader's last, with equal digests.
  bool have_converged(const std::vector<std::uint64_t>& ids);
  // Stops them, in this order.
  bool stop(const std::vector<std::uint64_t>& ids, Time within);

  // What is wrong with the machine's rows: they cannot be read, the digests are not theirs, or
  // something that was acknowledged is not there.
  wire::Status check_rows(std::uint64_t id);

  Acknowledged acknowledged;

 private:
  wire::NodeConfig config(std::uint64_t id) const;
  bool is_of_this_cluster(Machine& one);
  std::optional<Answer> ask_leader(wire::FrameKind kind, wire::ByteView body, Time within);

  const std::string root_;
  wire::Prng random_;
  Timeline timeline_;
  Lan lan_{timeline_};
  std::map<std::uint64_t, std::unique_ptr<Machine>> machines_;
  wire::ClientEncoder encoder_;
  wire::ClientId client_;
  std::uint64_t sequence_ = 0;
  std::uint64_t requests_ = 0;
  std::optional<std::uint64_t> trusted_;
  std::optional<std::pair<std::uint64_t, Answer>> answer_;
};

// Digits that no compression halves.
std::string hex_text(wire::Prng& random, std::size_t size);

}  // namespace bib::damage
