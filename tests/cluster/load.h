// Load: clients that write all the time, each one key of its own, and what was acknowledged to
// them.
//
// A thread for each client, which sends its next write when the last one is answered. The cluster
// must outlive it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cluster.h"

namespace bib::cluster {

class Load {
 public:
  Load(const Cluster& cluster, std::size_t clients);
  ~Load() { stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Writes that were acknowledged so far, and such that were refused or not answered in time.
  std::uint64_t count() const;
  std::uint64_t failures() const { return failures_; }
  // How long the longest write took, refused or not, of those that ended since the last call.
  std::chrono::milliseconds longest();
  // So many more are acknowledged within a generous time.
  bool goes_on(std::uint64_t writes) const;
  void stop();
  // After stop(): what is missing of what was acknowledged, for a person; empty: nothing.
  std::string missing() const;

 private:
  struct Client {
    std::string key;
    std::atomic<std::uint64_t> acknowledged = 0;
    std::atomic<std::int64_t> longest_ms = 0;
    std::thread thread;
  };

  void run(Client& client);

  const Cluster& cluster_;
  const std::vector<cli::ServerAddress> servers_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::atomic<std::uint64_t> failures_ = 0;
  std::atomic<bool> stop_ = false;
};

}  // namespace bib::cluster
