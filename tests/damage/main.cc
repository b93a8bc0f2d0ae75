// bib_damage: damaged data directories, one for each seed (docs/testing.md).
//
//   bib_damage --seed N         one seed, with all that was said
//   bib_damage --seeds A..B     many, on all cores
//
// Exit code: 0 all is as it should be, 1 not (the seeds are printed), 2 wrong usage.
#include <fmt/format.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <thread>

#include "harm.h"
#include "scenes.h"
#include "support/test_support.h"
#include "trial.h"

namespace bib::damage {
namespace {

namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kSecondsMax = 600;
#else
constexpr unsigned kSecondsMax = 120;  // also on a machine that does other things
#endif

constexpr std::size_t kShown = 1500;  // bytes of a failure, where there may be many
constexpr char kEnded[] = "ended: ";

struct Counts {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::map<std::string, std::uint64_t> ends;
  std::map<int, std::uint64_t> inspected;
};

// Who reads a device to its end must not take the machine's memory for it. (A sanitizer's is mostly
// not there.)
void limit_memory() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  constexpr rlim_t kBytes = rlim_t{2} << 30;
  const rlimit limit{kBytes, kBytes};
  if (::setrlimit(RLIMIT_DATA, &limit) != 0) ::_exit(1);
#endif
}

// A process of its own: it may crash, hang, and keep what nobody may read. What it prints goes to
// `output`.
pid_t in_child(const std::string& output, const std::function<int()>& what) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid < 0) {
    fmt::print(stderr, "cannot fork: {}\n", std::strerror(errno));
    std::exit(1);
  }
  if (pid > 0) return pid;
  if (std::freopen(output.c_str(), "w", stdout) == nullptr || ::dup2(1, 2) < 0) ::_exit(1);
  ::alarm(kSecondsMax);
  limit_memory();
  const int code = what();
  std::fflush(stdout);
  ::_exit(code);
}

// Empty: it ended well.
std::string why_ended(int status) {
  if (WIFSIGNALED(status)) {
    if (WTERMSIG(status) == SIGALRM) return "hangs";
    return fmt::format("dies of signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  }
  return WEXITSTATUS(status) == 0 ? "" : "is not as it should be";
}

// Line by line: the harm, what was begun, and how it ended.
int try_seed(std::uint64_t seed, const std::string& scenes, const std::string& scratch) {
  const Verdict verdict = run_trial(seed, scenes, scratch, [](const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  });
  fmt::print("{}{}\n{}\n{}\n{}\n", kEnded, verdict.inspected, verdict.ended, verdict.violation,
             verdict.details);
  return verdict.violation.empty() ? 0 : 1;
}

class Run {
 public:
  Run(std::string root, unsigned jobs, bool tells_all)
      : root_(std::move(root)), jobs_(jobs), tells_all_(tells_all) {}

  bool build_scenes() {
    for (const Scene& scene : scenes()) {
      const std::string said = fmt::format("{}/{}.txt", root_, scene.name);
      const pid_t pid = in_child(said, [&] {
        const std::string problem = build_scene(scene, scenes_root() + "/" + scene.name);
        fmt::print("{}\n", problem);
        return problem.empty() ? 0 : 1;
      });
      int status = 0;
      ::waitpid(pid, &status, 0);
      const std::string why = why_ended(status);
      if (why.empty()) continue;
      fmt::print("scene '{}' {}: {}", scene.name, why, support::read_file(said));
      return false;
    }
    return true;
  }

  void run(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t seed = first; seed <= last; ++seed) {
      if (running_.size() >= jobs_) reap();
      const pid_t pid =
          in_child(said_by(seed), [&] { return try_seed(seed, scenes_root(), scratch_of(seed)); });
      running_[pid] = seed;
    }
    while (!running_.empty()) reap();
  }

  const Counts& counts() const { return counts_; }

 private:
  std::string scenes_root() const { return root_ + "/scenes"; }
  std::string scratch_of(std::uint64_t seed) const { return fmt::format("{}/{}", root_, seed); }
  std::string said_by(std::uint64_t seed) const { return scratch_of(seed) + ".txt"; }

  void reap() {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, 0);
    const auto found = running_.find(pid);
    if (found == running_.end()) return;
    const std::uint64_t seed = found->second;
    running_.erase(found);
    take(seed, why_ended(status));
    remove_all(scratch_of(seed));
    fs::remove(said_by(seed));
  }

  void take(std::uint64_t seed, const std::string& why) {
    ++counts_.seeds;
    const std::string said = support::read_file(said_by(seed));
    const std::size_t at = said.find(std::string("\n") + kEnded);
    if (at != std::string::npos) {
      std::istringstream end(said.substr(at + 1 + std::strlen(kEnded)));
      std::string code, ended;
      std::getline(end, code);
      std::getline(end, ended);
      ++counts_.inspected[std::atoi(code.c_str())];
      ++counts_.ends[ended];
    }
    if (why.empty() && !tells_all_) return;
    counts_.failed += why.empty() ? 0 : 1;
    fmt::print("seed {} {}: {}\n", seed, why.empty() ? "is as it should be" : why,
               tells_all_ ? said : said.substr(0, kShown));
    if (!tells_all_) fmt::print("  again: bib_damage --seed {}\n", seed);
    std::fflush(stdout);
  }

  const std::string root_;
  const unsigned jobs_;
  const bool tells_all_;
  std::map<pid_t, std::uint64_t> running_;
  Counts counts_;
};

// To root, every file can be read.
void become_nobody() {
  constexpr unsigned kNobody = 65534;
  if (::geteuid() != 0) return;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
      ::setresuid(kNobody, kNobody, kNobody) != 0) {
    fmt::print("stays root: what may not be read is read\n");
  }
}

void print_counts(const Counts& counts) {
  fmt::print("{} seeds, {} failed\n", counts.seeds, counts.failed);
  for (const auto& [code, count] : counts.inspected) {
    fmt::print("  raft-inspect verify ends with {}: {}\n", code, count);
  }
  for (const auto& [end, count] : counts.ends) {
    fmt::print("  {}: {}\n", end.empty() ? "(no end)" : end, count);
  }
}

int main(int argc, char** argv) {
  CLI::App app{"Damaged data directories of bib nodes, one for each seed"};
  std::uint64_t seed = 0;
  std::string range;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  app.add_option("--seed", seed, "run this seed only, and print all that was said");
  app.add_option("--seeds", range, "run the seeds A..B");
  app.add_option("--jobs", jobs, "processes; all cores when not given");
  CLI11_PARSE(app, argc, argv);
  std::uint64_t first = seed;
  std::uint64_t last = seed;
  if (seed == 0) {
    const std::size_t dots = range.find("..");
    if (dots == std::string::npos) {
      fmt::print(stderr, "{}", app.help());
      return 2;
    }
    first = std::strtoull(range.c_str(), nullptr, 10);
    last = std::strtoull(range.c_str() + dots + 2, nullptr, 10);
  }
  become_nobody();
  // In memory where there is such a place: nothing here has to survive a power failure.
  if (std::getenv("TMPDIR") == nullptr && ::access("/dev/shm", W_OK) == 0) {
    ::setenv("TMPDIR", "/dev/shm", 1);
  }
  const support::TempDir root;
  Run run(root.path().string(), std::max(jobs, 1U), seed != 0);
  if (!run.build_scenes()) return 1;
  run.run(first, last);
  if (seed == 0) print_counts(run.counts());
  return run.counts().failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bib::damage

int main(int argc, char** argv) {
  return bib::damage::main(argc, argv);
}
