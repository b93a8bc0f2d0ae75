// A node that may not read, or has no room: it says which file, calls nothing damaged, keeps
// everything, and starts when it has been done what it says.
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

constexpr ::uid_t kNobody = 65534;

// A cluster of one node that is started by the script of the moment.
struct Stage {
  support::TempDir scratch;
  const std::string script = (scratch / "run").string();
  Cluster cluster{quick_timeouts()};

  Stage() {
    run_by("exec \"$@\"");
    cluster.use_places({{.runner = {"/bin/sh", script}}});
    cluster.form(1);
    REQUIRE(cluster.bib({"--timeout", "20s", "config", "set", "k", "v"}).exit_code == 0);
    cluster.process(0).signal(SIGTERM);
    REQUIRE(cluster.process(0).wait(20s) == 0);
  }

  void run_by(const std::string& text) const { support::write_file(script, text + "\n"); }

  void require_well() const {
    const bool is_well = support::wait_until(
        [&] {
          const Finished got = cluster.bib({"--timeout", "20s", "config", "get", "k"});
          return got.exit_code == 0 && got.out.find('v') != std::string::npos;
        },
        30s);
    INFO(cluster.node_log(0));
    REQUIRE(is_well);
  }
};

std::string last_words(const Cluster& cluster) {
  const std::string log = cluster.node_log(0);
  return log.substr(std::min(log.size(), log.rfind("\nbibd: ")));
}

bool can(const std::vector<std::string>& command) {
  return run(command).exit_code == 0;
}

}  // namespace

TEST_CASE("a node that may not read a file of its own says which, and that nothing is damaged") {
  const bool is_root = ::geteuid() == 0;
  const std::string as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
  const bool works =
      !is_root || can({"/bin/sh", "-c", as_nobody + " test -x " + program("BIB_BIBD")});
  if (!works) return support::skip("the program cannot be run as another user");
  Stage stage;
  Cluster& cluster = stage.cluster;
  const fs::path data = cluster.data(0);
  const auto give = [&](const fs::path& path) {
    if (is_root) REQUIRE(::lchown(path.c_str(), kNobody, kNobody) == 0);
  };
  const fs::path machine = data.parent_path();
  fs::permissions(machine.parent_path(), fs::perms::all);
  give(machine);
  for (const auto& entry : fs::recursive_directory_iterator(machine)) give(entry.path());
  fs::permissions(stage.scratch.path(), fs::perms::others_all, fs::perm_options::add);
  if (is_root) stage.run_by("exec " + as_nobody + " \"$@\"");

  std::vector<fs::path> victims = {data / "LOCK", data / "log", data / "state", data / "snapshots"};
  for (const char* directory : {"log", "state"}) {
    for (const auto& file : fs::directory_iterator(data / directory))
      victims.push_back(file.path());
  }
  for (const fs::path& victim : victims) {
    CAPTURE(victim);
    const fs::perms before = fs::status(victim).permissions();
    fs::permissions(victim, fs::perms::none);
    cluster.start(0);
    REQUIRE(cluster.process(0).wait(30s) == 1);
    const std::string said = last_words(cluster);
    CHECK_THAT(said, Contains(victim.string()) && Contains("Permission denied") &&
                         Contains("Nothing is damaged") && !Contains("kernel's log"));
    fs::permissions(victim, before);
  }
  cluster.start(0);
  stage.require_well();
}

TEST_CASE("a node that is started on a full disk says so, and starts when there is room") {
  if (!can({"/bin/sh", "-c", "unshare -m true"})) return support::skip("no mount namespaces here");
  Stage stage;
  Cluster& cluster = stage.cluster;
  const std::string data = cluster.data(0).string();
  const std::string disk = (stage.scratch / "disk").string();
  const std::string code = (stage.scratch / "code").string();
  fs::create_directories(disk);
  stage.run_by(
      fmt::format("exec unshare -m /bin/sh -c '"
                  "mount -t tmpfs -o size=8m none {0} && cp -a {1}/. {0}/ && "
                  "mount --bind {0} {1} || exit 77; "
                  "cat /dev/zero > {1}/ballast 2> /dev/null; "
                  "\"$@\"; echo $? > {2}; "
                  "rm {1}/ballast; exec \"$@\"' bibd \"$@\"",
                  disk, data, code));
  cluster.start(0);
  const bool has_ended = support::wait_until([&] { return fs::exists(code); }, 30s);
  if (!has_ended && cluster.process(0).wait(1s) == 77) return support::skip("cannot mount here");
  REQUIRE(has_ended);
  stage.require_well();
  CHECK(support::read_file(code) == "1\n");
  CHECK_THAT(last_words(cluster),
             Contains("No space left on device") &&
                 Contains("free space on that disk", Catch::CaseSensitive::No));
  cluster.process(0).signal(SIGTERM);
  CHECK(cluster.process(0).wait(20s) == 0);
}
