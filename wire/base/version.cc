#include "wire/base/version.h"

namespace bib::wire {

const char* version() {
  return BIB_VERSION;
}

}  // namespace bib::wire
