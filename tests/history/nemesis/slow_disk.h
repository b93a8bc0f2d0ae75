// Slow disks: one node's control file for the library that its bibd is started with.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bib::nemesis {

class SlowDisk {
 public:
  // Makes the file. Throws when the system refuses.
  explicit SlowDisk(std::filesystem::path file);
  ~SlowDisk();
  SlowDisk(const SlowDisk&) = delete;
  SlowDisk& operator=(const SlowDisk&) = delete;

  // What goes before the program: "env LD_PRELOAD=... BIB_SLOW_DISK=...".
  std::vector<std::string> runner() const;
  // Each durable write takes so much longer from now on; 0: none.
  void set(std::chrono::microseconds delay);

 private:
  std::filesystem::path file_;
  std::atomic<std::uint64_t>* delay_us_ = nullptr;
};

}  // namespace bib::nemesis
