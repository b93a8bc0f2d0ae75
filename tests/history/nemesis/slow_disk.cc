#include "slow_disk.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "process.h"

namespace bib::nemesis {

SlowDisk::SlowDisk(std::filesystem::path file) : file_(std::move(file)) {
  using Delay = std::atomic<std::uint64_t>;
  const int opened = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* memory = MAP_FAILED;
  if (opened >= 0 && ::ftruncate(opened, sizeof(Delay)) == 0) {
    memory = ::mmap(nullptr, sizeof(Delay), PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
  }
  const int error = errno;
  if (opened >= 0) ::close(opened);
  if (memory == MAP_FAILED) throw std::system_error(error, std::generic_category(), file_.string());
  delay_us_ = static_cast<Delay*>(memory);
}

SlowDisk::~SlowDisk() {
  ::munmap(delay_us_, sizeof *delay_us_);
}

std::vector<std::string> SlowDisk::runner() const {
  return {"/usr/bin/env", "LD_PRELOAD=" + cluster::program("BIB_SLOW_DISK_SHIM"),
          "BIB_SLOW_DISK=" + file_.string()};
}

void SlowDisk::set(std::chrono::microseconds delay) {
  delay_us_->store(static_cast<std::uint64_t>(delay.count()));
}

}  // namespace bib::nemesis
