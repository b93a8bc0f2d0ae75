#include "engine/uv/uv_log.h"

#include <utility>

#include "wire/base/check.h"

namespace bib::engine {
namespace {

// Above the log thread's queue: a completion each, one failure, and now and then a compaction.
constexpr std::size_t kLettersMax = 8192;

LogThreadOptions thread_options(std::function<void(const LogDurable&)> on_durable,
                                std::function<void(wire::LogPosition)> on_compacted,
                                std::function<void(const wire::Error&)> on_failed) {
  LogThreadOptions options;
  options.on_durable = std::move(on_durable);
  options.on_compacted = std::move(on_compacted);
  options.on_failed = std::move(on_failed);
  return options;
}

}  // namespace

UvLog::UvLog(EventLoop& loop, std::shared_ptr<LogReader> reader, std::unique_ptr<LogStore> store)
    : loop_(loop),
      reader_(std::move(reader)),
      mailbox_(loop, kLettersMax, [this](Letter&& letter) { on_letter(std::move(letter)); }) {
  thread_ = std::make_unique<LogThread>(
      std::move(store), thread_options(
                            [this](const LogDurable& durable) {
                              BIB_CHECK(mailbox_.post(durable), "more completions than writes");
                            },
                            [this](wire::LogPosition base) {
                              BIB_CHECK(mailbox_.post(base), "no room to say where the log starts");
                            },
                            [this](const wire::Error& error) {
                              BIB_CHECK(mailbox_.post(error), "no room for the log's failure");
                            }));
}

UvLog::~UvLog() = default;

void UvLog::on_letter(Letter&& letter) {
  if (const auto* error = std::get_if<wire::Error>(&letter)) {
    events_->on_log_failed(*error);
  } else if (const auto* base = std::get_if<wire::LogPosition>(&letter)) {
    events_->on_log_compacted(base->index);
  } else {
    events_->on_log_durable(std::get<LogDurable>(letter).append_sequence);
  }
}

void UvLog::read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
                 std::size_t bytes_max) {
  auto result = std::make_shared<wire::Result<std::vector<wire::Bytes>>>();
  run_on_pool(
      loop_,
      [reader = reader_, first, last, bytes_max, result] {
        *result = reader->read(first, last, bytes_max);
      },
      lifetime_.guarded(
          [token, result](UvLog& self) { self.events_->on_log_read(token, std::move(*result)); }));
}

}  // namespace bib::engine
