#include "wire/base/frame.h"

#include <catch2/catch.hpp>

#include <cstring>

#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"
#include "wire/base/prng.h"

namespace bib::wire {
namespace {

struct Sent {
  FrameKind kind;
  std::uint64_t id;
  std::vector<std::uint8_t> body;
};

std::vector<std::uint8_t> random_body(Prng& random, std::size_t size) {
  std::vector<std::uint8_t> body(size);
  for (std::uint8_t& byte : body) byte = static_cast<std::uint8_t>(random.next());
  return body;
}

std::vector<std::uint8_t> stream_of(const std::vector<Sent>& frames) {
  std::vector<std::uint8_t> stream;
  for (const Sent& frame : frames) append_frame(stream, frame.kind, frame.id, frame.body);
  return stream;
}

// All whole frames that the decoder has.
std::vector<Frame> drain(FrameDecoder& decoder) {
  std::vector<Frame> frames;
  for (;;) {
    auto next = decoder.next();
    REQUIRE(next.has_value());
    if (!next->has_value()) return frames;
    frames.push_back(**std::move(next));
  }
}

void check_same(const std::vector<Frame>& got, const std::vector<Sent>& sent) {
  REQUIRE(got.size() == sent.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    REQUIRE(got[i].kind == sent[i].kind);
    REQUIRE(got[i].id == sent[i].id);
    const ByteView body = got[i].body.view();
    REQUIRE(std::equal(body.begin(), body.end(), sent[i].body.begin(), sent[i].body.end()));
    REQUIRE(reinterpret_cast<std::uintptr_t>(body.data()) % 8 == 0);
  }
}

std::vector<Sent> frames_of_sizes(const std::vector<std::size_t>& sizes) {
  Prng random(1);
  std::vector<Sent> frames;
  for (const std::size_t size : sizes) {
    frames.push_back({FrameKind::kCommand, random.next(), random_body(random, size)});
  }
  return frames;
}

// A good frame with some bytes changed, and a checksum that fits.
template <typename Number>
std::vector<std::uint8_t> forged(std::size_t at, Number number) {
  std::vector<std::uint8_t> stream = stream_of({{FrameKind::kQuery, 7, {1, 2, 3, 4}}});
  store(stream.data() + at, number);
  store(stream.data() + 24,
        checksum64_of_two(ByteView(stream).first(24), ByteView(stream).subspan(32)));
  return stream;
}

std::string error_of(const std::vector<std::uint8_t>& stream, std::uint32_t limit = 1000) {
  FrameDecoder decoder(limit);
  decoder.feed(stream);
  const auto next = decoder.next();
  if (next) return next->has_value() ? "" : "waits";
  CHECK(next.error().code == ErrorCode::kInvalid);
  return next.error().message;
}

bool mentions(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("frames come back one by one from a stream cut at every length") {
  const std::vector<Sent> frames = frames_of_sizes({0, 1, 100, 0, 33});
  const std::vector<std::uint8_t> stream = stream_of(frames);
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameDecoder decoder(1000);
    decoder.feed(ByteView(stream).first(cut));
    std::vector<Frame> got = drain(decoder);
    decoder.feed(ByteView(stream).subspan(cut));
    for (Frame& frame : drain(decoder)) got.push_back(std::move(frame));
    check_same(got, frames);
    REQUIRE(decoder.buffered() == 0);
  }
}

TEST_CASE("frames come back from a stream that arrives byte by byte") {
  const std::vector<Sent> frames = frames_of_sizes({40'000, 0, 7});
  FrameDecoder decoder(1U << 20);
  std::vector<Frame> got;
  for (const std::uint8_t byte : stream_of(frames)) {
    decoder.feed({&byte, 1});
    for (Frame& frame : drain(decoder)) got.push_back(std::move(frame));
  }
  check_same(got, frames);
}

TEST_CASE("frames come back whatever the sizes of the pieces and of the bodies") {
  Prng random(2);
  for (int round = 0; round < 60; ++round) {
    std::vector<Sent> frames;
    for (std::uint64_t i = random.between(1, 20); i > 0; --i) {
      const std::size_t size_max = random.chance_ppm(300'000) ? 200'000 : 300;
      frames.push_back({FrameKind::kPeerMessage, i, random_body(random, random.below(size_max))});
    }
    const std::vector<std::uint8_t> stream = stream_of(frames);
    FrameDecoder decoder(200'000);
    std::vector<Frame> got;
    for (std::size_t at = 0; at < stream.size();) {
      const std::span<std::uint8_t> room = decoder.prepare(random.between(0, 70'000));
      REQUIRE_FALSE(room.empty());
      const std::size_t size = std::min(
          stream.size() - at, random.between(1, std::min<std::size_t>(room.size(), 70'000)));
      std::memcpy(room.data(), stream.data() + at, size);
      decoder.commit(size);
      at += size;
      if (random.chance_ppm(800'000)) {
        for (Frame& frame : drain(decoder)) got.push_back(std::move(frame));
      }
    }
    for (Frame& frame : drain(decoder)) got.push_back(std::move(frame));
    check_same(got, frames);
  }
}

TEST_CASE("a large body is received where it stays") {
  const std::vector<Sent> frames = frames_of_sizes({100'000, 5});
  const std::vector<std::uint8_t> stream = stream_of(frames);
  FrameDecoder decoder(100'000);
  decoder.feed(ByteView(stream).first(kFrameHeaderSize + 10));
  REQUIRE(drain(decoder).empty());
  const std::span<std::uint8_t> room = decoder.prepare(1);
  CHECK(room.size() == 100'000 - 10);
  std::memcpy(room.data(), stream.data() + kFrameHeaderSize + 10, room.size());
  decoder.commit(room.size());
  CHECK(decoder.buffered() == kFrameHeaderSize + 100'000);
  decoder.feed(ByteView(stream).subspan(kFrameHeaderSize + 100'000));
  const std::vector<Frame> got = drain(decoder);
  check_same(got, frames);
  CHECK(got[0].body.data() + 10 == room.data());
}

TEST_CASE("a frame keeps its body when the decoder continues") {
  FrameDecoder decoder(1000);
  decoder.feed(stream_of(frames_of_sizes({64})));
  const std::vector<Frame> first = drain(decoder);
  for (int i = 0; i < 10; ++i) {
    decoder.feed(stream_of({{FrameKind::kQuery, 1, std::vector<std::uint8_t>(500, 0xff)}}));
    drain(decoder);
  }
  check_same(first, frames_of_sizes({64}));
}

TEST_CASE("each field of a frame's header that is wrong is named") {
  CHECK(error_of(forged(16, std::uint64_t{8})).empty());
  CHECK(mentions(error_of(forged(0, std::uint32_t{1})), "magic"));
  CHECK(mentions(error_of(forged(4, std::uint8_t{2})), "version 2"));
  CHECK(mentions(error_of(forged(6, std::uint8_t{1})), "bytes 6 and 7"));
  CHECK(mentions(error_of(forged(7, std::uint8_t{1})), "bytes 6 and 7"));
  CHECK(mentions(error_of(forged(12, std::uint32_t{1})), "bytes 12 to 15"));
  CHECK(error_of(forged(8, std::uint32_t{1000})) == "waits");
  CHECK(mentions(error_of(forged(8, std::uint32_t{1001})), "limit of 1000"));
  CHECK(mentions(error_of(forged(8, std::uint32_t{0xffffffff})), "limit"));
}

TEST_CASE("every flipped bit in a frame is seen") {
  for (const std::size_t size : {0U, 5U, 40'000U}) {
    const std::vector<std::uint8_t> stream = stream_of(frames_of_sizes({size}));
    const std::size_t step = size > 1000 ? 977 : 1;
    for (std::size_t bit = 0; bit < stream.size() * 8; bit += step) {
      std::vector<std::uint8_t> bytes = stream;
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      const std::string error = error_of(bytes, 50'000);
      INFO("bit " << bit << " of a body of " << size);
      REQUIRE_FALSE(error.empty());
      // Only a larger size can leave the decoder waiting.
      REQUIRE((error != "waits" || (bit / 8 >= 8 && bit / 8 < 12)));
    }
  }
}

TEST_CASE("a peer that speaks another protocol is told after four bytes") {
  FrameDecoder decoder(1000);
  decoder.feed(as_bytes("GET"));
  CHECK(decoder.next().has_value());
  decoder.feed(as_bytes(" "));
  const auto next = decoder.next();
  REQUIRE_FALSE(next);
  CHECK(mentions(next.error().message, "another protocol"));
}

TEST_CASE("after an error the stream stays lost and nothing more is kept") {
  FrameDecoder decoder(1000);
  std::vector<std::uint8_t> stream = stream_of(frames_of_sizes({10}));
  stream[40] ^= 1;
  decoder.feed(stream);
  REQUIRE_FALSE(decoder.next());
  decoder.feed(stream_of(frames_of_sizes({10})));
  CHECK_FALSE(decoder.next());
}

TEST_CASE("a large body that ends with a wrong checksum is refused") {
  std::vector<std::uint8_t> stream = stream_of(frames_of_sizes({50'000}));
  stream.back() ^= 1;
  FrameDecoder decoder(50'000);
  decoder.feed(ByteView(stream).first(100));
  REQUIRE(drain(decoder).empty());
  decoder.feed(ByteView(stream).subspan(100));
  CHECK_FALSE(decoder.next());
}

TEST_CASE("a header over pieces is the header over the whole body") {
  Prng random(4);
  const std::vector<std::uint8_t> body = random_body(random, 3000);
  std::vector<std::uint8_t> whole;
  append_frame(whole, FrameKind::kPeerMessage, 9, body);
  const ByteView view(body);
  const std::array<ByteView, 4> pieces{view.first(0), view.first(7), view.subspan(7, 2000),
                                       view.subspan(2007)};
  const FrameHeaderBytes header = make_frame_header(FrameKind::kPeerMessage, 9, pieces);
  CHECK(std::equal(header.begin(), header.end(), whole.begin()));
}

}  // namespace bib::wire
