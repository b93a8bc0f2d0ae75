#include "recorder.h"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "level_judge.h"

namespace bib::nemesis {

using support::Operation;
using support::Outcome;

Recorder::Recorder(const std::filesystem::path& file)
    : out_(file, std::ios::trunc), reads_out_(file.parent_path() / "reads.jsonl", std::ios::trunc) {
  if (!out_ || !reads_out_) throw std::runtime_error("cannot write " + file.string());
}

std::int64_t Recorder::now_us() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               begun_)
      .count();
}

std::size_t Recorder::invoke(Operation operation) {
  const std::lock_guard lock(mutex_);
  operation.invoked = next_index_++;
  out_ << history::to_line(history::invocation(operation, operation.invoked, now_us()));
  operations_.push_back(std::move(operation));
  positions_.emplace_back();
  return operations_.size() - 1;
}

void Recorder::complete(std::size_t call, Operation answer, std::string error,
                        std::optional<wire::Position> position, std::optional<std::size_t> node) {
  const std::lock_guard lock(mutex_);
  Operation& operation = operations_[call];
  operation.outcome = answer.outcome;
  operation.revision = answer.revision;
  if (operation.call == support::Call::kRead) operation.value = std::move(answer.value);
  operation.completed = next_index_++;
  positions_[call] = position;
  if (position) acknowledged_.push_back({*position, node, operation.completed, now_us()});
  out_ << history::to_line(
      history::completion(operation, operation.completed, now_us(), std::move(error)));
}

// 0 while it is being ended: an answer may be this run's or the next one's.
std::uint32_t Recorder::run_of(std::size_t node) const {
  const auto ends = ends_.find(node);
  if (ends == ends_.end()) return 1;
  return ends->second % 2 == 1 ? 0 : 1 + ends->second / 2;
}

void Recorder::node_ends(std::size_t node) {
  const std::lock_guard lock(mutex_);
  ++ends_[node];
}

std::size_t Recorder::ask(LevelRead read) {
  const std::lock_guard lock(mutex_);
  read.asked = next_index_++;
  read.asked_us = now_us();
  read.run = run_of(read.node);
  reads_.push_back(std::move(read));
  return reads_.size() - 1;
}

void Recorder::answer(std::size_t number, const LevelRead& answer) {
  const std::lock_guard lock(mutex_);
  LevelRead& read = reads_[number];
  read.completed = next_index_++;
  read.completed_us = now_us();
  read.answered = true;
  read.unset = answer.unset;
  read.value = answer.value;
  read.applied = answer.applied;
  read.age_us = answer.age_us;
  if (run_of(read.node) != read.run) read.run = 0;
  nlohmann::ordered_json line;
  line["asked"] = read.asked;
  line["answered"] = read.completed;
  line["time"] = read.completed_us;
  line["node"] = read.node + 1;
  line["run"] = read.run;
  line["level"] = std::string(judges::name_of(read.level));
  if (read.max_age_us != 0) line["max_age"] = read.max_age_us;
  line["key"] = read.key;
  line["value"] = nullptr;
  if (read.value) line["value"] = *read.value;
  if (!read.unset) line["applied"] = read.applied.value();
  if (read.age_us) line["age"] = *read.age_us;
  reads_out_ << line.dump() << '\n';
}

void Recorder::fault(const std::string& what, const std::string& of) {
  const std::lock_guard lock(mutex_);
  history::Event event;
  event.index = next_index_++;
  event.time_us = now_us();
  event.type = history::EventType::kInfo;
  event.f = what;
  event.key = of;
  out_ << history::to_line(event);
}

bool Recorder::finish() {
  const std::lock_guard lock(mutex_);
  out_.flush();
  reads_out_.flush();
  return out_ && reads_out_;
}

}  // namespace bib::nemesis
