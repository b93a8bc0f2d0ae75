#include "engine/uv/incoming_frames.h"

#include <algorithm>

#include "wire/base/units.h"

namespace bib::engine {

using wire::Error;
using wire::ErrorCode;

IncomingFrames::IncomingFrames(EventLoop& loop, IncomingFramesOptions options)
    : loop_(loop), options_(options), late_(loop, [this] { give_up_late(); }) {}

IncomingFrames::Place IncomingFrames::begin(Receiver& receiver) {
  if (!is_armed_) {
    is_armed_ = true;
    late_.start(options_.deadline_ms, 0);
  }
  return begun_.insert(begun_.end(), Begun{&receiver, loop_.now_ms(), 0});
}

void IncomingFrames::hold(Place frame, std::size_t bytes) {
  bytes_ += bytes - frame->bytes;
  frame->bytes = bytes;
  while (bytes_ > options_.bytes_max) {
    const auto holds = [](const Begun& begun) { return begun.bytes > 0; };
    const Place oldest = std::find_if(begun_.begin(), begun_.end(), holds);
    if (oldest->bytes == bytes_) return;  // it is alone
    give_up(oldest, {ErrorCode::kOverloaded,
                     fmt::format("frames of more than {} are on their way to this node "
                                 "(limits.incoming_frame_bytes), and this one has been longest",
                                 wire::format_size(options_.bytes_max))});
  }
}

void IncomingFrames::end(Place frame) {
  bytes_ -= frame->bytes;
  begun_.erase(frame);
}

// Started again for the oldest that is left, so exact, and at most once for each frame that is
// late.
void IncomingFrames::give_up_late() {
  is_armed_ = false;
  const std::uint64_t now_ms = loop_.now_ms();
  while (!begun_.empty() && begun_.front().since_ms + options_.deadline_ms <= now_ms) {
    give_up(begun_.begin(),
            {ErrorCode::kTimeout,
             fmt::format("a frame did not become whole within {} (limits.frame_timeout)",
                         wire::format_duration(options_.deadline_ms))});
  }
  if (begun_.empty()) return;
  is_armed_ = true;
  late_.start(begun_.front().since_ms + options_.deadline_ms - now_ms, 0);
}

void IncomingFrames::give_up(Place frame, const Error& reason) {
  Receiver& receiver = *frame->receiver;
  end(frame);
  receiver.give_up_frame(reason);
}

}  // namespace bib::engine
