#include "engine/node/log_outbox.h"

#include <iterator>
#include <utility>

#include "wire/base/membership.h"
#include "wire/base/mutant.h"

namespace bib::engine {

void LogOutbox::submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) {
  LogStoreWrite out;
  out.append_sequence = write.append_sequence;
  out.hard_state = write.hard_state;
  if (write.reset_to) {
    const consensus::MembershipAt& membership = *write.reset_membership;
    out.reset =
        LogReset{*write.reset_to, membership.index, wire::encode_membership(membership.membership)};
  }
  out.truncate_from = write.truncate_from;
  out.entries = std::move(entries);
  waiting_.push_back(std::move(out));
}

void LogOutbox::flush() {
  while (!waiting_.empty() && port_.submit(std::move(waiting_.front()))) waiting_.pop_front();
  if (BIB_MUTANT(kFullQueueDrops)) waiting_.clear();
}

wire::Status LogOutbox::stop() {
  // All of it: what is applied may be ahead of this disk, and its rows are about to be stored.
  std::vector<LogStoreWrite> rest(std::make_move_iterator(waiting_.begin()),
                                  std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  if (BIB_MUTANT(kStopDropsQueue)) rest.clear();
  return port_.stop(std::move(rest));
}

}  // namespace bib::engine
