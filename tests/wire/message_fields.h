// The fields of wire's view structs, for tests: comparing two messages by value, and checking that
// everything a decoder returns lies inside the bytes that it was given.
//
// fields() takes each struct apart with a structured binding, so that a field that is added to a
// struct and not here does not compile.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "wire/client/client_message.h"
#include "wire/model/event.h"
#include "wire/model/row.h"

namespace bib::wire {

#define BIB_TEST_FIELDS(type, ...)    \
  inline auto fields(const type& x) { \
    const auto& [__VA_ARGS__] = x;    \
    return std::tie(__VA_ARGS__);     \
  }
BIB_TEST_FIELDS(TopicCreated, a, b, c, d, e)
BIB_TEST_FIELDS(TopicUpdated, a, b, c, d, e)
BIB_TEST_FIELDS(TopicStatusChanged, a, b)
BIB_TEST_FIELDS(DatasetVersionAdded, a, b, c, d, e, f, g, h, i, j, k, l, m)
BIB_TEST_FIELDS(ConfigSet, a, b)
BIB_TEST_FIELDS(ConfigUnset, a)
BIB_TEST_FIELDS(JoinTokenIssued, a, b)
BIB_TEST_FIELDS(TaskRegistered, a, b, c, d)
BIB_TEST_FIELDS(JobSubmitted, a, b, c, d)
BIB_TEST_FIELDS(JobStateChanged, a, b, c)
BIB_TEST_FIELDS(SessionKey, a, b)
BIB_TEST_FIELDS(SessionsExpired, a)
BIB_TEST_FIELDS(Origin, a, b, c, d, e)
BIB_TEST_FIELDS(Event, a, b, c)

BIB_TEST_FIELDS(TopicRow, a, b, c, d, e, f, g, h, i, j)
BIB_TEST_FIELDS(DatasetRow, a, b, c, d, e, f, g)
BIB_TEST_FIELDS(DatasetVersionRow, a, b, c)
BIB_TEST_FIELDS(ConfigRow, a, b, c, d)
BIB_TEST_FIELDS(TaskRow, a, b, c, d, e, f)
BIB_TEST_FIELDS(JobRow, a, b, c, d, e, f, g, h, i)

BIB_TEST_FIELDS(ClientHello, a, b, c)
BIB_TEST_FIELDS(MemberInfo, a, b, c, d)
BIB_TEST_FIELDS(ServerHello, a, b, c, d, e, f, g, h, i)
BIB_TEST_FIELDS(CreateTopic, a, b, c, d, e, f, g)
BIB_TEST_FIELDS(UpdateTopic, a, b, c, d, e)
BIB_TEST_FIELDS(SetTopicStatus, a, b)
BIB_TEST_FIELDS(AddDatasetVersion, a)
BIB_TEST_FIELDS(SetConfig, a, b)
BIB_TEST_FIELDS(UnsetConfig, a)
BIB_TEST_FIELDS(IssueJoinToken, a, b)
BIB_TEST_FIELDS(RegisterTask, a, b, c, d)
BIB_TEST_FIELDS(SubmitJob, a, b, c, d)
BIB_TEST_FIELDS(SetJobState, a, b, c)
BIB_TEST_FIELDS(CommandReply, a, b, c, d)
BIB_TEST_FIELDS(ErrorReply, a, b, c, d, e)
BIB_TEST_FIELDS(Query, a, b, c, d, e, f, g, h)
BIB_TEST_FIELDS(QueryRow, a, b)
BIB_TEST_FIELDS(QueryReply, a, b, c, d, e)
BIB_TEST_FIELDS(ReadEvents, a, b, c, d, e)
BIB_TEST_FIELDS(LoggedEvent, a, b, c, d)
BIB_TEST_FIELDS(EventsReply, a, b, c)
BIB_TEST_FIELDS(ListSnapshots, a)
BIB_TEST_FIELDS(SnapshotInfo, a, b, c, d, e, f, g)
BIB_TEST_FIELDS(SnapshotsReply, a, b, c, d)
BIB_TEST_FIELDS(MemberStatus, a, b, c, d, e, f, g, h, i, j, k, l, m, n)
BIB_TEST_FIELDS(ProjectionStatus, a, b, c, d, e)
BIB_TEST_FIELDS(Counter, a, b)
BIB_TEST_FIELDS(StatusReply, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v)
BIB_TEST_FIELDS(MemberChange, a, b, c, d)
BIB_TEST_FIELDS(ChangeMembership, a, b, c)
BIB_TEST_FIELDS(ChangeMembershipReply, a, b, c, d, e)
BIB_TEST_FIELDS(TransferLeadership, a, b)
BIB_TEST_FIELDS(TransferReply, a, b, c, d, e)
#undef BIB_TEST_FIELDS

// The digest is computed by decoding and has no meaning before it.
inline auto fields(const Command& x) {
  const auto& [client, sequence, acknowledged, expected, digest, body] = x;
  static_cast<void>(digest);
  return std::tie(client, sequence, acknowledged, expected, body);
}

template <typename T>
concept HasFields = requires(const T& value) {
  fields(value);
};

template <HasFields T>
bool same(const T& a, const T& b);

template <typename T>
requires(!HasFields<T>) bool same(const T& a, const T& b) {
  return a == b;
}
inline bool same(ByteView a, ByteView b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}
template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const T& x, const T& y) { return same(x, y); });
}
template <typename T>
bool same(const std::optional<T>& a, const std::optional<T>& b) {
  return a.has_value() == b.has_value() && (!a || same(*a, *b));
}
template <typename... Ts>
bool same(const std::variant<Ts...>& a, const std::variant<Ts...>& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&b](const auto& typed) {
        return same(typed, std::get<std::remove_cvref_t<decltype(typed)>>(b));
      },
      a);
}
template <HasFields T>
bool same(const T& a, const T& b) {
  return std::apply(
      [&b](const auto&... xs) {
        return std::apply([&](const auto&... ys) { return (same(xs, ys) && ...); }, fields(b));
      },
      fields(a));
}

template <HasFields T>
bool lies_inside(ByteView bytes, const T& value);

template <typename T>
requires(!HasFields<T>) bool lies_inside(ByteView, const T&) {
  return true;
}
inline bool lies_inside(ByteView bytes, ByteView part) {
  return part.empty() ||
         (part.data() >= bytes.data() && part.data() + part.size() <= bytes.data() + bytes.size());
}
inline bool lies_inside(ByteView bytes, std::string_view text) {
  return lies_inside(bytes, as_bytes(text));
}
template <typename T>
bool lies_inside(ByteView bytes, const std::vector<T>& list) {
  return std::all_of(list.begin(), list.end(),
                     [bytes](const T& element) { return lies_inside(bytes, element); });
}
template <typename T>
bool lies_inside(ByteView bytes, const std::optional<T>& value) {
  return !value || lies_inside(bytes, *value);
}
template <typename... Ts>
bool lies_inside(ByteView bytes, const std::variant<Ts...>& value) {
  return std::visit([bytes](const auto& typed) { return lies_inside(bytes, typed); }, value);
}
template <HasFields T>
bool lies_inside(ByteView bytes, const T& value) {
  return std::apply([bytes](const auto&... xs) { return (lies_inside(bytes, xs) && ...); },
                    fields(value));
}

}  // namespace bib::wire
