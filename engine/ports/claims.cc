#include "engine/ports/claims.h"

#include <algorithm>
#include <utility>

#include "wire/base/mutant.h"

namespace bib::engine {

using wire::BootId;
using wire::NodeId;

const Claims::Run* Claims::find(NodeId node, BootId boot) const {
  const auto runs = runs_.find(node);
  if (runs == runs_.end()) return nullptr;
  const auto run = std::find_if(runs->second.begin(), runs->second.end(),
                                [&](const Run& one) { return one.boot == boot; });
  return run == runs->second.end() ? nullptr : &*run;
}

Claims::Run& Claims::note(const wire::PeerHello& hello, std::uint64_t asked) {
  std::deque<Run>& runs = runs_[hello.from];
  const auto known = std::find_if(runs.begin(), runs.end(),
                                  [&](const Run& one) { return one.boot == hello.boot; });
  if (known != runs.end()) return *known;
  if (runs.size() >= kRunsMax) runs.pop_front();
  Run& run = runs.emplace_back();
  run.boot = hello.boot;
  run.address = hello.raft_address;
  run.greeted = ++steps_;
  run.asked = asked;
  return run;
}

Claims::Verdict Claims::judge(const wire::PeerHello& hello, const Reached& reached,
                              bool another_is_there) {
  if (BIB_MUTANT(kTakesSecondRuns)) return Verdict::kWelcome;
  if (reached.boot == hello.boot) return Verdict::kWelcome;
  const Run& run = note(hello, reached.asked);
  const bool may_be_there =
      (run.address.empty() || run.address == reached.address) && !run.is_elsewhere;
  if (may_be_there) return Verdict::kWelcome;
  if (reached.boot == BootId()) return another_is_there ? Verdict::kNotYet : Verdict::kWelcome;
  if (reached.is_silent) return Verdict::kWelcome;
  const bool is_proven = reached.answered > run.asked || BIB_MUTANT(kTwiceWithoutProof);
  return is_proven ? Verdict::kTwice : Verdict::kNotYet;
}

void Claims::answered(NodeId node, BootId boot, std::string_view address, std::uint64_t dialling) {
  const auto runs = runs_.find(node);
  if (runs == runs_.end()) return;
  std::erase_if(runs->second, [&](const Run& one) { return one.boot == boot; });
  for (Run& one : runs->second) {
    const bool is_from_elsewhere = !one.address.empty() && one.address != address;
    if (one.greeted < dialling || is_from_elsewhere) one.is_elsewhere = true;
  }
}

bool Claims::is_elsewhere(NodeId node, BootId boot) const {
  const Run* run = find(node, boot);
  return run != nullptr && run->is_elsewhere;
}

bool Claims::is_news(NodeId node, BootId boot) {
  const auto runs = runs_.find(node);
  if (runs == runs_.end()) return false;
  for (Run& one : runs->second) {
    if (one.boot == boot) return !std::exchange(one.is_told, true);
  }
  return false;
}

}  // namespace bib::engine
