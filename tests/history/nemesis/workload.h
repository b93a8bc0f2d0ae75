// Workload: clients that read, write, compare-and-set and delete a few config keys at a time, each
// on a thread of its own, through cli/client/client.h, and have all of it recorded.
//
// Every write has a value of its own, except that now and then one repeats the value that it
// believes to be there. Reads are linearizable and asked of any node; changes of whoever leads, or
// of any node that passes them on. After so many operations on the present keys the clients go on
// to new ones, so that no key's history grows beyond what the checker can hold.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cli/client/client.h"
#include "recorder.h"
#include "wire/base/prng.h"

namespace bib::nemesis {

struct WorkloadOptions {
  std::vector<cli::ServerAddress> servers;  // one for each node
  std::size_t clients = 6;
  std::uint64_t seed = 1;
  std::size_t keys = 5;  // at a time
  std::size_t operations_per_key = 250;
  std::uint64_t rate = 600;  // operations a second, of all clients together
  std::chrono::milliseconds timeout{1500};
};

class Workload {
 public:
  Workload(WorkloadOptions options, Recorder& recorder);
  ~Workload();

  void stop();
  // After stop(): reads every key at every node, as part of the history.
  void read_all();

  std::uint64_t acknowledged() const { return acknowledged_; }
  // Answers that no correct node gives.
  std::vector<std::string> unexpected() const;
  void report(const std::string& what);
  // One of the present keys.
  std::string some_key(wire::Prng& random) const;

 private:
  struct Belief {
    std::string value;
    std::uint64_t revision = 0;
  };
  class Client;

  void run(std::size_t client);
  support::Operation choose(wire::Prng& random, std::size_t client);
  void learn(const support::Operation& operation, const support::Operation& answer);
  bool pause(std::chrono::microseconds time);

  WorkloadOptions options_;
  Recorder& recorder_;
  mutable std::mutex mutex_;
  std::condition_variable stopping_changed_;
  bool stopping_ = false;
  std::uint64_t chosen_ = 0;
  std::uint64_t group_ = 0;  // of keys, at present
  std::uint64_t written_ = 0;
  std::set<std::string> keys_;
  std::map<std::string, Belief> beliefs_;  // of the present keys
  std::vector<std::string> unexpected_;
  std::atomic<std::uint64_t> acknowledged_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace bib::nemesis
