// A library for LD_PRELOAD that makes a process's disk slow while the process runs.
//
// The file named by BIB_SLOW_DISK holds one 64-bit number: how many microseconds each write that is
// to be durable, and each sync, takes longer. Whoever holds the file changes it at any time; 0 also
// ends the waits that are under way. Without the variable nothing changes.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using Delay = std::atomic<std::uint64_t>;

const Delay* open_delay() {
  const char* name = std::getenv("BIB_SLOW_DISK");
  if (name == nullptr) return nullptr;
  const int file = ::open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return nullptr;
  void* memory = ::mmap(nullptr, sizeof(Delay), PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<const Delay*>(memory);
}

void wait() {
  static const Delay* const delay = open_delay();
  if (delay == nullptr) return;
  constexpr std::uint64_t kStepUs = 2000;
  for (std::uint64_t waited = 0; waited < delay->load();) {
    const std::uint64_t step = std::min(kStepUs, delay->load() - waited);
    if (step > kStepUs) return;  // shortened meanwhile
    const timespec time{0, static_cast<long>(step) * 1000};
    ::nanosleep(&time, nullptr);
    waited += step;
  }
}

template <typename Function>
Function original(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int fdatasync(int file) {
  static const auto call = original<int (*)(int)>("fdatasync");
  wait();
  return call(file);
}

int fsync(int file) {
  static const auto call = original<int (*)(int)>("fsync");
  wait();
  return call(file);
}

ssize_t pwritev2(int file, const iovec* parts, int count, off_t offset, int flags) {
  static const auto call = original<ssize_t (*)(int, const iovec*, int, off_t, int)>("pwritev2");
  if (flags != 0) wait();
  return call(file, parts, count, offset, flags);
}

ssize_t pwritev64v2(int file, const iovec* parts, int count, off64_t offset, int flags) {
  return pwritev2(file, parts, count, offset, flags);
}

}  // extern "C"
