#include "wire/peer/snapshot_message.h"

#include <catch2/catch.hpp>

#include "damage.h"
#include "log_samples.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::wire {
namespace {

SnapshotRequest sample_request() {
  SnapshotRequest request;
  request.envelope = {sample_cluster(), BootId(0xb007)};
  request.from = NodeId(1);
  request.to = NodeId(2);
  request.id = 77;
  request.index = LogIndex(8192);
  request.term = Term(3);
  request.kind = SnapshotRequestKind::kChunk;
  request.file = 5;
  request.offset = 1U << 20;
  request.length = 4096;
  return request;
}

SnapshotPart sample_part() {
  SnapshotPart part;
  part.envelope = {sample_cluster(), BootId(0xb007)};
  part.from = NodeId(2);
  part.to = NodeId(1);
  part.id = 77;
  part.index = LogIndex(8192);
  part.term = Term(3);
  part.kind = SnapshotRequestKind::kChunk;
  part.file = 5;
  part.offset = 1U << 20;
  part.bytes = Bytes::copy_of(as_bytes("a few bytes of a file"));
  return part;
}

Bytes body_of(const SnapshotPart& part) {
  std::vector<std::uint8_t> body = encode_snapshot_part_head(part);
  body.insert(body.end(), part.bytes.view().begin(), part.bytes.view().end());
  return Bytes::copy_of(body);
}

}  // namespace

TEST_CASE("a request for a snapshot comes back with every field, of every kind") {
  for (int kind = 1; kind <= 5; ++kind) {
    SnapshotRequest sent = sample_request();
    sent.kind = static_cast<SnapshotRequestKind>(kind);
    const auto got = decode_snapshot_request(encode_snapshot_request(sent));
    REQUIRE(got);
    CHECK(got->envelope.cluster == sent.envelope.cluster);
    CHECK(got->envelope.boot == sent.envelope.boot);
    CHECK(got->from == sent.from);
    CHECK(got->to == sent.to);
    CHECK(got->id == sent.id);
    CHECK(got->index == sent.index);
    CHECK(got->term == sent.term);
    CHECK(got->kind == sent.kind);
    CHECK(got->file == sent.file);
    CHECK(got->offset == sent.offset);
    CHECK(got->length == sent.length);
  }
}

TEST_CASE("who gives a snapshot up says what came wrong; nobody else does") {
  for (int problem = 0; problem <= 3; ++problem) {
    SnapshotRequest sent = sample_request();
    sent.kind = SnapshotRequestKind::kGivenUp;
    sent.problem = static_cast<SnapshotProblem>(problem);
    sent.checksum = 0x0123456789abcdefU;
    const auto got = decode_snapshot_request(encode_snapshot_request(sent));
    REQUIRE(got);
    CHECK(got->problem == sent.problem);
    CHECK(got->checksum == sent.checksum);
  }
}

TEST_CASE("a part of a snapshot comes back with every field and its bytes, which it shares") {
  const SnapshotPart sent = sample_part();
  const Bytes body = body_of(sent);
  const auto got = decode_snapshot_part(body);
  REQUIRE(got);
  CHECK(got->envelope.boot == sent.envelope.boot);
  CHECK(got->from == sent.from);
  CHECK(got->to == sent.to);
  CHECK(got->id == sent.id);
  CHECK(got->index == sent.index);
  CHECK(got->term == sent.term);
  CHECK(got->kind == sent.kind);
  CHECK(got->status == SnapshotPartStatus::kHere);
  CHECK(got->file == sent.file);
  CHECK(got->offset == sent.offset);
  CHECK(as_text(got->bytes.view()) == as_text(sent.bytes.view()));
  CHECK(got->bytes.data() > body.data());
  CHECK(got->bytes.data() < body.data() + body.size());
}

TEST_CASE("a request that asks for nothing sensible is refused") {
  const auto refused = [](auto change) {
    SnapshotRequest request = sample_request();
    change(request);
    const auto decoded = decode_snapshot_request(encode_snapshot_request(request));
    return !decoded && decoded.error().code == ErrorCode::kInvalid;
  };
  CHECK_FALSE(refused([](SnapshotRequest&) {}));
  CHECK_FALSE(refused([](SnapshotRequest& r) { r.length = kSnapshotChunkMax; }));
  CHECK(refused([](SnapshotRequest& r) { r.length = kSnapshotChunkMax + 1; }));
  CHECK(refused([](SnapshotRequest& r) { r.length = 0; }));
  CHECK(refused([](SnapshotRequest& r) { r.from = NodeId(); }));
  CHECK(refused([](SnapshotRequest& r) { r.to = NodeId(); }));
  CHECK(refused([](SnapshotRequest& r) { r.index = LogIndex(); }));
  CHECK(refused([](SnapshotRequest& r) { r.term = Term(); }));
  CHECK(refused([](SnapshotRequest& r) { r.kind = static_cast<SnapshotRequestKind>(0); }));
  CHECK(refused([](SnapshotRequest& r) { r.kind = static_cast<SnapshotRequestKind>(6); }));
  CHECK(refused([](SnapshotRequest& r) { r.problem = SnapshotProblem::kFile; }));
  CHECK(refused([](SnapshotRequest& r) {
    r.kind = SnapshotRequestKind::kGivenUp;
    r.problem = static_cast<SnapshotProblem>(4);
  }));
}

TEST_CASE("a part with more bytes than were asked for, or none to give, is refused") {
  const auto refused = [](auto change) {
    SnapshotPart part = sample_part();
    change(part);
    const auto decoded = decode_snapshot_part(body_of(part));
    return !decoded && decoded.error().code == ErrorCode::kInvalid;
  };
  CHECK_FALSE(refused([](SnapshotPart& p) { p.bytes = Bytes(); }));
  CHECK_FALSE(refused([](SnapshotPart& p) { p.bytes = Bytes(Bytes::Builder(kSnapshotChunkMax)); }));
  CHECK(refused([](SnapshotPart& p) { p.bytes = Bytes(Bytes::Builder(kSnapshotChunkMax + 1)); }));
  CHECK_FALSE(refused([](SnapshotPart& p) {
    p.kind = SnapshotRequestKind::kManifest;
    p.bytes = Bytes(Bytes::Builder(kSnapshotChunkMax + 1));
  }));
  CHECK(refused([](SnapshotPart& p) {
    p.kind = SnapshotRequestKind::kManifest;
    p.bytes = Bytes(Bytes::Builder(kSnapshotManifestSizeMax + 1));
  }));
  CHECK(refused([](SnapshotPart& p) { p.kind = SnapshotRequestKind::kStillBusy; }));
  CHECK(refused([](SnapshotPart& p) { p.status = SnapshotPartStatus::kGone; }));
  CHECK(refused([](SnapshotPart& p) { p.status = static_cast<SnapshotPartStatus>(4); }));
  CHECK_FALSE(refused([](SnapshotPart& p) {
    p.status = SnapshotPartStatus::kBusy;
    p.bytes = Bytes();
  }));
}

TEST_CASE("messages about snapshots that are cut off or have bits flipped break nothing") {
  const std::vector<std::uint8_t> request = encode_snapshot_request(sample_request());
  for (std::size_t size = 0; size < request.size(); ++size) {
    CHECK_FALSE(decode_snapshot_request(ExactCopy(ByteView(request).first(size)).view()));
  }
  std::vector<std::uint8_t> longer = request;
  longer.push_back(0);
  CHECK_FALSE(decode_snapshot_request(longer));
  const std::vector<std::uint8_t> head = encode_snapshot_part_head(sample_part());
  for (std::size_t size = 0; size + kTailPaddingMax < head.size(); ++size) {
    CHECK_FALSE(decode_snapshot_part(Bytes::copy_of(ByteView(head).first(size))));
  }
  int refused = 0;
  for (std::size_t bit = 0; bit < request.size() * 8; ++bit) {
    ExactCopy copy(request);
    copy.data()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    if (!decode_snapshot_request(copy.view())) ++refused;
    std::vector<std::uint8_t> flipped = head;
    if (bit / 8 >= flipped.size()) continue;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    if (!decode_snapshot_part(Bytes::copy_of(flipped))) ++refused;
  }
  CHECK(refused > 0);
}

}  // namespace bib::wire
