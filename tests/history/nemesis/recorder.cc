#include "recorder.h"

#include <stdexcept>
#include <utility>

namespace bib::nemesis {

using support::Operation;
using support::Outcome;

Recorder::Recorder(const std::filesystem::path& file) : out_(file, std::ios::trunc) {
  if (!out_) throw std::runtime_error("cannot write " + file.string());
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
                        std::optional<wire::Position> position) {
  const std::lock_guard lock(mutex_);
  Operation& operation = operations_[call];
  operation.outcome = answer.outcome;
  operation.revision = answer.revision;
  if (operation.call == support::Call::kRead) operation.value = std::move(answer.value);
  operation.completed = next_index_++;
  positions_[call] = position;
  out_ << history::to_line(
      history::completion(operation, operation.completed, now_us(), std::move(error)));
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
  return static_cast<bool>(out_);
}

}  // namespace bib::nemesis
