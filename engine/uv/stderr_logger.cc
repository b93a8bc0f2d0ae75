#include "engine/uv/stderr_logger.h"

#include <fmt/chrono.h>
#include <poll.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "engine/uv/thread_name.h"
#include "wire/base/check.h"

namespace bib::engine {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kLastWordsTime = 1s;
constexpr auto kAbortTime = 1s;

// The one whose lines a failed check waits for: the first.
std::atomic<StderrLogger*> process_logger = nullptr;

std::uint64_t now_ms() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
          .count());
}

std::string stamp() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto since_epoch = now.time_since_epoch().count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z ",
                     fmt::gmtime(static_cast<std::time_t>(since_epoch / 1000)), since_epoch % 1000);
}

std::string head_of(LogLevel level, std::string_view area) {
  return fmt::format("{:<5} {:<8} ", log_level_name(level), area);
}

// `message` is one printable line (Logger).
void add_message(std::string& line, std::string_view message) {
  const std::size_t room = StderrLogger::kLineBytesMax - line.size();
  line += message.substr(0, room);
  if (message.size() > room) line += " ...";
}

// Nothing can be done about a log that cannot be written.
void write_line(int descriptor, std::string_view line) {
  while (!line.empty()) {
    const ssize_t count = ::write(descriptor, line.data(), line.size());
    if (count >= 0) {
      line.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd ready{descriptor, POLLOUT, 0};  // somebody else made it so
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

}  // namespace

struct StderrLogger::State {
  explicit State(const Options& given) : options(given), limit(given.limit) {}

  const Options options;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable written;
  // ---- under the mutex
  LineLimit limit;
  std::deque<std::string> waiting;
  std::size_t waiting_bytes = 0;
  std::uint64_t dropped = 0;  // after all that wait
  bool writing = false;
  bool stopping = false;

  void post(LogLevel level, std::string line);
  bool wait_written(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds within);
  void add_left_out(const std::vector<LineLimit::LeftOut>& left_out);
  bool wait_for_lines(std::unique_lock<std::mutex>& lock);
  void run();
};

void StderrLogger::State::post(LogLevel level, std::string line) {
  const std::size_t most = options.waiting_bytes_max;
  if (waiting_bytes + line.size() > (level == LogLevel::kError ? most + most / 2 : most)) {
    ++dropped;
    return;
  }
  waiting_bytes += line.size();
  waiting.push_back(std::move(line));
  wake.notify_one();
}

bool StderrLogger::State::wait_written(std::unique_lock<std::mutex>& lock,
                                       std::chrono::milliseconds within) {
  return written.wait_for(lock, within,
                          [this] { return waiting.empty() && dropped == 0 && !writing; });
}

// Few: one for each kind of line and period.
void StderrLogger::State::add_left_out(const std::vector<LineLimit::LeftOut>& left_out) {
  for (const LineLimit::LeftOut& one : left_out) {
    const std::string subject =
        one.subject.empty() ? head_of(LogLevel::kWarn, "log") + "other lines" : one.subject;
    waiting.push_back(fmt::format("{}{}: {} more of these lines within {} s are left out\n",
                                  stamp(), subject, one.lines,
                                  static_cast<double>(limit.period_ms()) / 1000));
    waiting_bytes += waiting.back().size();
  }
}

// False: there will be none any more.
bool StderrLogger::State::wait_for_lines(std::unique_lock<std::mutex>& lock) {
  while (waiting.empty() && dropped == 0) {
    if (stopping) {
      add_left_out(limit.all());
      return !waiting.empty();
    }
    const auto end = limit.next_end_ms();
    if (!end) {
      wake.wait(lock);
      continue;
    }
    const std::uint64_t now = now_ms();
    if (*end > now) wake.wait_for(lock, std::chrono::milliseconds(*end - now));
    add_left_out(limit.ended(now_ms()));
  }
  return true;
}

void StderrLogger::State::run() {
  name_this_thread("bib-lines");
  std::unique_lock lock(mutex);
  while (wait_for_lines(lock)) {
    const std::deque<std::string> lines = std::exchange(waiting, {});
    const std::uint64_t missing = std::exchange(dropped, 0);
    waiting_bytes = 0;
    writing = true;
    lock.unlock();
    for (const std::string& line : lines) write_line(options.descriptor, line);
    if (missing > 0) {
      write_line(options.descriptor,
                 fmt::format("{}{}{} lines are left out here: stderr did not take them in time\n",
                             stamp(), head_of(LogLevel::kWarn, "log"), missing));
    }
    lock.lock();
    writing = false;
    written.notify_all();
  }
}

StderrLogger::StderrLogger(LogLevel level, Options options)
    : Logger(level),
      state_(std::make_shared<State>(options)),
      thread_([state = state_] { state->run(); }) {
  StderrLogger* none = nullptr;
  if (process_logger.compare_exchange_strong(none, this)) {
    wire::set_before_abort(&StderrLogger::flush_before_abort);
  }
}

StderrLogger::~StderrLogger() {
  StderrLogger* self = this;
  process_logger.compare_exchange_strong(self, nullptr);
  bool ended = false;
  {
    std::unique_lock lock(state_->mutex);
    state_->add_left_out(state_->limit.all());
    state_->stopping = true;
    state_->wake.notify_one();
    ended = state_->wait_written(lock, kLastWordsTime);
  }
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

bool StderrLogger::flush(std::chrono::milliseconds within) {
  std::unique_lock lock(state_->mutex);
  return state_->wait_written(lock, within);
}

// On the thread whose check has failed; it may hold any lock, this one too. The thread that writes
// has it for moments at a time.
void StderrLogger::flush_before_abort() {
  StderrLogger* logger = process_logger.load();
  if (logger == nullptr) return;
  const auto end = Clock::now() + kAbortTime;
  std::unique_lock lock(logger->state_->mutex, std::defer_lock);
  while (!lock.try_lock()) {
    if (Clock::now() >= end) return;
    std::this_thread::sleep_for(1ms);
  }
  logger->state_->wait_written(lock,
                               std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()));
}

void StderrLogger::write(LogLevel level, std::string_view area, std::string_view message) {
  write_of_kind(level, area, {}, message);
}

void StderrLogger::write_of_kind(LogLevel level, std::string_view area, std::string_view kind,
                                 std::string_view message) {
  const std::string head = head_of(level, area);
  const bool is_limited = level == LogLevel::kInfo || level == LogLevel::kWarn;
  const std::lock_guard lock(state_->mutex);
  if (is_limited && !state_->limit.take(head + std::string(kind), now_ms())) {
    state_->wake.notify_one();  // the thread is to tell when the period ends
    return;
  }
  std::string line = stamp() + head;
  add_message(line, message);
  line += '\n';
  state_->post(level, std::move(line));
}

}  // namespace bib::engine
