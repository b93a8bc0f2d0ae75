#include "wire/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace bib::wire {
namespace {

std::atomic<void (*)()> before_abort = nullptr;

}  // namespace

void set_before_abort(void (*action)()) {
  before_abort = action;
}

void check_failed(const char* file, int line, const char* condition, std::string_view message) {
  std::string text = fmt::format("{}:{}: check failed: {}", file, line, condition);
  if (!message.empty()) text.append(": ").append(message);
  text += '\n';
  // Once: a check that fails in it must not call it again.
  if (const auto action = before_abort.exchange(nullptr)) action();
  // One call, so that lines of several threads do not mix.
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace bib::wire
