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

UvLog::UvLog(EventLoop& loop, FileSystem& files, std::unique_ptr<LogStore> store, Handler* handler)
    : loop_(loop),
      handler_(handler),
      reader_(std::make_shared<LogReader>(files, store->directory(), store->locations())),
      alive_(std::make_shared<UvLog*>(this)),
      mailbox_(loop, kLettersMax, [this](Letter&& letter) { on_letter(std::move(letter)); }) {
  thread_ = std::make_unique<LogThread>(
      std::move(store), thread_options(
                            [this](const LogDurable& durable) {
                              BIB_CHECK(mailbox_.post(durable), "more completions than writes");
                            },
                            [this](wire::LogPosition base) {
                              BIB_CHECK(mailbox_.post(base), "no room to say where the log begins");
                            },
                            [this](const wire::Error& error) {
                              BIB_CHECK(mailbox_.post(error), "no room for the log's failure");
                            }));
}

UvLog::~UvLog() = default;

void UvLog::submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) {
  LogStoreWrite out;
  out.append_sequence = write.append_sequence;
  if (write.hard_state)
    out.hard_state = wire::HardState{write.hard_state->term, write.hard_state->vote};
  if (write.reset_to) {
    const consensus::MembershipAt& membership = *write.reset_membership;
    out.reset =
        LogReset{*write.reset_to, membership.index, wire::encode_membership(membership.membership)};
  }
  out.truncate_from = write.truncate_from;
  out.entries = std::move(entries);
  waiting_.push_back(std::move(out));
}

void UvLog::flush() {
  while (!waiting_.empty() && thread_->submit(std::move(waiting_.front()))) waiting_.pop_front();
}

void UvLog::on_letter(Letter&& letter) {
  if (const auto* error = std::get_if<wire::Error>(&letter)) {
    handler_->on_log_failed(*error);
    return;
  }
  if (const auto* base = std::get_if<wire::LogPosition>(&letter)) {
    handler_->on_log_compacted(base->index);
    return;
  }
  flush();
  handler_->on_log_durable(std::get<LogDurable>(letter).append_sequence);
}

void UvLog::read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
                 std::size_t bytes_max) {
  auto result = std::make_shared<wire::Result<std::vector<wire::Bytes>>>();
  run_on_pool(
      loop_,
      [reader = reader_, first, last, bytes_max, result] {
        *result = reader->read(first, last, bytes_max);
      },
      [self = std::weak_ptr<UvLog*>(alive_), token, result] {
        if (const auto alive = self.lock()) {
          (*alive)->handler_->on_log_read(token, std::move(*result));
        }
      });
}

wire::Status UvLog::stop() {
  flush();
  return thread_->stop();
}

}  // namespace bib::engine
