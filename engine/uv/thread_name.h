// The names of this process's threads, as ps, gdb and perf show them: "bib-log", "bib-store", ...
// The main thread keeps the program's.
#pragma once

#include <pthread.h>

namespace bib::engine {

// At most 15 characters.
inline void name_this_thread(const char* name) {
  pthread_setname_np(pthread_self(), name);
}

}  // namespace bib::engine
