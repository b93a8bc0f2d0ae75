#include "engine/node/snapshot_fetcher.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "engine/storage/snapshot_files.h"
#include "projections/apply/checkpoint.h"
#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::Result;
using wire::SnapshotManifest;
using wire::SnapshotPart;
using wire::SnapshotPartStatus;
using wire::SnapshotProblem;
using wire::SnapshotRequest;
using wire::SnapshotRequestKind;
using wire::Status;

namespace {

// Whether the disk takes `bytes` more. Where it cannot be asked, writing will tell.
Status check_room(FileSystem& files, const std::string& root, std::uint64_t bytes,
                  std::uint64_t reserve) {
  const auto free = files.free_bytes(root);
  if (!free || (*free >= reserve && *free - reserve >= bytes)) return {};
  return wire::fail(ErrorCode::kOverloaded,
                    "there is no room for it: {} bytes are free in {}, and it needs {} and "
                    "limits.disk_reserve ({} bytes). Make room there; it is fetched by itself then",
                    *free, root, bytes, reserve);
}

}  // namespace

// The files as they grow; one job at a time touches it.
struct SnapshotFetcher::Target {
  std::string state;
  std::unique_ptr<File> file;
  wire::StreamChecksum checksum;
  std::uint64_t written = 0;  // of the open file
  Damage damage;              // found in what came
};

struct SnapshotFetcher::Fetch {
  wire::NodeId from;
  wire::LogPosition place;
  std::shared_ptr<const SnapshotManifest> manifest;
  wire::Bytes manifest_bytes;
  std::shared_ptr<Target> target = std::make_shared<Target>();
  std::deque<Wanted> wanted;   // in order of file and offset
  std::uint32_t ask_file = 0;  // the next chunk to ask for
  std::uint64_t ask_offset = 0;
  bool all_written = false;
  unsigned ticks_without_progress = 0;
  unsigned ticks_since_sign = 0;
};

SnapshotFetcher::SnapshotFetcher(SnapshotFetcherOptions options, FileSystem& files,
                                 Executor& executor, SnapshotPort& port,
                                 std::function<void(Result<SnapshotManifest>)> on_ended)
    : options_(std::move(options)),
      files_(files),
      executor_(executor),
      port_(port),
      on_ended_(std::move(on_ended)) {}

SnapshotFetcher::~SnapshotFetcher() = default;

wire::NodeId SnapshotFetcher::source() const {
  return fetch_->from;
}

wire::LogPosition SnapshotFetcher::place() const {
  return fetch_->place;
}

bool SnapshotFetcher::begin(wire::NodeId from, wire::LogPosition place) {
  if (fetch_ || job_is_running_) return false;
  ++generation_;
  fetch_ = std::make_unique<Fetch>();
  fetch_->from = from;
  fetch_->place = place;
  fetch_->target->state = snapshot_state_directory(options_.root, kReceivingName);
  fetch_->wanted.push_back({});
  ask(fetch_->wanted.back());
  return true;
}

void SnapshotFetcher::abandon() {
  if (!fetch_) return;
  fetch_.reset();
  clean_up();
}

void SnapshotFetcher::fail(const wire::Error& error, const Damage& damage) {
  SnapshotRequest sign;
  sign.to = fetch_->from;
  sign.index = fetch_->place.index;
  sign.term = fetch_->place.term;
  sign.kind = SnapshotRequestKind::kGivenUp;
  sign.problem = damage.problem;
  sign.file = damage.file;
  sign.checksum = damage.checksum;
  port_.send(sign);
  fetch_.reset();
  clean_up();
  on_ended_(tl::unexpected(error));
}

// While a job still runs, the next begin() or the next start does it.
void SnapshotFetcher::clean_up() {
  if (job_is_running_) return;
  job_is_running_ = true;
  executor_.run(
      [&files = files_, directory = join_path(options_.root, kReceivingName)] {
        static_cast<void>(remove_tree(files, directory));
      },
      lifetime_.guarded([](SnapshotFetcher& self) { self.job_is_running_ = false; }));
}

void SnapshotFetcher::ask(Wanted& wanted) {
  SnapshotRequest& request = wanted.request;
  request.to = fetch_->from;
  request.id = next_id_++;
  request.index = fetch_->place.index;
  request.term = fetch_->place.term;
  wanted.ticks = 0;
  port_.send(request);
}

void SnapshotFetcher::on_part(SnapshotPart&& part) {
  if (!fetch_ || part.from != fetch_->from) return;
  const auto wanted =
      std::find_if(fetch_->wanted.begin(), fetch_->wanted.end(),
                   [&](const Wanted& w) { return w.request.id == part.id && !w.bytes; });
  if (wanted == fetch_->wanted.end()) return;  // repeated, or of an earlier fetch
  switch (part.status) {
    case SnapshotPartStatus::kHere:
      break;
    case SnapshotPartStatus::kBusy:
      return;  // asked again by on_tick()
    case SnapshotPartStatus::kFailed:
      return fail(
          {ErrorCode::kNotFound,
           fmt::format("{} cannot read its snapshot {}: see its log", to_string(fetch_->from),
                       wire::snapshot_name(fetch_->place.index, fetch_->place.term))});
    case SnapshotPartStatus::kGone:
      return fail({ErrorCode::kNotFound,
                   fmt::format("{} no longer has snapshot {}", to_string(fetch_->from),
                               wire::snapshot_name(fetch_->place.index, fetch_->place.term))});
  }
  fetch_->ticks_without_progress = 0;
  bytes_received_ += part.bytes.size();
  if (wanted->request.kind == SnapshotRequestKind::kManifest) return on_manifest(part.bytes);
  if (part.bytes.size() != wanted->request.length) {
    return fail({ErrorCode::kCorrupt,
                 fmt::format("{} gave {} bytes of the snapshot's file {} at {}, not {}",
                             to_string(fetch_->from), part.bytes.size(), wanted->request.file,
                             wanted->request.offset, wanted->request.length)},
                {SnapshotProblem::kFile, wanted->request.file, 0});
  }
  // A copy: the frame's buffer may be larger.
  wanted->bytes = std::move(part.bytes);
  write_what_has_come();
}

Status SnapshotFetcher::check_manifest(const SnapshotManifest& manifest) const {
  if (manifest.cluster == options_.cluster && manifest.index == fetch_->place.index &&
      manifest.term == fetch_->place.term) {
    return {};
  }
  return wire::fail(ErrorCode::kCorrupt, "it is the manifest of snapshot {} of cluster {}",
                    wire::snapshot_name(manifest.index, manifest.term),
                    to_string(manifest.cluster));
}

void SnapshotFetcher::on_manifest(const wire::Bytes& bytes) {
  auto manifest = wire::decode_snapshot_manifest(bytes.view());
  if (!manifest) {
    const bool is_damaged = manifest.error().code == ErrorCode::kCorrupt;
    return fail(manifest.error(), is_damaged ? Damage{SnapshotProblem::kManifest, 0, 0} : Damage());
  }
  if (const Status status = check_manifest(*manifest); !status) {
    return fail(status.error(), {SnapshotProblem::kManifest, 0, 0});
  }
  fetch_->manifest = std::make_shared<const SnapshotManifest>(*std::move(manifest));
  fetch_->manifest_bytes = bytes;
  fetch_->wanted.clear();
  begin_files();
}

// Runs on the executor, one job at a time; `done` only if the fetch is still the same.
void SnapshotFetcher::run(std::function<Status()> work, std::function<void(Status)> done) {
  BIB_CHECK(!job_is_running_);
  job_is_running_ = true;
  auto outcome = std::make_shared<Status>();
  executor_.run([work = std::move(work), outcome] { *outcome = work(); },
                lifetime_.guarded([generation = generation_, outcome,
                                   done = std::move(done)](SnapshotFetcher& self) {
                  self.job_is_running_ = false;
                  if (!self.fetch_ || generation != self.generation_) return;
                  if (!*outcome) {
                    const Damage damage = self.fetch_->target->damage;
                    return self.fail(outcome->error(), damage);
                  }
                  self.fetch_->ticks_without_progress = 0;
                  done(*outcome);
                }));
}

void SnapshotFetcher::begin_files() {
  run(
      [&files = files_, root = options_.root, reserve = options_.reserve_bytes,
       bytes = fetch_->manifest->bytes(), state = fetch_->target->state]() -> Status {
        // First: what an earlier one has left here takes room.
        BIB_TRY_VOID(begin_partial_snapshot(files, root, kReceivingName));
        BIB_TRY_VOID(check_room(files, root, bytes, reserve));
        return files.make_directories(state);
      },
      [this](const Status&) {
        ask_ahead();
        write_what_has_come();
      });
}

// Keeps a few requests ahead of what has been written. An empty file has a chunk of no bytes, which
// nobody is asked for.
void SnapshotFetcher::ask_ahead() {
  const auto& files = fetch_->manifest->files;
  while (fetch_->ask_file < files.size() && fetch_->wanted.size() < options_.chunks_ahead) {
    const std::uint64_t size = files[fetch_->ask_file].size;
    Wanted wanted;
    wanted.request.kind = SnapshotRequestKind::kChunk;
    wanted.request.file = fetch_->ask_file;
    wanted.request.offset = fetch_->ask_offset;
    wanted.request.length = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(options_.chunk_bytes, size - fetch_->ask_offset));
    fetch_->ask_offset += wanted.request.length;
    if (fetch_->ask_offset == size) {
      ++fetch_->ask_file;
      fetch_->ask_offset = 0;
    }
    if (wanted.request.length == 0) {
      wanted.bytes = wire::Bytes();
    } else {
      ask(wanted);
    }
    fetch_->wanted.push_back(std::move(wanted));
  }
}

Status SnapshotFetcher::write_piece(FileSystem& files, Target& target,
                                    const wire::SnapshotFile& expected, wire::ByteView bytes) {
  if (!target.file) {
    const std::string path = join_path(target.state, expected.name);
    BIB_TRY(target.file, files.open(path, {.mode = OpenMode::kCreate, .direct = false}));
    target.checksum = wire::StreamChecksum();
    target.written = 0;
  }
  if (!bytes.empty()) BIB_TRY_VOID(target.file->write(target.written, bytes));
  target.checksum.add(bytes);
  target.written += bytes.size();
  if (target.written < expected.size) return {};
  if (target.checksum.value() != expected.checksum) {
    target.damage.problem = SnapshotProblem::kFile;
    target.damage.checksum = target.checksum.value();
    return wire::fail(
        ErrorCode::kCorrupt,
        "the snapshot's file {} came with checksum {:016x}, its manifest says {:016x}",
        expected.name, target.checksum.value(), expected.checksum);
  }
  BIB_TRY_VOID(target.file->sync());
  target.file.reset();
  return {};
}

void SnapshotFetcher::write_what_has_come() {
  if (job_is_running_ || !fetch_->manifest) return;
  struct Piece {
    std::uint32_t file;
    wire::Bytes bytes;
  };
  auto pieces = std::make_shared<std::vector<Piece>>();
  while (!fetch_->wanted.empty() && fetch_->wanted.front().bytes) {
    Wanted& first = fetch_->wanted.front();
    pieces->push_back({first.request.file, *std::move(first.bytes)});
    fetch_->wanted.pop_front();
  }
  if (pieces->empty()) {
    if (fetch_->wanted.empty() && fetch_->ask_file == fetch_->manifest->files.size()) check_all();
    return;
  }
  run(
      [&files = files_, root = options_.root, manifest = fetch_->manifest, target = fetch_->target,
       pieces]() -> Status {
        for (const Piece& piece : *pieces) {
          const Status written =
              write_piece(files, *target, manifest->files[piece.file], piece.bytes.view());
          if (written) continue;
          target->damage.file = piece.file;
          if (written.error().code == ErrorCode::kCorrupt) return written;
          // The room may have gone since; that says more than the write that failed for it.
          BIB_TRY_VOID(check_room(files, root, piece.bytes.size(), 0));
          return written;
        }
        return {};
      },
      [this](const Status&) {
        ask_ahead();
        write_what_has_come();
      });
}

// The files are what the manifest says; so what is wrong with the rows was so before.
Status SnapshotFetcher::check_rows(const VerifyRows& verify, const SnapshotManifest& manifest,
                                   Target& target) {
  const auto mark = verify(target.state);
  const Status found = mark ? projections::check_against_manifest(*mark, manifest)
                            : Status(tl::unexpected(mark.error()));
  if (!found && found.error().code == ErrorCode::kCorrupt) {
    target.damage.problem = SnapshotProblem::kRows;
  }
  return found;
}

void SnapshotFetcher::check_all() {
  fetch_->all_written = true;
  run(
      [&files = files_, root = options_.root, target = fetch_->target, verify = options_.verifier(),
       manifest = fetch_->manifest, bytes = fetch_->manifest_bytes]() -> Status {
        BIB_TRY_VOID(check_rows(verify, *manifest, *target));
        const std::string name = wire::snapshot_name(manifest->index, manifest->term);
        // One of the same place that this node has made itself is as good.
        BIB_TRY(const bool is_there, has_name(files, root, name));
        if (is_there) BIB_TRY_VOID(remove_snapshot(files, root, name));
        return publish_snapshot(files, root, kReceivingName, *manifest, bytes.view());
      },
      [this](const Status&) {
        SnapshotManifest manifest = *fetch_->manifest;
        fetch_.reset();
        on_ended_(std::move(manifest));
      });
}

void SnapshotFetcher::on_peer_disconnected(wire::NodeId peer) {
  if (!fetch_ || fetch_->from != peer || fetch_->all_written) return;
  if (BIB_MUTANT(kWaitsForOldLeader)) return;
  fail({ErrorCode::kTimeout, fmt::format("the connection to {} was lost", to_string(peer))});
}

void SnapshotFetcher::on_tick() {
  if (!fetch_) return;
  if (++fetch_->ticks_since_sign >= options_.still_busy_ticks) {
    fetch_->ticks_since_sign = 0;
    SnapshotRequest sign;
    sign.to = fetch_->from;
    sign.index = fetch_->place.index;
    sign.term = fetch_->place.term;
    sign.kind = SnapshotRequestKind::kStillBusy;
    port_.send(sign);
  }
  if (job_is_running_) return;  // it is this side that takes its time
  if (++fetch_->ticks_without_progress >= options_.give_up_ticks &&
      !BIB_MUTANT(kWaitsForOldLeader)) {
    return fail(
        {ErrorCode::kTimeout, fmt::format("{} no longer answers", to_string(fetch_->from))});
  }
  for (Wanted& wanted : fetch_->wanted) {
    if (!wanted.bytes && ++wanted.ticks >= options_.retry_ticks) ask(wanted);
  }
}

}  // namespace bib::engine
