// The process's log, and a reader of it that has stopped.
#include "engine/uv/stderr_logger.h"

#include <fcntl.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <string>

#include "support/test_support.h"
#include "wire/base/check.h"

using namespace bib;
using namespace bib::engine;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

// A pipe of one page, which nobody reads until the test does.
class SmallPipe {
 public:
  SmallPipe() {
    std::signal(SIGPIPE, SIG_IGN);  // as bibd does
    REQUIRE(::pipe(ends_.data()) == 0);
    REQUIRE(::fcntl(ends_[1], F_SETPIPE_SZ, 4096) >= 0);
    REQUIRE(::fcntl(ends_[0], F_SETFL, O_NONBLOCK) == 0);
  }
  ~SmallPipe() {
    for (const int end : ends_) ::close(end);
  }
  SmallPipe(const SmallPipe&) = delete;
  SmallPipe& operator=(const SmallPipe&) = delete;

  int in() const { return ends_[1]; }
  // All that has come out so far.
  const std::string& read() {
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::read(ends_[0], buffer.data(), buffer.size())) > 0;) {
      text_.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return text_;
  }
  bool says(const std::string& what) {
    return support::wait_until([&] { return read().find(what) != std::string::npos; }, 20s);
  }

 private:
  std::array<int, 2> ends_{};
  std::string text_;
};

StderrLoggerOptions into(const SmallPipe& pipe) {
  return {.descriptor = pipe.in(), .waiting_bytes_max = 10'000, .limit = {.lines_max = 1'000'000}};
}

}  // namespace

TEST_CASE("who logs does not wait for a reader that has stopped, and lost lines are counted") {
  constexpr std::size_t kLines = 2000;
  SmallPipe pipe;
  StderrLogger logger(LogLevel::kInfo, into(pipe));
  for (std::size_t i = 0; i < kLines; ++i) logger.warn("test", "line {} of many", i);
  logger.error("test", "an error finds room");
  CHECK_FALSE(logger.flush(1ms));
  // The reader goes on.
  REQUIRE(support::wait_until(
      [&] {
        pipe.read();
        return logger.flush(1ms);
      },
      20s));
  const std::string& text = pipe.read();
  CHECK_THAT(text, Contains("line 0 of many") && Contains("an error finds room"));
  const std::size_t written = support::count_of(text, " of many\n");
  const std::string notice = "warn  log      ";
  std::size_t lost = 0;
  for (auto at = text.find(notice); at != std::string::npos; at = text.find(notice, at + 1)) {
    lost += std::stoul(text.substr(at + notice.size()));
  }
  CHECK_THAT(text, Contains("lines are left out here"));
  CHECK(written + lost == kLines);
  CHECK(written < kLines / 2);
  logger.warn("test", "there is room again");
  CHECK(pipe.says("there is room again"));
}

TEST_CASE("the process can end although nobody reads its log") {
  SmallPipe pipe;
  {
    StderrLogger logger(LogLevel::kInfo, into(pipe));
    for (std::size_t i = 0; i < 100; ++i) logger.info("test", "line {} of many", i);
  }
  CHECK(pipe.says("line 99 of many"));  // the thread goes on for as long as the process does
}

TEST_CASE("lines of one kind are limited, and errors are not") {
  SmallPipe pipe;
  StderrLoggerOptions options = into(pipe);
  options.limit = {.lines_max = 3, .period_ms = 1000};
  StderrLogger logger(LogLevel::kDebug, options);
  for (int i = 0; i < 10; ++i) {
    logger.warn("test", "stranger {}", i);
    logger.error("test", "error {}", i);
    logger.debug("test", "detail {}", i);
  }
  logger.warn("test", "another kind");
  REQUIRE(pipe.says("more of these lines within 1 s are left out"));
  CHECK_THAT(pipe.read(), Contains("stranger 2") && Contains("error 9") && Contains("detail 9") &&
                              Contains("another kind"));
}

TEST_CASE("lines that are left out are told of before the log ends") {
  SmallPipe pipe;
  {
    StderrLoggerOptions options = into(pipe);
    options.limit = {.lines_max = 3, .period_ms = 3'600'000};
    StderrLogger logger(LogLevel::kInfo, options);
    for (int i = 0; i < 10; ++i) logger.info("test", "stranger {}", i);
  }
  CHECK_THAT(
      pipe.read(),
      Contains("info  test     stranger {}: 7 more of these lines within 3600 s are left out") &&
          !Contains("stranger 3"));
}

TEST_CASE("what others sent cannot break a line, or make it as long as they like") {
  SmallPipe pipe;
  {
    StderrLogger logger(LogLevel::kInfo, {.descriptor = pipe.in()});
    logger.info("test", "from '{}'", "a\n2026-01-01 info forged\x1b[2J\x7f\t");
    CHECK(pipe.says("from 'a\\x0a2026-01-01 info forged\\x1b[2J\\x7f\\x09'\n"));
    logger.info("test", "{}", std::string(1'000'000, 'x'));
    CHECK(pipe.says("more bytes)\n"));
  }
  CHECK(pipe.read().size() < StderrLogger::kLineBytesMax + 200);
}

TEST_CASE("what was logged before a check failed is out before the process ends") {
  const auto said = support::aborts([] {
    StderrLogger logger(LogLevel::kInfo);
    for (int i = 0; i < 40; ++i) logger.info("test", "step {}.", i);
    BIB_CHECK(false, "and then");
  });
  REQUIRE(said);
  CHECK_THAT(*said, Contains("step 39."));
  CHECK(said->find("step 39.") < said->find("and then"));
}
