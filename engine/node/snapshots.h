// Snapshots: decides when snapshots are made, sent, fetched and put in place, and when the log
// is cut after them. The raft driver's SnapshotKeeper.
//
// Lives on the node loop and never blocks: what does runs on an executor (files) or at the host's
// store thread (the state). Driven by ticks; the same class runs in a node and in a simulation.
//
// Rules: one snapshot is made at a time, always of the state as it is after a whole entry. One
// is fetched at a time; a new leader's offer replaces it until it is being put in place. The log is
// cut to the newest snapshot of what is applied here, less `trailing_logs` or `trailing_bytes`, and
// not after one that is being sent, within bounds: a transfer that holds back more than
// `held_bytes_max`, and more than its snapshot's size, ends, as does one without progress
// (snapshot_sender.h), and the other side starts over with a newer snapshot. Only members are sent
// any. Feeds hold nothing back. Where the state is large and the threshold is reached at once, a
// pause of four times what the last one took comes first, unless the log has four times
// `bytes_max`. What cannot be made or fetched is a warning and is tried again, the latter after a
// pause that grows. One that is damaged is not offered: it is set aside, and another is made. A
// failure between the decision to install and its end stops the node, and its next start completes
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consensus/effects.h"
#include "engine/node/raft_driver.h"
#include "engine/node/snapshot_audit.h"
#include "engine/node/snapshot_fetcher.h"
#include "engine/node/snapshot_sender.h"
#include "engine/node/snapshot_store.h"
#include "engine/ports/executor.h"
#include "engine/ports/lifetime.h"
#include "engine/storage/state_install.h"
#include "projections/state/delta.h"
#include "projections/state/rocks_state.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::engine {

// The state's owner.
class SnapshotHost {
 public:
  virtual ~SnapshotHost() = default;

  // Makes the state, as it is applied now, a checkpoint in `directory` (which does not exist yet),
  // on the store thread. Not while the state is being exchanged.
  virtual void checkpoint(const std::string& directory,
                          std::function<void(wire::Result<projections::StateMark>)> done) = 0;
  // Exchanges the state: closes the store, runs `swap` on the store thread, opens what is there
  // then. Nothing is applied meanwhile. After an error the node stops.
  virtual void exchange_state(std::function<wire::Status()> swap,
                              std::function<void(wire::Status)> done) = 0;
  // LogStore::compact_to(); its answer goes to RaftDriver::on_log_compacted().
  virtual void compact_log(wire::LogIndex index) = 0;
  // The node must stop.
  virtual void on_snapshot_failure(const wire::Error& error) = 0;
  // Files of the state are damaged: it must not be used any longer than it takes to hand over.
  virtual void on_state_damage(const wire::Error& error) = 0;
  // Writes it to the node's log.
  virtual void log_snapshot_event(const std::string& text, bool is_problem) = 0;
};

struct SnapshotsOptions {
  std::string data_directory;
  wire::ClusterId cluster;
  wire::NodeId node;
  std::uint64_t threshold = 8192;             // entries since the last one,
  std::uint64_t bytes_min = 0;                // and at least so many bytes of log;
  std::uint64_t bytes_max = UINT64_MAX;       // or so many, whatever the entries
  std::uint64_t interval_ticks = 180000;      // since the last one, if anything was applied
  std::uint64_t trailing_logs = 10000;        // entries kept that a snapshot includes,
  std::uint64_t trailing_bytes = UINT64_MAX;  // and bytes of them; the lesser counts
  // Bytes of log kept after a snapshot that is being fetched and is no longer the newest.
  std::uint64_t held_bytes_max = UINT64_MAX;
  std::uint32_t retain_count = 3;
  unsigned retry_ticks = 1000;  // after one that could not be made
  // After one that could not be fetched, before the next: twice as long each time, up to the
  // greater. Not after a connection that was lost.
  unsigned fetch_pause_ticks_min = 200;
  unsigned fetch_pause_ticks_max = 6000;
  SnapshotSenderOptions sender;
  SnapshotFetcherOptions fetcher;     // root and cluster are filled in
  unsigned audit_pause_ticks = 6000;  // SnapshotAuditOptions
  // Whether a file of rows is whole, by the checksums within it.
  std::function<wire::Status(const std::string& path)> verify_table = [](const std::string& path) {
    return projections::RocksStore::verify_table(path);
  };
};

class Snapshots final : public SnapshotKeeper {
 public:
  // `found`: of find_snapshots(). `driver` may be null until attach(); nothing is called before.
  Snapshots(SnapshotsOptions options, FoundSnapshots found, FileSystem& files, Executor& executor,
            SnapshotPort& port, SnapshotHost& host, Clock& clock);
  ~Snapshots() override;
  void attach(RaftDriver& driver) { driver_ = &driver; }

  // ---- SnapshotKeeper
  void send_snapshot(wire::NodeId to, wire::LogIndex at_least) override;
  void receive_snapshot(wire::NodeId from, wire::LogPosition last) override;
  void on_install_durable(wire::LogPosition last) override;

  // ---- inputs
  void on_tick();
  void on_request(const wire::SnapshotRequest& request);
  void on_part(wire::SnapshotPart&& part) { fetcher_.on_part(std::move(part)); }
  void on_peer_disconnected(wire::NodeId peer);

  // One of the state as it is now; the newest one where nothing was applied since.
  using Made = std::function<void(wire::Result<SnapshotPtr>)>;
  void make(Made done);
  // The rows are not to be believed: none is made of them, and this is the answer to who asks for
  // one. Without it they are made again.
  void withhold(std::optional<wire::Error> why) { withheld_ = std::move(why); }

  const SnapshotStore& store() const { return store_; }
  // Of this node's own fetches: how many failed, and whether it waits because the last one did.
  std::uint64_t fetches_failed() const { return fetches_failed_; }
  bool waits_to_fetch() const { return fetch_wait_ > 0; }
  // That node was sent snapshots and got none in place, the last few times.
  bool fails_to_fetch(wire::NodeId peer) const;

 private:
  void make_if_due();
  bool is_due() const;
  void begin_making();
  void on_checkpoint(wire::Result<projections::StateMark> mark);
  void on_sealed(wire::Result<wire::SnapshotManifest> manifest);
  void finish_making(wire::Result<SnapshotPtr> result);
  void offer(wire::NodeId to, const SnapshotPtr& snapshot);
  void cut_log();
  wire::LogIndex cut_target() const;
  bool is_member(wire::NodeId peer) const;
  void end_transfers_that_hold_back(wire::LogIndex target);
  void on_fetched(wire::Result<wire::SnapshotManifest> manifest);
  // `is_checked`: just now.
  void install(const SnapshotPtr& snapshot, wire::NodeId source, bool is_checked);
  void on_prepare_failed(const SnapshotPtr& snapshot, wire::NodeId source,
                         const wire::Error& error);
  void on_fetch_failed(const wire::Error& error, std::string_view what);
  bool must_wait(wire::NodeId from, wire::LogPosition last) const;
  void on_sent(wire::NodeId to, bool ok);
  void on_doubt(const SnapshotPtr& snapshot, const SnapshotDoubt& doubt);
  void on_looked(const SnapshotPtr& snapshot, bool is_whole);
  void answer_waiting_peers(const SnapshotPtr& newest);
  void tell(wire::NodeId to, wire::LogPosition place, wire::SnapshotRequestKind kind);
  // Runs `work` on the executor and `done` here, unless this is gone by then.
  void run(std::function<wire::Status()> work, std::function<void(wire::Status)> done);

  const SnapshotsOptions options_;
  const InstallPlaces places_;
  FileSystem& files_;
  Executor& executor_;
  SnapshotPort& port_;
  SnapshotHost& host_;
  Clock& clock_;
  RaftDriver* driver_ = nullptr;
  SnapshotStore store_;
  SnapshotSender sender_;
  SnapshotFetcher fetcher_;
  SnapshotAudit audit_;

  // Making.
  std::optional<wire::Error> withheld_;
  bool making_ = false;
  wire::SnapshotManifest being_made_;
  std::vector<wire::SnapshotFile> sealed_;  // of this state, in the last one that was made
  bool replaces_damaged_ = false;           // one was set aside: the next is due
  std::vector<Made> waiting_;
  std::vector<consensus::SendSnapshot> unanswered_;  // peers that wait for the next one
  std::uint64_t ticks_since_made_ = 0;
  std::uint64_t ticks_making_ = 0;  // how long the last one took, or the one under way has taken
  unsigned retry_in_ticks_ = 0;

  // Fetching and installing.
  struct Offer {
    wire::NodeId from;
    wire::LogPosition last;
    bool operator==(const Offer&) const = default;
  };
  std::optional<Offer> offer_;  // the last one, while something else has to end first
  bool installing_ = false;
  bool ending_ = false;  // the log is being reset, or the note of the installation taken away
  SnapshotStore::Pin installing_pin_;
  Offer fetching_;
  struct FetchProblem {
    wire::ErrorCode code;
    Offer offer;
  };
  std::optional<FetchProblem> fetch_problem_;  // of the last one, if it will not pass by itself
  unsigned fetch_pause_ = 0;                   // ticks; the last one's
  unsigned fetch_wait_ = 0;                    // ticks that are left of it
  std::uint64_t fetches_failed_ = 0;
  std::map<wire::NodeId, unsigned> failed_to_send_;  // in a row

  wire::LogIndex cut_asked_;
  Lifetime<Snapshots> lifetime_{this};
};

}  // namespace bib::engine
