#include "wire/base/check.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace bib::wire {

void check_failed(const char* file, int line, const char* condition, std::string_view message) {
  std::string text = fmt::format("{}:{}: check failed: {}", file, line, condition);
  if (!message.empty()) text.append(": ").append(message);
  text += '\n';
  // One call, so that lines of several threads do not mix.
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace bib::wire
