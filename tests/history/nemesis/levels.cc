#include "levels.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "audit.h"
#include "level_judge.h"

namespace bib::nemesis {
namespace {

using judges::LevelJudge;

constexpr std::size_t kWrongMax = 20;

std::uint64_t time_of(std::int64_t us) {
  return us < 0 ? 0 : static_cast<std::uint64_t>(us);
}

// Everything that was asked and answered, in the order in which it was.
class Replay {
 public:
  Replay(const Recorder& recorder, LevelJudge& judge, wire::LogIndex begins, LevelResult& result)
      : recorder_(recorder), judge_(judge), begins_(begins), result_(result) {}

  void run() {
    std::map<std::uint64_t, std::pair<Kind, std::size_t>> moments;
    for (std::size_t i = 0; i < recorder_.acknowledged().size(); ++i) {
      moments[recorder_.acknowledged()[i].completed] = {Kind::kAcknowledged, i};
    }
    for (std::size_t i = 0; i < recorder_.reads().size(); ++i) {
      const LevelRead& read = recorder_.reads()[i];
      if (!read.answered) continue;
      moments[read.asked] = {Kind::kAsked, i};
      moments[read.completed] = {Kind::kAnswered, i};
    }
    questions_.resize(recorder_.reads().size());
    for (const auto& [place, what] : moments) {
      const auto& [kind, number] = what;
      if (kind == Kind::kAcknowledged) acknowledged(recorder_.acknowledged()[number]);
      if (kind == Kind::kAsked) ask(number);
      if (kind == Kind::kAnswered) answered(number);
    }
  }

 private:
  enum class Kind : std::uint8_t { kAcknowledged, kAsked, kAnswered };

  void acknowledged(const Acknowledged& change) {
    const std::uint64_t time = time_of(change.completed_us);
    if (!change.node) return judge_.completes(time, change.position.index);
    judge_.acknowledged(time, *change.node, change.position.index);
  }

  void ask(std::size_t number) {
    const LevelRead& read = recorder_.reads()[number];
    questions_[number] =
        judge_.ask(time_of(read.asked_us), read.run,
                   {.node = read.node, .level = read.level, .max_age_us = read.max_age_us});
  }

  void answered(std::size_t number) {
    const LevelRead& read = recorder_.reads()[number];
    const LevelJudge::Question& question = questions_[number];
    // What the key was before the log begins is not known.
    const bool is_known =
        begins_ <= wire::LogIndex(1) ||
        judge_.version_at(read.key, read.unset ? question.floor : read.applied) != nullptr;
    judges::Complaint wrong;
    if (!read.unset) {
      wrong = judge_.answered(
          time_of(read.completed_us), read.run, question,
          {read.key, is_known ? read.value : std::nullopt, read.applied, read.age_us});
    } else if (is_known) {
      wrong = judge_.answered_unset(question, read.key);
    }
    ++result_.reads;
    if (!wrong || result_.wrong.size() >= kWrongMax) return;
    result_.wrong.push_back(fmt::format("{}   [{}, {}]", *wrong, read.asked, read.completed));
  }

  const Recorder& recorder_;
  LevelJudge& judge_;
  const wire::LogIndex begins_;
  LevelResult& result_;
  std::vector<LevelJudge::Question> questions_;
};

}  // namespace

LevelResult judge_levels(const std::string& events, wire::LogIndex begins, const Recorder& recorder,
                         std::size_t nodes) {
  LevelResult result;
  LevelJudge judge({.nodes = nodes});
  std::vector<std::string> not_events;  // audit_events() names them
  for (const auto& [position, event] : read_events(events, not_events)) {
    (void)judge.add(event.key, {position.index, event.value, wire::Revision(event.revision)});
  }
  Replay(recorder, judge, begins, result).run();
  return result;
}

}  // namespace bib::nemesis
