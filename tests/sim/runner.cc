#include "runner.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "sim_cluster.h"
#include "wire/base/check.h"

namespace bib::sim {

namespace {

// Also on a machine that does other things.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kSecondsPerSeed = 600;
#else
constexpr unsigned kSecondsPerSeed = 60;
#endif
constexpr std::size_t kJobsMax = 64;

// What the processes share.
struct Board {
  std::atomic<std::uint64_t> next;
  std::atomic<std::uint64_t> seeds;
  std::atomic<std::uint64_t> simulated;
  std::atomic<std::uint64_t> happenings;
  std::atomic<std::uint64_t> committed;
  std::atomic<std::uint64_t> answered;
  std::atomic<std::uint64_t> leaders;
  std::atomic<std::uint64_t> snapshots;
  std::atomic<std::uint64_t> installations;
  std::atomic<std::uint64_t> cuts;
  std::array<std::atomic<std::uint64_t>, kJobsMax> running;  // each job's seed
};

struct Job {
  pid_t pid = -1;
  int output = -1;  // its failures and its stderr
  std::string text;
};

// "@seed checker what" on stdout; whatever BIB_CHECK prints goes the same way.
void report(std::uint64_t seed, const Violation& violation) {
  std::string what = violation.what;
  std::replace(what.begin(), what.end(), '\n', ' ');
  const std::string line = fmt::format("@{} {} {}\n", seed, violation.checker, what);
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(3);
}

bool run_one(std::uint64_t seed, bool twice, Board& board) {
  const Outcome outcome = run_seed(seed, false);
  board.simulated += outcome.simulated;
  board.happenings += outcome.happenings;
  board.committed += outcome.committed;
  board.answered += outcome.answered;
  board.leaders += outcome.leaders;
  board.snapshots += outcome.snapshots;
  board.installations += outcome.installations;
  board.cuts += outcome.cuts;
  ++board.seeds;
  if (outcome.violation) {
    report(seed, *outcome.violation);
    return false;
  }
  if (twice && run_seed(seed, false).hash != outcome.hash) {
    report(seed, {"determinism", "two runs of this seed differ"});
    return false;
  }
  return true;
}

[[noreturn]] void work(const RunOptions& options, Board& board, std::size_t job) {
  while (true) {
    const std::uint64_t seed = board.next.fetch_add(1);
    if (seed > options.last) _exit(0);
    board.running[job] = seed;
    alarm(kSecondsPerSeed);
    const bool twice = options.repeat_every != 0 && seed % options.repeat_every == 0;
    (void)run_one(seed, twice, board);
    board.running[job] = 0;
  }
}

Job start_job(const RunOptions& options, Board& board, std::size_t number) {
  std::array<int, 2> ends{};
  BIB_CHECK(pipe(ends.data()) == 0);
  std::fflush(stdout);
  const pid_t pid = fork();
  BIB_CHECK(pid >= 0, "cannot fork: {}", std::strerror(errno));
  if (pid == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    work(options, board, number);
  }
  close(ends[1]);
  return {pid, ends[0], {}};
}

// Lines that begin with '@' are failures; others were printed by a process that is about to die.
void take_lines(Job& job, RunResult& result, bool at_end, std::string& last_words) {
  std::size_t begin = 0;
  for (std::size_t end = job.text.find('\n'); end != std::string::npos;
       end = job.text.find('\n', begin)) {
    const std::string line = job.text.substr(begin, end - begin);
    begin = end + 1;
    if (!line.starts_with('@')) {
      if (!line.empty()) last_words = line;
      continue;
    }
    const std::size_t first = line.find(' ');
    const std::size_t second = line.find(' ', first + 1);
    result.failures.push_back({std::strtoull(line.c_str() + 1, nullptr, 10),
                               line.substr(first + 1, second - first - 1),
                               line.substr(second + 1)});
  }
  job.text.erase(0, begin);
  if (at_end && !job.text.empty()) last_words = job.text;
}

void end_of_job(const Job& job, std::uint64_t seed, const std::string& last_words,
                RunResult& result) {
  int status = 0;
  waitpid(job.pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (seed == 0) return;
  Failure failure{seed, "crash", last_words};
  if (WIFSIGNALED(status)) {
    if (WTERMSIG(status) == SIGALRM) failure = {seed, "hang", "no end in sight"};
    if (last_words.find("check failed") != std::string::npos) failure.checker = "check";
    if (failure.what.empty()) failure.what = strsignal(WTERMSIG(status));
  }
  result.failures.push_back(std::move(failure));
}

void print_progress(const RunOptions& options, const Board& board, double seconds, bool end) {
  if (options.quiet) return;
  const double seeds = static_cast<double>(board.seeds.load());
  const double simulated = static_cast<double>(board.simulated.load()) / kSecond;
  fmt::print("{}{:.0f} of {} seeds, {:.1f} s, {:.0f} seeds/s, {:.0f} times real time{}",
             isatty(STDOUT_FILENO) != 0 ? "\r" : "", seeds, options.last - options.first + 1,
             seconds, seeds / seconds, simulated / seconds,
             end || isatty(STDOUT_FILENO) == 0 ? "\n" : " ");
  std::fflush(stdout);
}

}  // namespace

RunResult run_seeds(const RunOptions& options) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  BIB_CHECK(memory != MAP_FAILED);
  Board& board = *new (memory) Board{};
  board.next = options.first;

  RunResult result;
  const std::size_t jobs = std::min<std::size_t>(std::max(options.jobs, 1U), kJobsMax);
  std::vector<Job> running;
  for (std::size_t i = 0; i < jobs; ++i) running.push_back(start_job(options, board, i));
  double told = 0;
  std::size_t left = jobs;
  while (left > 0) {
    std::vector<pollfd> polled;
    for (const Job& job : running) polled.push_back({job.output, POLLIN, 0});
    poll(polled.data(), polled.size(), 500);
    if (seconds() - told > 10) {
      told = seconds();
      print_progress(options, board, told, false);
    }
    for (std::size_t i = 0; i < jobs; ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      Job& job = running[i];
      std::array<char, 4096> buffer;
      const ssize_t count = read(job.output, buffer.data(), buffer.size());
      std::string last_words;
      if (count > 0) {
        job.text.append(buffer.data(), static_cast<std::size_t>(count));
        if (job.text.find('@') != std::string::npos) take_lines(job, result, false, last_words);
      } else {
        take_lines(job, result, true, last_words);
        close(job.output);
        job.output = -1;
        end_of_job(job, board.running[i], last_words, result);
        board.running[i] = 0;
        --left;
        const bool more = board.next.load() <= options.last;
        if (more && result.failures.size() < options.failures_max) {
          job = start_job(options, board, i);
          ++left;
        }
      }
    }
    if (result.failures.size() >= options.failures_max) board.next = options.last + 1;
  }
  result.seconds = seconds();
  result.seeds = board.seeds;
  result.simulated = board.simulated;
  result.happenings = board.happenings;
  result.committed = board.committed;
  result.answered = board.answered;
  result.leaders = board.leaders;
  result.snapshots = board.snapshots;
  result.installations = board.installations;
  result.cuts = board.cuts;
  print_progress(options, board, result.seconds, true);
  munmap(memory, sizeof(Board));
  std::sort(result.failures.begin(), result.failures.end(),
            [](const Failure& a, const Failure& b) { return a.seed < b.seed; });
  return result;
}

}  // namespace bib::sim
