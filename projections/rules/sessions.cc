#include "projections/rules/sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "projections/state/keys.h"
#include "wire/base/checksum.h"
#include "wire/base/mutant.h"

namespace bib::projections {

using wire::ByteView;
using wire::ClientId;
using wire::ErrorCode;
using wire::fail;
using wire::LogIndex;
using wire::RequestSequence;
using wire::Result;
using wire::Status;

namespace {

RequestSequence first_after(const ClientState& client) {
  return std::max(client.largest + 1, client.floor);
}

void add_record(ClientState& client, RequestSequence sequence) {
  if (const RequestSequence next = first_after(client); sequence > next) {
    if (client.gap_from >= client.gap_to) client.gap_from = next;
    client.gap_to = sequence;
  }
  if (client.largest == RequestSequence() || sequence < client.smallest) {
    client.smallest = sequence;
  }
  client.largest = std::max(client.largest, sequence);
}

}  // namespace

std::array<std::uint8_t, SessionRecord::kSize> SessionRecord::encode() const {
  std::array<std::uint8_t, kSize> bytes;
  std::size_t at = 0;
  const auto append = [&](std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      bytes[at++] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  };
  append(digest, 8);
  append(position.index.value(), 8);
  append(position.offset, 4);
  append(revision.value(), 8);
  append(static_cast<std::uint64_t>(time_us), 8);
  return bytes;
}

Result<SessionRecord> SessionRecord::decode(ByteView bytes) {
  if (bytes.size() != kSize) {
    return fail(ErrorCode::kCorrupt, "an exactly-once record of {} bytes", bytes.size());
  }
  return SessionRecord{keys::read_u64(bytes, 0),
                       {LogIndex(keys::read_u64(bytes, 8)), keys::read_u32(bytes, 16)},
                       wire::Revision(keys::read_u64(bytes, 20)),
                       static_cast<std::int64_t>(keys::read_u64(bytes, 28))};
}

std::size_t ClientTable::Hash::operator()(const ClientId& client) const {
  return wire::checksum64({client.bytes.data(), client.bytes.size()});
}

Status ClientTable::load(const StateReader& state, LogIndex applied) {
  clients_.clear();
  Status damage;
  const auto visit = [&](std::string_view key, ByteView value) {
    const auto parts = keys::parse_session(key);
    if (!parts) {
      damage = fail(ErrorCode::kCorrupt, "a session's key of {} bytes", key.size());
      return false;
    }
    const auto [at, is_new] = clients_.try_emplace(parts->client);
    ClientState& client = at->second;
    client.last_index = applied;
    client.confirmed = true;
    if (parts->sequence == RequestSequence()) {
      client.floor = RequestSequence(value.size() == 8 ? keys::read_u64(value, 0) : 0);
      client.acknowledged = client.smallest = client.floor;
    } else {
      add_record(client, parts->sequence);
    }
    return true;
  };
  BIB_TRY_VOID(scan(state, Family::kSessions, {}, visit));
  return damage;
}

ClientState* ClientTable::find(const ClientId& client) {
  const auto found = clients_.find(client);
  return found == clients_.end() ? nullptr : &found->second;
}

bool ClientTable::may_have_record(const ClientId& client, RequestSequence sequence) {
  const ClientState* state = find(client);
  return state != nullptr && sequence >= state->smallest && sequence <= state->largest;
}

void ClientTable::record(const wire::Origin& origin, LogIndex index, bool applied) {
  const auto [at, is_new] = clients_.try_emplace(origin.client);
  ClientState& client = at->second;
  add_record(client, origin.sequence);
  client.last_index = index;
  client.confirmed = client.confirmed || applied;
  if (origin.forget_to != RequestSequence()) {
    client.floor = origin.forget_to;
    client.gap_from = std::max(client.gap_from, client.floor);
    client.acknowledged = std::max(client.acknowledged, origin.forget_to);
    if (client.smallest >= origin.forget_from) {
      client.smallest = std::max(client.smallest, origin.forget_to);
    }
  }
}

void ClientTable::confirm(const ClientId& client) {
  if (ClientState* state = find(client)) state->confirmed = true;
}

void ClientTable::finish(const ClientId& client, LogIndex index) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  if (found->second.last_index >= index) {
    found->second.floor = RequestSequence();
  } else {
    clients_.erase(found);
  }
}

void ClientTable::roll_back(const ClientId& client, RequestSequence floor) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  if (!found->second.confirmed) {
    clients_.erase(found);
    return;
  }
  ClientState& state = found->second;
  state.floor = floor;
  state.smallest = floor;
  // Which of its records were dropped is not known here.
  state.gap_from = std::max(floor, RequestSequence(1));
  state.gap_to = state.largest + 1;
}

bool has_gap_below(const ClientState* client, RequestSequence below) {
  if (BIB_MUTANT(kForgetsRefusals)) return false;
  if (client == nullptr) return below > RequestSequence(1);
  if (below > first_after(*client)) return true;
  return client->gap_from < client->gap_to && below > client->gap_from;
}

ForgetRange forget_range(const ClientState* client, RequestSequence sequence,
                         RequestSequence acknowledged_below) {
  RequestSequence to = std::min(acknowledged_below, sequence);
  const RequestSequence floor = client == nullptr ? RequestSequence() : client->floor;
  if (to <= floor || (to - floor < kForgetMin && !has_gap_below(client, to))) return {};
  if (client == nullptr || client->smallest >= to) return {to, to};
  const RequestSequence from = std::max(floor, client->smallest);
  return {from, std::min(to, from + kForgetMax)};
}

std::optional<wire::Origin> mark_for(const ClientState* client, const wire::Command& command) {
  const RequestSequence below = std::min(command.acknowledged_below, command.sequence);
  if (!has_gap_below(client, below)) return std::nullopt;
  const RequestSequence last(below.value() - 1);
  const ForgetRange forget = forget_range(client, last, below);
  return wire::Origin{command.client, last, 0, forget.from, forget.to};
}

wire::Error other_command(RequestSequence sequence) {
  return {ErrorCode::kRequestReused,
          fmt::format("Request {} of this client was another command before. Nothing was changed; "
                      "send the command with a new sequence.",
                      sequence.value())};
}

wire::Error too_late(RequestSequence sequence, RequestSequence acknowledged_below) {
  return {ErrorCode::kRequestReused,
          fmt::format("Request {} comes too late: the client has acknowledged its answers below "
                      "{}. Nothing was changed; send the command with a new sequence.",
                      sequence.value(), acknowledged_below.value())};
}

Status evolve_origin(const wire::Origin& origin, wire::Revision revision, const EventStamp& stamp,
                     bool known_new, RowWriter& rows) {
  const SessionRecord record{origin.digest, stamp.position, revision, stamp.time_us};
  BIB_TRY_VOID(rows.put(Family::kSessions, keys::session(origin.client, origin.sequence),
                        record.encode(), known_new));
  if (origin.forget_to == RequestSequence()) return {};
  for (auto sequence = origin.forget_from; sequence < origin.forget_to; ++sequence) {
    // Sequence 0 is not a request: its key is the floor's.
    if (sequence == RequestSequence()) continue;
    BIB_TRY_VOID(rows.erase(Family::kSessions, keys::session(origin.client, sequence)));
  }
  std::string floor;
  keys::append_u64(floor, origin.forget_to.value());
  return rows.put(Family::kSessions, keys::session_floor(origin.client), wire::as_bytes(floor));
}

Status evolve_expired(const wire::SessionsExpired& expired, RowWriter& rows) {
  for (const wire::SessionKey& key : expired.records) {
    BIB_TRY_VOID(rows.erase(Family::kSessions, keys::session(key.client, key.sequence)));
  }
  return {};
}

Result<RequestSequence> find_floor(const RowReader& rows, const ClientId& client) {
  BIB_TRY(const RowPtr row, rows.find(Family::kSessions, keys::session_floor(client)));
  if (!row) return RequestSequence();
  if (row->value().size() != 8) return fail(ErrorCode::kCorrupt, "a damaged session floor");
  return RequestSequence(keys::read_u64(row->value(), 0));
}

ExpiredSessions ExpiredSessions::take(std::size_t count) {
  ExpiredSessions taken;
  taken.as_of = as_of;
  const auto move_out = [&count](auto& from, auto& to) {
    const auto end = from.begin() + static_cast<std::ptrdiff_t>(std::min(count, from.size()));
    to.assign(from.begin(), end);
    from.erase(from.begin(), end);
    count -= to.size();
  };
  move_out(records, taken.records);
  move_out(finished, taken.finished);
  return taken;
}

std::optional<wire::Error> beyond_bounds(const ClientState* client, const wire::Command& command,
                                         const SessionBounds& bounds, std::uint64_t records) {
  if (client == nullptr) {
    if (records < bounds.records_max || BIB_MUTANT(kRemembersWithoutBound)) return std::nullopt;
    return wire::Error{
        ErrorCode::kOverloaded,
        fmt::format(
            "The cluster remembers {} answers to commands, and limits.sessions_max is {}: "
            "clients that it does not know have to wait until some are forgotten. Try "
            "again in a minute; if this goes on, raise limits.sessions_max, or have clients "
            "keep their client id and acknowledge answers.",
            records, bounds.records_max)};
  }
  const RequestSequence floor = std::max(client->floor, client->acknowledged);
  if (command.sequence < floor) return too_late(command.sequence, floor);
  const RequestSequence from =
      std::max({floor, client->smallest, std::min(command.acknowledged_below, command.sequence)});
  if (command.sequence < from || command.sequence - from < bounds.window) return std::nullopt;
  return wire::Error{
      ErrorCode::kRefused,
      fmt::format("Request {} is {} beyond the last answer that its client has acknowledged, and "
                  "limits.session_window is {}. Nothing was changed; acknowledge answers, or go on "
                  "under a new client id.",
                  command.sequence.value(), command.sequence - from, bounds.window)};
}

}  // namespace bib::projections
