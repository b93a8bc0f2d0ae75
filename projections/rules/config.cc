// Config: keys and values, and the join tokens hidden among them.
//
// A key that is unset leaves its revision in a hidden row, so that a stream's revision never
// goes back: who saw revision 3 before it was unset cannot take a later key for the one they saw.
// An expected revision of 0 means "is not set". A token is issued once; issuing it again changes
// nothing, and its expiry is compared with the clock by its reader.

#include <string>
#include <utility>

#include "projections/rules/join_tokens.h"
#include "projections/rules/projection.h"
#include "projections/rules/rules.h"
#include "projections/state/keys.h"

namespace bib::projections {

using wire::ConfigRow;
using wire::ErrorCode;
using wire::fail;
using wire::Result;
using wire::Revision;
using wire::Status;

namespace {

constexpr std::size_t kSha256Size = 32;

Result<Stream<ConfigRow>> find_config(const DecideInput& input, std::string_view key) {
  return find_stream<ConfigRow>(input, Family::kConfig, keys::config(key), "Config '{}'", key);
}

Result<Revision> find_gone_revision(const RowReader& state, std::string_view key) {
  BIB_TRY(const RowPtr row, state.find(Family::kConfig, keys::config_gone(key)));
  if (!row) return Revision();
  if (row->value().size() != 8) {
    return fail(ErrorCode::kCorrupt, "a damaged row of config '{}'", key);
  }
  return Revision(keys::read_u64(row->value(), 0));
}

class Config final : public Projection {
 public:
  Family family() const override { return Family::kConfig; }

  Result<Ruling> decide(const DecideInput& input, Draft& draft) const override {
    if (const auto* set = std::get_if<wire::SetConfig>(&input.command)) {
      return decide_set(*set, input, draft);
    }
    if (const auto* unset = std::get_if<wire::UnsetConfig>(&input.command)) {
      return decide_unset(*unset, input, draft);
    }
    return decide_token(std::get<wire::IssueJoinToken>(input.command), input, draft);
  }

  Status evolve(const wire::Event& event, const EventStamp& stamp, RowWriter& rows) const override {
    if (const auto* set = std::get_if<wire::ConfigSet>(&event.body)) {
      // Only a key's first revision leaves nothing to remove.
      if (event.revision > Revision(1)) {
        BIB_TRY_VOID(remove_gone(set->key, rows));
      }
      return rows.put_row(Family::kConfig, keys::config(set->key),
                          ConfigRow{set->key, set->value, event.revision, stamp.time_us});
    }
    std::string value;
    if (const auto* unset = std::get_if<wire::ConfigUnset>(&event.body)) {
      BIB_TRY_VOID(rows.erase(Family::kConfig, keys::config(unset->key)));
      keys::append_u64(value, event.revision.value());
      return rows.put(Family::kConfig, keys::config_gone(unset->key), wire::as_bytes(value));
    }
    const auto& token = std::get<wire::JoinTokenIssued>(event.body);
    keys::append_u64(value, static_cast<std::uint64_t>(token.expires_at_us));
    return rows.put(Family::kConfig, keys::join_token(token.secret_sha256), wire::as_bytes(value));
  }

  std::uint64_t foresee(const wire::Event& event) const override {
    const auto* set = std::get_if<wire::ConfigSet>(&event.body);
    return set == nullptr ? 0 : make_row_key(Family::kConfig, keys::config(set->key)).hash;
  }

  Result<QueryPlan> plan(const wire::Query&) const override {
    return QueryPlan{Family::kConfig, std::string(1, keys::kConfigTag)};
  }

 private:
  static Result<Ruling> decide_set(const wire::SetConfig& command, const DecideInput& input,
                                   Draft& draft) {
    if (auto status = check_name(command.key, "The key"); !status) return refuse(status.error());
    BIB_TRY(auto config, find_config(input, command.key));
    if (config.conflict) return *std::move(config.conflict);
    if (config.row && config.row->value == command.value) return Unchanged{config.revision};
    Revision last = config.revision;
    if (!config.row) {
      BIB_TRY(last, find_gone_revision(input.state, command.key));
    }
    draft.add(last + 1, wire::ConfigSet{command.key, command.value});
    return Events{last + 1};
  }

  static Result<Ruling> decide_unset(const wire::UnsetConfig& command, const DecideInput& input,
                                     Draft& draft) {
    if (auto status = check_name(command.key, "The key"); !status) return refuse(status.error());
    BIB_TRY(auto config, find_config(input, command.key));
    if (config.conflict) return *std::move(config.conflict);
    if (!config.row) {
      return refuse(ErrorCode::kNotFound, config.revision,
                    "Config '{}' is not set, so it cannot be unset. `bib config list` shows those "
                    "that are.",
                    command.key);
    }
    draft.add(config.revision + 1, wire::ConfigUnset{command.key});
    return Events{config.revision + 1};
  }

  static Result<Ruling> decide_token(const wire::IssueJoinToken& command, const DecideInput& input,
                                     Draft& draft) {
    if (command.secret_sha256.size() != kSha256Size) {
      return refuse(ErrorCode::kInvalid, Revision(), "A join token's SHA-256 has {} bytes, not {}.",
                    command.secret_sha256.size(), kSha256Size);
    }
    if (command.expires_at_us <= input.now_us) {
      return refuse(ErrorCode::kInvalid, Revision(),
                    "The join token would have expired already: give it a time in the future.");
    }
    BIB_TRY(const auto known, find_join_token(input.state, command.secret_sha256));
    if (known == command.expires_at_us) return Unchanged{};
    if (known) {
      return refuse(ErrorCode::kRefused, Revision(),
                    "This join token was issued before, with another expiry: issue a new one.");
    }
    draft.add(Revision(), wire::JoinTokenIssued{command.secret_sha256, command.expires_at_us});
    return Events{};
  }

  static Status remove_gone(std::string_view key, RowWriter& rows) {
    const std::string live = keys::config(key);
    BIB_TRY(const RowPtr set, rows.find(Family::kConfig, live));
    if (set) return {};
    return rows.erase(Family::kConfig, keys::config_gone(key));
  }
};

}  // namespace

Result<std::optional<std::int64_t>> find_join_token(const RowReader& state,
                                                    wire::ByteView secret_sha256) {
  BIB_TRY(const RowPtr row, state.find(Family::kConfig, keys::join_token(secret_sha256)));
  if (!row) return std::nullopt;
  if (row->value().size() != 8) return fail(ErrorCode::kCorrupt, "a damaged join token's row");
  return static_cast<std::int64_t>(keys::read_u64(row->value(), 0));
}

std::unique_ptr<Projection> make_config() {
  return std::make_unique<Config>();
}

}  // namespace bib::projections
