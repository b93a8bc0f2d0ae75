#include "engine/uv/send_queue.h"

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "wire/base/prng.h"

using namespace bib;
using namespace bib::engine;

namespace {

void append(SendQueue& queue, const std::string& text) {
  queue.append(std::array{wire::as_bytes(text)});
}

std::string text_of(const SendQueue::Front& front) {
  std::string text;
  for (unsigned i = 0; i < front.count; ++i) {
    text.append(front.pieces.at(i).base, front.pieces.at(i).len);
  }
  return text;
}

}  // namespace

TEST_CASE("what has not left waits again, and what is gathered stays where it is") {
  SendQueue queue;
  append(queue, "abc");
  const SendQueue::Front front = queue.gather();
  // Much more than the chunk has room for, byte by byte.
  for (int i = 0; i < 100000; ++i) append(queue, "d");
  CHECK(text_of(front) == "abc");
  queue.release(2);
  CHECK(queue.bytes() == 100001);
  CHECK(text_of(queue.gather()) == "c" + std::string(100000, 'd'));
}

TEST_CASE("bytes leave in the order in which they came, however the kernel takes them") {
  wire::Prng prng(7);
  SendQueue queue;
  std::string expected;
  std::string left;
  for (int round = 0; round < 2000; ++round) {
    const std::string text(prng.below(300), static_cast<char>('a' + round % 26));
    if (prng.below(4) == 0) {
      queue.append(wire::Bytes::copy_of(wire::as_bytes(text)));
    } else {
      append(queue, text);
    }
    expected += text;
    if (queue.is_empty() || prng.below(3) != 0) continue;
    const std::string front = text_of(queue.gather());
    REQUIRE(front.size() == queue.gathered_bytes());
    const std::size_t taken = prng.below(front.size() + 1);
    queue.release(taken);
    left += front.substr(0, taken);
  }
  while (!queue.is_empty()) {
    left += text_of(queue.gather());
    queue.release(queue.gathered_bytes());
  }
  CHECK(queue.bytes() == 0);
  CHECK((left == expected));
}
