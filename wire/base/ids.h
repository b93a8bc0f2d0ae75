// Strong integers and identifiers: a swapped pair does not compile.
//
// Values only; no ownership, no loop. A StrongId compares, hashes, adds plain counts and subtracts
// to a plain count; it never converts to another kind.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bib::wire {

template <typename Tag>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(std::uint64_t value) : value_(value) {}

  constexpr std::uint64_t value() const { return value_; }
  constexpr auto operator<=>(const StrongId&) const = default;  // NOLINT(modernize-use-nullptr)

  constexpr StrongId operator+(std::uint64_t count) const { return StrongId(value_ + count); }
  constexpr StrongId operator-(std::uint64_t count) const { return StrongId(value_ - count); }
  constexpr std::uint64_t operator-(StrongId other) const { return value_ - other.value_; }
  constexpr StrongId& operator++() {
    ++value_;
    return *this;
  }

 private:
  std::uint64_t value_ = 0;
};

// A position in the Raft log; the first entry has index 1, 0 is "before the log".
using LogIndex = StrongId<struct LogIndexTag>;
// A Raft term; 0 is "before any election".
using Term = StrongId<struct TermTag>;
inline constexpr Term kTermMax{std::uint64_t{1} << 62};  // beyond any that an election reaches
// A node, for life: a random non-zero number. 0 is "none". Printed as 16 hex digits.
using NodeId = StrongId<struct NodeIdTag>;
// One run of a node's process: random, drawn at start.
using BootId = StrongId<struct BootIdTag>;
// How often a stream has changed; 0 is "does not exist".
using Revision = StrongId<struct RevisionTag>;
// A client's request number, from 1, never reused within a client id.
using RequestSequence = StrongId<struct RequestSequenceTag>;

// 128 random bits. All zero is "none". Printed as 32 hex digits.
template <typename Tag>
struct Id128 {
  std::array<std::uint8_t, 16> bytes{};

  constexpr auto operator<=>(const Id128&) const = default;
  constexpr bool is_none() const { return *this == Id128{}; }
};

using ClusterId = Id128<struct ClusterIdTag>;
using ClientId = Id128<struct ClientIdTag>;

// An event's address: the entry's index and the event's place in it, printed "index:offset".
struct Position {
  LogIndex index;
  std::uint32_t offset = 0;

  constexpr auto operator<=>(const Position&) const = default;
};

// An entry's place in the log and its term. By log matching (Raft §5.3) it names the whole log up
// to there.
struct LogPosition {
  LogIndex index;
  Term term;

  constexpr bool operator==(const LogPosition&) const = default;
};

// The state that a node must remember across a crash beside its log (Raft figure 2).
struct HardState {
  Term term;
  NodeId vote;  // none: not voted in this term

  constexpr bool operator==(const HardState&) const = default;
};

std::string to_hex(const std::uint8_t* data, std::size_t size);
std::string to_string(NodeId id);
std::string to_string(const Position& position);
template <typename Tag>
std::string to_string(const Id128<Tag>& id) {
  return to_hex(id.bytes.data(), id.bytes.size());
}

// Each returns nullopt unless the text is exactly the printed form.
std::optional<NodeId> parse_node_id(std::string_view text);
std::optional<Position> parse_position(std::string_view text);
std::optional<std::array<std::uint8_t, 16>> parse_id128(std::string_view text);

}  // namespace bib::wire

template <typename Tag>
struct std::hash<bib::wire::StrongId<Tag>> {
  std::size_t operator()(const bib::wire::StrongId<Tag>& id) const noexcept {
    return static_cast<std::size_t>(id.value() * 0x9e3779b97f4a7c15ULL);
  }
};

template <typename Tag>
struct std::hash<bib::wire::Id128<Tag>> {
  std::size_t operator()(const bib::wire::Id128<Tag>& id) const noexcept {
    std::size_t value = 0;
    for (std::uint8_t byte : id.bytes) value = value * 1099511628211ULL + byte;
    return value;
  }
};
