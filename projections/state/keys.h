// Keys: how every row's key is built, one function each.
//
// Order of bytes is order of listing. Components are separated by NUL, which the rules keep out of
// names; a tag byte comes first in families that hold several kinds of rows. "Hidden" rows are
// never returned by a query and have their own small formats (all integers little-endian):
//
//   family    key                                   value
//   meta      "applied"                             u64 index, u64 term
//             "digest/" projection                  u64 low, u64 high, u64 rows
//             "version/" projection                 u32
//             "owner"                               cluster id (16), u64 log id
//   sessions  client (16) sequence (u64, big-endian) SessionRecord (sessions.h)
//             client (16) 0 (u64)                   u64 floor: smaller sequences are acknowledged
//   topics    path                                  row.h Topic
//   catalog   'd' topic NUL dataset                 row.h Dataset
//             'v' topic NUL dataset NUL version     row.h DatasetVersion
//             'n' topic                             u64 datasets of the topic   (hidden)
//   tasks     'v' name NUL version                  row.h Task
//             'h' name                              u64 revision, latest version (hidden)
//   jobs      id                                    row.h Job
//   config    'c' key                               row.h Config
//             'g' key                               u64 revision at which it was unset (hidden)
//             't' sha256 (32)                       i64 expires at, microseconds (hidden)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"

namespace bib::projections::keys {

std::string_view applied();
std::string_view owner();
std::string digest(std::string_view projection);
std::string version(std::string_view projection);

std::string session(const wire::ClientId& client, wire::RequestSequence sequence);
std::string session_floor(const wire::ClientId& client);
struct SessionKeyParts {
  wire::ClientId client;
  wire::RequestSequence sequence;  // 0: the floor
};
std::optional<SessionKeyParts> parse_session(std::string_view key);

std::string_view topic(std::string_view path);

inline constexpr char kDatasetTag = 'd';
inline constexpr char kDatasetVersionTag = 'v';
inline constexpr char kDatasetCountTag = 'n';
std::string dataset(std::string_view topic, std::string_view name);
std::string dataset_version(std::string_view topic, std::string_view dataset,
                            std::string_view version);
std::string dataset_count(std::string_view topic);

inline constexpr char kTaskVersionTag = 'v';
inline constexpr char kTaskHeadTag = 'h';
std::string task_version(std::string_view name, std::string_view version);
std::string task_head(std::string_view name);

std::string_view job(std::string_view id);

inline constexpr char kConfigTag = 'c';
inline constexpr char kConfigGoneTag = 'g';
inline constexpr char kJoinTokenTag = 't';
std::string config(std::string_view key);
std::string config_gone(std::string_view key);
std::string join_token(wire::ByteView secret_sha256);

// Fixed-size integers in hidden rows.
void append_u64(std::string& out, std::uint64_t value);
void append_u32(std::string& out, std::uint32_t value);
// Precondition: `offset` and the integer are within `bytes`.
std::uint64_t read_u64(wire::ByteView bytes, std::size_t offset);
std::uint32_t read_u32(wire::ByteView bytes, std::size_t offset);

}  // namespace bib::projections::keys
