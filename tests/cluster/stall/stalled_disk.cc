// A disk that stalls, as a library that is loaded before everything else (LD_PRELOAD): what makes
// writes durable blocks for as long as the file $BIB_STALL_DIR/<process id> exists.
//
// Reads, and writes that nobody waits for, go through, as they do while a disk's queue is full.
#include <dlfcn.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

void wait_for_the_disk() {
  static const char* const directory = std::getenv("BIB_STALL_DIR");
  if (directory == nullptr) return;
  char path[4096];
  std::snprintf(path, sizeof path, "%s/%d", directory, static_cast<int>(::getpid()));
  const timespec moment{0, 5'000'000};
  while (::access(path, F_OK) == 0) ::nanosleep(&moment, nullptr);
}

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

using VectorWrite = ssize_t (*)(int, const iovec*, int, off_t, int);
using Sync = int (*)(int);

}  // namespace

extern "C" {

ssize_t pwritev2(int file, const iovec* parts, int count, off_t offset, int flags) {
  static const auto write = real<VectorWrite>("pwritev2");
  if ((flags & (RWF_DSYNC | RWF_SYNC)) != 0) wait_for_the_disk();
  return write(file, parts, count, offset, flags);
}

ssize_t pwritev64v2(int file, const iovec* parts, int count, off_t offset, int flags) {
  static const auto write = real<VectorWrite>("pwritev64v2");
  if ((flags & (RWF_DSYNC | RWF_SYNC)) != 0) wait_for_the_disk();
  return write(file, parts, count, offset, flags);
}

int fdatasync(int file) {
  static const auto sync = real<Sync>("fdatasync");
  wait_for_the_disk();
  return sync(file);
}

int fsync(int file) {
  static const auto sync = real<Sync>("fsync");
  wait_for_the_disk();
  return sync(file);
}

}  // extern "C"
