#include "engine/node/snapshot_sender.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace bib::engine {

using wire::NodeId;
using wire::SnapshotPart;
using wire::SnapshotPartStatus;
using wire::SnapshotRequest;
using wire::SnapshotRequestKind;

namespace {

SnapshotPart part_for(const SnapshotRequest& request) {
  SnapshotPart part;
  part.to = request.from;
  part.id = request.id;
  part.index = request.index;
  part.term = request.term;
  part.kind = request.kind;
  part.file = request.file;
  part.offset = request.offset;
  return part;
}

// What must come of a chunk that lies in its file; less is a file that was cut short.
std::uint64_t size_of(const SnapshotRequest& request, const wire::SnapshotManifest& snapshot) {
  if (request.kind != SnapshotRequestKind::kChunk) return 0;
  const std::uint64_t size = snapshot.files[request.file].size;
  return std::min<std::uint64_t>(request.length, size - std::min(size, request.offset));
}

}  // namespace

SnapshotSender::SnapshotSender(
    SnapshotSenderOptions options, SnapshotStore& store, Executor& executor, SnapshotPort& port,
    std::function<void(NodeId, bool)> on_ended,
    std::function<void(const SnapshotPtr&, const SnapshotDoubt&)> on_doubt)
    : options_(options),
      store_(store),
      executor_(executor),
      port_(port),
      on_ended_(std::move(on_ended)),
      on_doubt_(std::move(on_doubt)) {}

SnapshotSender::~SnapshotSender() = default;

void SnapshotSender::offered(NodeId to, const SnapshotPtr& snapshot) {
  ended_.erase(to);
  transfers_[to] = Transfer{snapshot, store_.pin(snapshot), 0, 0, {}};
}

void SnapshotSender::on_request(const SnapshotRequest& request) {
  const wire::LogPosition position{request.index, request.term};
  auto transfer = transfers_.find(request.from);
  const bool known =
      transfer != transfers_.end() && transfer->second.snapshot->position() == position;
  switch (request.kind) {
    case SnapshotRequestKind::kManifest:
    case SnapshotRequestKind::kChunk:
      break;
    case SnapshotRequestKind::kStillBusy:
      if (known) transfer->second.ticks_silent = 0;
      return;
    case SnapshotRequestKind::kInstalled:
    case SnapshotRequestKind::kGivenUp:
      if (!known) return;
      if (request.problem != wire::SnapshotProblem::kNone) {
        const SnapshotPtr doubted = transfer->second.snapshot;
        on_doubt_(doubted, {request.from, request.problem, request.file, request.checksum});
      }
      return end(request.from, request.kind == SnapshotRequestKind::kInstalled);
  }
  // Any member that asks is served, whether this node has offered it or an earlier run of it has.
  const SnapshotPtr snapshot = known ? transfer->second.snapshot : store_.find(position);
  const auto ended = ended_.find(request.from);
  const bool was_ended = ended != ended_.end() && ended->second == position;
  if (!snapshot || was_ended) return refuse(request, SnapshotPartStatus::kGone);
  if (reads_ >= options_.reads_max || (!known && transfers_.size() >= options_.peers_max)) {
    return refuse(request, SnapshotPartStatus::kBusy);
  }
  if (!known) offered(request.from, snapshot);
  Transfer& asking = transfers_[request.from];
  asking.ticks_silent = 0;
  const std::pair place{request.file, request.offset};
  if (place > asking.furthest) {
    asking.furthest = place;
    asking.ticks_stuck = 0;
  }
  read_part(request, snapshot);
}

void SnapshotSender::read_part(const SnapshotRequest& request, const SnapshotPtr& snapshot) {
  const bool is_chunk = request.kind == SnapshotRequestKind::kChunk;
  if (is_chunk && request.file >= snapshot->files.size()) {
    return refuse(request, SnapshotPartStatus::kGone);
  }
  ++reads_;
  auto bytes = std::make_shared<wire::Result<wire::Bytes>>();
  executor_.run(
      [&files = store_.files(), root = store_.root(), snapshot, request, is_chunk, bytes] {
        const std::string name = name_of(*snapshot);
        if (is_chunk) {
          *bytes = read_snapshot_chunk(files, root, name, snapshot->files[request.file].name,
                                       request.offset, request.length);
        } else {
          *bytes = read_manifest_bytes(files, root, name).map([](const auto& read) {
            return wire::Bytes::copy_of(read);
          });
        }
      },
      lifetime_.guarded([request, snapshot, bytes](SnapshotSender& self) {
        --self.reads_;
        self.answer(request, snapshot, *bytes);
      }));
}

void SnapshotSender::answer(const SnapshotRequest& request, const SnapshotPtr& snapshot,
                            const wire::Result<wire::Bytes>& read) {
  if (read && read->size() >= size_of(request, *snapshot)) {
    SnapshotPart part = part_for(request);
    part.bytes = *read;
    return port_.send(part);
  }
  // No descriptor was left: another time.
  if (!read && read.error().code == wire::ErrorCode::kOverloaded) {
    return refuse(request, SnapshotPartStatus::kBusy);
  }
  refuse(request, SnapshotPartStatus::kFailed);
  on_doubt_(snapshot, {NodeId(), wire::SnapshotProblem::kFile, request.file, 0});
}

void SnapshotSender::refuse(const SnapshotRequest& request, SnapshotPartStatus status) {
  SnapshotPart part = part_for(request);
  part.status = status;
  port_.send(part);
}

void SnapshotSender::on_peer_disconnected(NodeId peer) {
  if (transfers_.contains(peer)) end(peer, false);
}

void SnapshotSender::on_tick() {
  std::vector<NodeId> silent;
  std::vector<NodeId> stuck;
  for (auto& [peer, transfer] : transfers_) {
    ++transfer.ticks_stuck;
    if (++transfer.ticks_silent >= options_.silent_ticks) {
      silent.push_back(peer);
    } else if (transfer.ticks_stuck >= options_.stuck_ticks) {
      stuck.push_back(peer);
    }
  }
  for (const NodeId peer : silent) end(peer, false);
  for (const NodeId peer : stuck) put_an_end_to(peer);
}

void SnapshotSender::end_if(
    const std::function<bool(NodeId, const wire::SnapshotManifest&)>& must_end) {
  std::vector<NodeId> over;
  for (const auto& [peer, transfer] : transfers_) {
    if (must_end(peer, *transfer.snapshot)) over.push_back(peer);
  }
  for (const NodeId peer : over) put_an_end_to(peer);
}

void SnapshotSender::put_an_end_to(NodeId peer) {
  ended_[peer] = transfers_.at(peer).snapshot->position();
  end(peer, false);
}

void SnapshotSender::end(NodeId peer, bool ok) {
  transfers_.erase(peer);
  on_ended_(peer, ok);
}

std::optional<wire::LogIndex> SnapshotSender::lowest_under_way() const {
  std::optional<wire::LogIndex> lowest;
  for (const auto& [peer, transfer] : transfers_) {
    if (!lowest || transfer.snapshot->index < *lowest) lowest = transfer.snapshot->index;
  }
  return lowest;
}

}  // namespace bib::engine
