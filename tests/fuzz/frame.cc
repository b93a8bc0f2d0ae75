// A stream in pieces: the decoder gives the same frames however it is cut.
#include "wire/base/frame.h"

#include "wire/base/check.h"

using namespace bib::wire;

namespace {

constexpr std::uint32_t kBodyMax = 1U << 20;

struct Outcome {
  std::vector<Frame> frames;
  bool failed = false;
};

Outcome decode(ByteView stream, std::size_t piece) {
  FrameDecoder decoder(kBodyMax);
  Outcome outcome;
  while (!stream.empty() && !outcome.failed) {
    const std::size_t size = std::min(piece, stream.size());
    decoder.feed(stream.first(size));
    stream = stream.subspan(size);
    for (;;) {
      auto next = decoder.next();
      outcome.failed = !next;
      if (!next || !*next) break;
      outcome.frames.push_back(**std::move(next));
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const ByteView stream(data + 1, size - 1);
  const Outcome whole = decode(stream, std::max<std::size_t>(stream.size(), 1));
  const Outcome cut = decode(stream, 1U + data[0]);
  BIB_CHECK(whole.failed == cut.failed);
  BIB_CHECK(whole.frames.size() == cut.frames.size());
  for (std::size_t i = 0; i < whole.frames.size(); ++i) {
    BIB_CHECK(as_text(whole.frames[i].body.view()) == as_text(cut.frames[i].body.view()));
  }
  return 0;
}
