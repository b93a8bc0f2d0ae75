#include "wire/peer/snapshot_message.h"

#include <array>
#include <cstring>

#include "schema/peer_generated.h"
#include "wire/base/flatbuffers_io.h"
#include "wire/base/little_endian.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::wire {
namespace {

// Numbers only: far below this.
constexpr std::size_t kHeadSizeMax = 512;
constexpr std::size_t kSizePrefix = sizeof(std::uint32_t);

template <typename... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalid, "not a valid message about a snapshot: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

using Aligned = std::array<std::uint8_t, kHeadSizeMax>;

// A verified table in aligned storage, where FlatBuffers may read by 8-byte loads; `size` with the
// prefix.
template <typename Table>
Result<const Table*> open_head(ByteView body, Aligned& aligned, std::size_t& size) {
  if (body.size() < kSizePrefix) return bad("{} bytes", body.size());
  const std::uint64_t unpadded = kSizePrefix + std::uint64_t{load_u32(body.data())};
  if (unpadded > kHeadSizeMax || unpadded > body.size()) {
    return bad("a head of {} bytes in {}; the limit is {}", unpadded, body.size(), kHeadSizeMax);
  }
  std::memcpy(aligned.data(), body.data(), unpadded);
  flatbuffers::Verifier verifier(aligned.data(), unpadded);
  if (!verifier.VerifySizePrefixedBuffer<Table>(nullptr)) return bad("the head does not verify");
  size = unpadded;
  return flatbuffers::GetSizePrefixedRoot<Table>(aligned.data());
}

// What both kinds of message have.
template <typename Message, typename Table>
Status read_common(const Table& table, Message& message) {
  message.envelope.cluster = id_of<ClusterId>(table.cluster());
  message.envelope.boot = BootId(table.boot());
  message.from = NodeId(table.from());
  message.to = NodeId(table.to());
  message.id = table.id();
  message.index = LogIndex(table.index());
  message.term = Term(table.term());
  message.file = table.file();
  message.offset = table.offset();
  if (message.from == NodeId() || message.to == NodeId()) {
    return bad("it names no sender or no addressee");
  }
  if (message.index == LogIndex() || message.term == Term()) return bad("it names no snapshot");
  if (table.kind() < static_cast<unsigned>(SnapshotRequestKind::kManifest) ||
      table.kind() > static_cast<unsigned>(SnapshotRequestKind::kGivenUp)) {
    return bad("kind {} is unknown", table.kind());
  }
  message.kind = static_cast<SnapshotRequestKind>(table.kind());
  return {};
}

std::vector<std::uint8_t> finished(const flatbuffers::FlatBufferBuilder& builder) {
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

}  // namespace

std::vector<std::uint8_t> encode_snapshot_request(const SnapshotRequest& request) {
  flatbuffers::FlatBufferBuilder builder(256);
  const auto cluster = to_fb_id<fb::peer::Id128>(request.envelope.cluster);
  builder.FinishSizePrefixed(fb::peer::CreateSnapshotRequest(
      builder, &cluster, request.envelope.boot.value(), request.from.value(), request.to.value(),
      request.id, request.index.value(), request.term.value(),
      static_cast<std::uint8_t>(request.kind), request.file, request.offset, request.length,
      static_cast<std::uint8_t>(request.problem), request.checksum));
  return finished(builder);
}

std::vector<std::uint8_t> encode_snapshot_part_head(const SnapshotPart& part) {
  flatbuffers::FlatBufferBuilder builder(256);
  const auto cluster = to_fb_id<fb::peer::Id128>(part.envelope.cluster);
  builder.FinishSizePrefixed(fb::peer::CreateSnapshotPart(
      builder, &cluster, part.envelope.boot.value(), part.from.value(), part.to.value(), part.id,
      part.index.value(), part.term.value(), static_cast<std::uint8_t>(part.kind),
      static_cast<std::uint8_t>(part.status), part.file, part.offset));
  std::vector<std::uint8_t> head = finished(builder);
  head.resize(round_up(head.size(), 8));
  return head;
}

Result<SnapshotRequest> decode_snapshot_request(ByteView body) {
  alignas(8) Aligned aligned;
  std::size_t size = 0;
  BIB_TRY(const auto* table, open_head<fb::peer::SnapshotRequest>(body, aligned, size));
  if (size != body.size()) return bad("{} trailing bytes after the request", body.size() - size);
  SnapshotRequest request;
  BIB_TRY_VOID(read_common(*table, request));
  request.length = table->length();
  if (request.kind == SnapshotRequestKind::kChunk &&
      (request.length == 0 || request.length > kSnapshotChunkMax)) {
    return bad("a chunk of {} bytes; allowed are 1 to {}", request.length, kSnapshotChunkMax);
  }
  const bool may_have_problem = request.kind == SnapshotRequestKind::kGivenUp;
  if (table->problem() > static_cast<unsigned>(SnapshotProblem::kRows) ||
      (table->problem() != 0 && !may_have_problem)) {
    return bad("problem {} is unknown, or not said by one that gives up", table->problem());
  }
  request.problem = static_cast<SnapshotProblem>(table->problem());
  request.checksum = table->checksum();
  return request;
}

Result<SnapshotPart> decode_snapshot_part(const Bytes& body) {
  alignas(8) Aligned aligned;
  std::size_t size = 0;
  BIB_TRY(const auto* table, open_head<fb::peer::SnapshotPart>(body.view(), aligned, size));
  SnapshotPart part;
  BIB_TRY_VOID(read_common(*table, part));
  if (table->status() > static_cast<unsigned>(SnapshotPartStatus::kFailed)) {
    return bad("status {} is unknown", table->status());
  }
  part.status = static_cast<SnapshotPartStatus>(table->status());
  const std::uint64_t begin = round_up(size, 8);
  if (begin > body.size()) return bad("it ends within its head");
  const std::uint64_t rest = body.size() - begin;
  const std::uint64_t allowed = part.status != SnapshotPartStatus::kHere ? 0
                                : part.kind == SnapshotRequestKind::kManifest
                                    ? kSnapshotManifestSizeMax
                                : part.kind == SnapshotRequestKind::kChunk ? kSnapshotChunkMax
                                                                           : 0;
  if (rest > allowed) return bad("{} bytes where at most {} may be", rest, allowed);
  part.bytes = body.slice(begin, rest);
  return part;
}

}  // namespace bib::wire
