// The happy path: nothing is found that matters, the node starts, and all three are equal. Else the
// node says what is wrong and what to do, and exactly that is done, until all are equal.
#include "trial.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <vector>

#include "cluster.h"
#include "harm.h"
#include "inspect/run.h"
#include "scenes.h"

namespace bib::damage {

namespace fs = std::filesystem;

namespace {

constexpr Time kPatience = 60 * kSecond;
constexpr int kStepsMax = 5;
constexpr std::uint64_t kNewId = 4;

// ---- what raft-inspect says

struct Inspected {
  int code = 0;
  std::string text;
  bool log_is_damaged = false;
  bool rows_are_damaged = false;
};

Inspected inspect_with(std::vector<std::string> arguments) {
  std::ostringstream out;
  const int code = inspect::run(arguments, {.out = out, .err = out});
  return {code, out.str()};
}

Inspected verify(const std::string& directory, bool replay) {
  std::vector<std::string> arguments{"verify", directory, "-o", "json"};
  if (replay) arguments.push_back("--replay");
  Inspected seen = inspect_with(arguments);
  const auto json = nlohmann::json::parse(seen.text, nullptr, false);
  if (json.is_discarded()) return seen;
  for (const auto& finding : json.value("findings", nlohmann::json::array())) {
    if (finding.at("kind") != "damage") continue;
    const std::string path = finding.at("path");
    seen.log_is_damaged |= path.starts_with(directory + "/log/");
    seen.rows_are_damaged |= path.starts_with(directory + "/state");
  }
  return seen;
}

// Names, sizes and times: nothing may have changed.
std::map<std::string, std::string> look_of(const std::string& directory) {
  std::map<std::string, std::string> all;
  std::error_code ignored;
  for (auto each = fs::recursive_directory_iterator(
           directory, fs::directory_options::skip_permission_denied, ignored);
       each != fs::recursive_directory_iterator(); each.increment(ignored)) {
    struct stat info {};
    if (::lstat(each->path().c_str(), &info) != 0) continue;
    all[each->path()] = fmt::format("{} {} {}.{}", info.st_mode, info.st_size, info.st_mtim.tv_sec,
                                    info.st_mtim.tv_nsec);
  }
  return all;
}

// ---- what the node says to do next

enum class NextStep { kNone, kPutBack, kMoveRowsAway, kReplace, kStartAgain };

NextStep next_step_in(const std::string& message) {
  struct Words {
    std::string_view text;
    NextStep step;
  };
  // In this order: what can be put back need not be given up.
  static constexpr std::array kWords = {
      Words{"put it back", NextStep::kPutBack},
      Words{"put this node's own back", NextStep::kPutBack},
      Words{"ut the right one back", NextStep::kPutBack},
      Words{"itself here", NextStep::kPutBack},
      Words{"that was here", NextStep::kPutBack},
      Words{"must be able to", NextStep::kPutBack},
      Words{"Give the directory", NextStep::kPutBack},
      Words{"disk that it points to", NextStep::kPutBack},
      Words{"move it away", NextStep::kPutBack},
      Words{"use another data_dir", NextStep::kPutBack},
      Words{"away and start it again", NextStep::kMoveRowsAway},
      Words{"cluster member remove", NextStep::kReplace},
      Words{"see 'raft-inspect verify", NextStep::kReplace},
      Words{"start the node again", NextStep::kStartAgain},
  };
  for (const Words& words : kWords) {
    if (message.find(words.text) != std::string::npos) return words.step;
  }
  return NextStep::kNone;
}

class Trial {
 public:
  Trial(std::uint64_t seed, std::string scenes, std::string scratch,
        const std::function<void(const std::string&)>& say)
      : say_(say),
        random_(seed),
        scenes_(std::move(scenes)),
        scratch_(std::move(scratch)),
        cluster_(scratch_, seed) {}

  Verdict run() {
    choose();
    say_("raft-inspect looks at it");
    inspect_it();
    say_("the node starts");
    if (verdict_.violation.empty()) start_it();
    for (const std::uint64_t id : std::vector<std::uint64_t>{1, 2, 3, kNewId}) {
      if (id <= 3 || was_replaced_) verdict_.details += cluster_.machine(id).log();
    }
    return std::move(verdict_);
  }

 private:
  void choose() {
    const Scene& scene = damage::scenes()[random_.below(damage::scenes().size())];
    victim_ = scene.victims[random_.below(scene.victims.size())];
    pristine_ = fmt::format("{}/{}/n{}", scenes_, scene.name, victim_);
    for (const std::uint64_t id : {1, 2, 3}) {
      cluster_.add(id);
      copy_tree(fmt::format("{}/{}/n{}", scenes_, scene.name, id), cluster_.directory(id));
      if (id != victim_) peers_.push_back(id);
    }
    cluster_.acknowledged = read_acknowledged(fmt::format("{}/{}", scenes_, scene.name));
    const HarmSources sources{
        .directory = cluster_.directory(victim_),
        .older = fmt::format("{}/{}/old/n{}", scenes_, scene.name, victim_),
        .other = fmt::format("{}/{}/n{}", scenes_, scene.name, peers_[random_.below(2)]),
        .elsewhere = scratch_ + "/elsewhere"};
    harm_ = do_harm(sources, random_);
    say_(fmt::format("{}, n{}/{}", scene.name, victim_, harm_.text()));
  }

  void violated(const std::string& what) {
    if (verdict_.violation.empty()) verdict_.violation = what;
  }

  void inspect_it() {
    const std::string directory = cluster_.directory(victim_);
    const auto before = look_of(directory);
    seen_ = verify(directory, false);
    const Inspected whole = verify(directory, true);
    verdict_.inspected = seen_.code;
    verdict_.details += fmt::format("verify: {}\n", seen_.text);
    if (whole.code != seen_.code) verdict_.details += fmt::format("--replay: {}\n", whole.text);
    if (look_of(directory) != before) violated("raft-inspect changes what it looks at");
    for (const char* command : {"status", "log"}) {
      const int code = inspect_with({command, directory}).code;
      if (code != 0 && code != 1 && code != 3 && code != 4) {
        violated(fmt::format("raft-inspect {} ends with {}", command, code));
      }
    }
    if (seen_.code == 2 || whole.code == 2) violated("raft-inspect calls it a wrong usage");
    if (seen_.code == 3 && whole.code != 3) violated("--replay finds less than without");
    if (seen_.code != 0 && whole.code == 0) violated("--replay is content with what is not clean");
  }

  // ---- the start

  void start_it() {
    Machine& victim = cluster_.machine(victim_);
    victim.start();
    const bool refused = victim.ended().has_value();
    if (refused && !*victim.ended()) judge_refusal(victim.ended()->error());
    for (const std::uint64_t id : peers_) {
      cluster_.machine(id).start();
      if (cluster_.machine(id).ended()) return violated("another node does not start");
    }
    cluster_.insist_on_cluster_of(peers_.front());
    if (!cluster_.set("after", "the harm", kPatience)) {
      return violated("the other two take no writes");
    }
    for (int steps = 0; steps < kStepsMax; ++steps) {
      if (!verdict_.violation.empty()) return;
      const bool has_ended = cluster_.run_until(
          [&] { return is_equal() || cluster_.machine(victim_).ended(); }, kPatience);
      if (!has_ended) return violated("the node neither ends nor becomes equal to the others");
      if (is_equal() && judge_end(steps == 0)) return;
      if (!verdict_.violation.empty()) return;
      const auto& outcome = cluster_.machine(victim_).ended();
      if (outcome && *outcome) return violated("the node ends without an error");
      const wire::Error error = outcome ? outcome->error() : rows_error_;
      if (!follow(error)) return;
    }
    violated("what the node says leads nowhere: " + verdict_.ended);
  }

  bool is_equal() {
    std::vector<std::uint64_t> all = peers_;
    all.push_back(victim_);
    return cluster_.have_converged(all);
  }

  // Before it has met anybody.
  void judge_refusal(const wire::Error& error) {
    const bool is_judged = seen_.code == 3 || seen_.code == 1;
    const bool is_no_node = seen_.code == 4;
    if (is_judged || is_no_node || harm_.is_lock) return;
    if (error.code == wire::ErrorCode::kUnauthenticated) return;
    // Which node it should be, only the configuration says.
    if (error.message.find("cluster.node_id says") != std::string::npos) return;
    violated("raft-inspect calls clean what the node does not start on: " + error.message);
  }

  // False: its rows are damaged, as raft-inspect has said.
  bool judge_end(bool at_once) {
    if (at_once) {
      verdict_.ended = "equal";
      if (seen_.log_is_damaged)
        violated("the node starts on a log that raft-inspect calls damaged");
    }
    std::vector<std::uint64_t> all = peers_;
    all.push_back(victim_);
    for (const std::uint64_t id : all) {
      const auto checked = cluster_.check_rows(id);
      if (checked) continue;
      const bool is_known = id == victim_ && at_once && seen_.rows_are_damaged;
      if (is_known && checked.error().code == wire::ErrorCode::kCorrupt) {
        // Nothing has read there: what to do, raft-inspect says.
        cluster_.machine(victim_).kill();
        rows_error_ = {wire::ErrorCode::kCorrupt, verify(cluster_.directory(victim_), false).text};
        return false;
      }
      violated(fmt::format("n{}: {}", id, checked.error().message));
    }
    return true;
  }

  // Does what the node says. False: that cannot be done.
  bool follow(const wire::Error& error) {
    verdict_.ended += verdict_.ended.empty() ? "" : ", ";
    switch (next_step_in(error.message)) {
      case NextStep::kNone:
        violated("the error names no next step: " + error.message);
        return false;
      case NextStep::kPutBack:
        verdict_.ended += "put back";
        remove_all(cluster_.directory(victim_));
        copy_tree(pristine_, cluster_.directory(victim_));
        break;
      case NextStep::kMoveRowsAway:
        verdict_.ended += "rows moved away";
        fs::rename(cluster_.directory(victim_) + "/state",
                   fmt::format("{}/rows-{}", scratch_, ++moved_));
        break;
      case NextStep::kStartAgain:
        verdict_.ended += "started again";
        break;
      case NextStep::kReplace:
        verdict_.ended += "replaced";
        return replace();
    }
    cluster_.machine(victim_).start();
    return true;
  }

  bool replace() {
    if (was_replaced_) {
      violated("the node that took its place has ended");
      return false;
    }
    if (!cluster_.remove(victim_, kPatience)) {
      violated("the node cannot be removed from the cluster");
      return false;
    }
    was_replaced_ = true;
    victim_ = kNewId;
    cluster_.add(kNewId).start();
    return true;
  }

  const std::function<void(const std::string&)>& say_;
  wire::Prng random_;
  const std::string scenes_;
  const std::string scratch_;
  Cluster cluster_;
  std::uint64_t victim_ = 0;
  std::string pristine_;
  std::vector<std::uint64_t> peers_;
  Harm harm_;
  Inspected seen_;
  wire::Error rows_error_;
  bool was_replaced_ = false;
  int moved_ = 0;
  Verdict verdict_;
};

}  // namespace

Verdict run_trial(std::uint64_t seed, const std::string& scenes, const std::string& scratch,
                  const std::function<void(const std::string&)>& say) {
  return Trial(seed, scenes, scratch, say).run();
}

}  // namespace bib::damage
