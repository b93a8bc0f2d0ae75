#include "cluster.h"

#include <fmt/format.h>

#include "projections/apply/replay.h"
#include "projections/state/keys.h"
#include "wire/model/row.h"
#include "wire/peer/join_token.h"

namespace bib::damage {

namespace {

constexpr char kClusterName[] = "damage";
constexpr char kTokenSecret[] = "0123456789abcdef0123456789abcdef";

std::string address(std::uint64_t id, int port) {
  return fmt::format("127.0.0.{}:{}", id, port);
}

}  // namespace

std::string hex_text(wire::Prng& random, std::size_t size) {
  std::string text;
  while (text.size() < size) text += fmt::format("{:016x}", random.next());
  return text;
}

Cluster::Cluster(std::string root, std::uint64_t seed) : root_(std::move(root)), random_(seed) {
  for (std::uint8_t& byte : client_.bytes) byte = static_cast<std::uint8_t>(random_.next());
}

std::string Cluster::directory(std::uint64_t id) const {
  return fmt::format("{}/n{}", root_, id);
}

// Small: a few hundred small writes fill segments, files of rows and snapshots.
wire::NodeConfig Cluster::config(std::uint64_t id) const {
  wire::NodeConfig config;
  config.node_id = wire::NodeId(id);
  config.enabled = true;
  config.cluster_name = kClusterName;
  config.data_dir = directory(id);
  config.listen_addr = address(id, 7000);
  config.api_listen_addr = address(id, 7001);
  config.is_voter = true;
  config.bootstrap = id == 1;
  wire::JoinToken token;
  token.cluster_name = kClusterName;
  token.leader_addr = address(1, 7000);
  token.token = kTokenSecret;
  token.expires_at = 4'102'444'800'000'000;  // 2100
  config.join_token = wire::encode_join_token(token);
  config.raft.heartbeat_timeout_ms = 50;
  config.raft.election_timeout_ms = 500;
  config.raft.trailing_logs = 30;
  config.snapshot.threshold = 60;
  config.snapshot.bytes_min = 0;
  config.snapshot.retain_count = 2;
  config.log.segment_bytes = 64U << 10;
  config.limits.disk_reserve = 0;
  return config;
}

Machine& Cluster::add(std::uint64_t id) {
  auto& machine = machines_[id];
  machine = std::make_unique<Machine>(timeline_, lan_, config(id), random_.next());
  machine->on_answer([this](std::uint64_t request, wire::FrameKind kind, wire::ByteView body) {
    answer_.emplace(request, Answer{kind, {body.begin(), body.end()}});
  });
  return *machine;
}

Machine& Cluster::machine(std::uint64_t id) {
  return *machines_.at(id);
}

bool Cluster::is_of_this_cluster(Machine& one) {
  if (!trusted_ || !machine(*trusted_).is_running()) return true;
  return one.node().parts().cluster == machine(*trusted_).node().parts().cluster;
}

Machine* Cluster::leader() {
  Machine* leader = nullptr;
  for (const auto& [id, machine] : machines_) {
    if (!machine->leads() || !is_of_this_cluster(*machine)) continue;
    if (leader == nullptr || leader->raft().term() < machine->raft().term()) leader = machine.get();
  }
  return leader;
}

std::optional<Answer> Cluster::ask_leader(wire::FrameKind kind, wire::ByteView body, Time within) {
  constexpr Time kPatience = 2 * kSecond;
  const std::vector<std::uint8_t> bytes(body.begin(), body.end());
  const Time end = timeline_.now() + within;
  while (timeline_.now() < end) {
    if (!run_until([this] { return leader() != nullptr; }, end - timeline_.now())) break;
    answer_.reset();
    const std::uint64_t request = ++requests_;
    leader()->request(request, kind, bytes);
    const bool has_answer =
        run_until([&] { return answer_ && answer_->first == request; }, kPatience);
    if (has_answer && answer_->second.kind != wire::FrameKind::kErrorReply) {
      return answer_->second;
    }
    run_until([] { return false; }, 50 * kMillisecond);
  }
  return std::nullopt;
}

bool Cluster::set(const std::string& key, const std::string& value, Time within) {
  wire::Command command;
  command.client = client_;
  command.sequence = wire::RequestSequence(++sequence_);
  command.acknowledged_below = command.sequence;
  command.body = wire::SetConfig{key, value};
  const auto answer = ask_leader(wire::FrameKind::kCommand, encoder_.encode(command), within);
  if (!answer) return false;
  acknowledged[key] = value;
  return true;
}

bool Cluster::remove(std::uint64_t id, Time within) {
  const Time end = timeline_.now() + within;
  wire::ChangeMembership change;
  change.changes = {{.kind = wire::MemberChangeKind::kRemove, .id = wire::NodeId(id)}};
  while (timeline_.now() < end) {
    const auto answer = ask_leader(wire::FrameKind::kChangeMembership, encoder_.encode(change),
                                   end - timeline_.now());
    if (!answer) return false;
    const auto reply = wire::decode_change_membership_reply(answer->body);
    if (reply && reply->done) return true;
    run_until([] { return false; }, 50 * kMillisecond);
  }
  return false;
}

bool Cluster::have_converged(const std::vector<std::uint64_t>& ids) {
  Machine* first = leader();
  if (first == nullptr) return false;
  const projections::StateMark& mark = first->node().parts().projector->mark();
  if (mark.applied_index != first->raft().last_index()) return false;
  for (const std::uint64_t id : ids) {
    Machine& each = machine(id);
    if (!each.is_running() || !first->raft().membership().is_voter(each.id())) return false;
    const projections::StateMark& other = each.node().parts().projector->mark();
    if (other.applied_index != mark.applied_index || other.digests != mark.digests) return false;
  }
  return true;
}

bool Cluster::stop(const std::vector<std::uint64_t>& ids, Time within) {
  for (const std::uint64_t id : ids) {
    Machine& each = machine(id);
    each.stop();
    if (!run_until([&] { return each.ended().has_value(); }, within)) return false;
  }
  return true;
}

wire::Status Cluster::check_rows(std::uint64_t id) {
  using wire::ErrorCode;
  projections::Projector& projector = *machine(id).node().parts().projector;
  BIB_TRY(const projections::QueryView view, projector.view());
  BIB_TRY(const auto digests, projections::compute_digests(view.state()));
  if (digests != projector.mark().digests) {
    return wire::fail(ErrorCode::kInvalid, "its digests are not those of its rows");
  }
  for (const auto& [key, value] : acknowledged) {
    BIB_TRY(const auto row,
            view.state().find(projections::Family::kConfig, projections::keys::config(key)));
    if (!row) {
      return wire::fail(ErrorCode::kInvalid, "'{}' was acknowledged and is not there", key);
    }
    BIB_TRY(const auto config, wire::read_row_as<wire::ConfigRow>(row->value()));
    if (config.value != value) {
      return wire::fail(ErrorCode::kInvalid, "'{}' is not as it was acknowledged", key);
    }
  }
  return {};
}

}  // namespace bib::damage
