// SnapshotFetcher: asks another node for a snapshot, part by part, until it is here whole,
// checked and under its name.
//
// Lives on the node loop; files are written, and everything is checked, on an executor. One
// snapshot at a time. The happy path: the manifest; then chunks of the files in order, a few
// requests ahead of what has been written, so that a slow disk here slows the other side down and
// memory stays bounded; then every file's checksum, the rows' digests against the manifest, and the
// name.
//
// Failure modes:
//   - a request or a part is lost, or the other side is busy: asked again after a while, so often;
//   - the other side is gone, falls silent, or has the snapshot no more: it ends; the leader
//     offers one again;
//   - what came is not what the manifest says: it ends, with a warning, nothing is kept, and the
//     other side is told what was wrong with it;
//   - the disk has no room for all of it and the reserve: it ends before any file is asked for
//     (kOverloaded), or when the room has gone meanwhile;
//   - a crash: the half-made directory is removed at the next start.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/ports/executor.h"
#include "engine/ports/file.h"
#include "engine/ports/lifetime.h"
#include "engine/ports/peer_port.h"
#include "projections/apply/checkpoint.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/snapshot_manifest.h"
#include "wire/peer/snapshot_message.h"

namespace bib::engine {

using VerifyRows = std::function<wire::Result<projections::StateMark>(const std::string&)>;

struct SnapshotFetcherOptions {
  std::string root;  // of the snapshots
  wire::ClusterId cluster;
  std::uint64_t reserve_bytes = 0;  // stay free on the disk
  std::uint32_t chunk_bytes = 256U << 10;
  std::uint32_t chunks_ahead = 4;   // asked for and not yet written
  unsigned retry_ticks = 100;       // without an answer a request is repeated
  unsigned give_up_ticks = 1000;    // without any progress
  unsigned still_busy_ticks = 100;  // how often the other side hears that this one is checking
  // Reads the rows in a directory, computes their digests, and says where they stand. kCorrupt:
  // they are not the cluster's, too.
  std::function<wire::Result<projections::StateMark>(const std::string&, const wire::ClusterId&)>
      verify_rows = [](const std::string& directory, const wire::ClusterId& owner) {
        return projections::verify_checkpoint(directory, {}, owner);
      };
  VerifyRows verifier() const {
    return [verify = verify_rows, owner = cluster](const std::string& directory) {
      return verify(directory, owner);
    };
  }
};

class SnapshotFetcher {
 public:
  // `on_ended` once for each begin() that was not replaced or abandoned: with the manifest of a
  // snapshot that is whole and durable under its name, or why there is none. kTimeout: the other
  // side or the network; kNotFound: it has it no more, or cannot read it; kCorrupt: what came is
  // damaged; the rest is this side's.
  SnapshotFetcher(SnapshotFetcherOptions options, FileSystem& files, Executor& executor,
                  SnapshotPort& port,
                  std::function<void(wire::Result<wire::SnapshotManifest>)> on_ended);
  ~SnapshotFetcher();

  bool is_busy() const { return fetch_ != nullptr; }
  // The snapshot and its sender; only while busy.
  wire::NodeId source() const;
  wire::LogPosition place() const;

  // Not while busy, nor before what an abandoned one was writing has ended: false then.
  bool begin(wire::NodeId from, wire::LogPosition place);
  void abandon();
  void on_part(wire::SnapshotPart&& part);
  void on_peer_disconnected(wire::NodeId peer);
  void on_tick();

  std::uint64_t bytes_received() const { return bytes_received_; }

 private:
  struct Fetch;
  struct Target;
  // What was wrong with what came: its source is told.
  struct Damage {
    wire::SnapshotProblem problem = wire::SnapshotProblem::kNone;
    std::uint32_t file = 0;
    std::uint64_t checksum = 0;
  };
  struct Wanted {
    wire::SnapshotRequest request;
    unsigned ticks = 0;
    std::optional<wire::Bytes> bytes;  // has come, waits for what comes before it
  };

  void ask(Wanted& wanted);
  void on_manifest(const wire::Bytes& bytes);
  wire::Status check_manifest(const wire::SnapshotManifest& manifest) const;
  void begin_files();
  void ask_ahead();
  void write_what_has_come();
  static wire::Status write_piece(FileSystem& files, Target& target,
                                  const wire::SnapshotFile& expected, wire::ByteView bytes);
  static wire::Status check_rows(const VerifyRows& verify, const wire::SnapshotManifest& manifest,
                                 Target& target);
  void check_all();
  void run(std::function<wire::Status()> work, std::function<void(wire::Status)> done);
  void fail(const wire::Error& error) { fail(error, Damage()); }
  void fail(const wire::Error& error, const Damage& damage);
  void clean_up();

  const SnapshotFetcherOptions options_;
  FileSystem& files_;
  Executor& executor_;
  SnapshotPort& port_;
  std::function<void(wire::Result<wire::SnapshotManifest>)> on_ended_;
  std::unique_ptr<Fetch> fetch_;
  std::uint64_t next_id_ = 1;
  std::uint64_t generation_ = 0;  // tells the jobs of an abandoned fetch from this one's
  bool job_is_running_ = false;   // of this fetch or of an abandoned one: they share a directory
  std::uint64_t bytes_received_ = 0;
  Lifetime<SnapshotFetcher> lifetime_{this};
};

}  // namespace bib::engine
