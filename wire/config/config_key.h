// The table of keys: what a node can be told, under which name, by default, and within which range.
//
// The one list. Reading a file, the environment, `bib setup`, the defaults of NodeConfig,
// validate() and docs/configuration.md all follow it, so that a new default or a new range is one
// edit here and one in the document, which a test compares. Pure functions over the table; text is
// read in cli/config/config_text.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/base/result.h"
#include "wire/config/node_config.h"

namespace bib::wire {

enum class ValueKind : std::uint8_t {
  kBool,         // true, false
  kClusterName,  // a cluster's name
  kNodeId,       // 16 hex digits, not all zero
  kPath,
  kAddress,   // host:port
  kDuration,  // min to max milliseconds
  kSize,      // min to max bytes
  kCount,     // min to max
  kLogLevel,  // one of kLogLevels
  kJoinToken,
  kAddressList,
};

// What the node's own log can be limited to, the most talkative first.
inline constexpr std::array<std::string_view, 4> kLogLevels = {"debug", "info", "warn", "error"};

// A key's value by itself: flags, numbers, texts (a node id as its digits, empty for 0), lists.
using ConfigValue = std::variant<bool, std::uint64_t, std::string, std::vector<std::string>>;

// The place of a value of type T in a NodeConfig.
template <typename T>
struct ConfigPlace {
  const T& (*read)(const NodeConfig&);
  T& (*write)(NodeConfig&);
};
// Nowhere: the key is accepted and checked, and has no effect.
using ConfigMember = std::variant<std::monostate, ConfigPlace<bool>, ConfigPlace<std::uint32_t>,
                                  ConfigPlace<std::uint64_t>, ConfigPlace<std::string>,
                                  ConfigPlace<NodeId>, ConfigPlace<std::vector<std::string>>>;

struct ConfigKey {
  std::string_view name;  // "cluster.raft.election_timeout": sections, then the key's own name
  ValueKind kind;
  ConfigMember member;
  std::variant<bool, std::uint64_t, std::string_view> preset;  // the default; a list has none
  std::string_view help;
  std::uint64_t min = 0;  // of a number
  std::uint64_t max = 0;

  bool has_effect() const { return !std::holds_alternative<std::monostate>(member); }
};

// The keys, in the order of the file.
std::span<const ConfigKey> config_keys();
const ConfigKey* find_config_key(std::string_view name);

// "BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT": BIBD_, then the name in capitals with '_' for '.'.
std::string environment_name(const ConfigKey& key);
// "true or false", "a duration of 10ms to 10m (units ms, s, m, h)".
std::string allowed_text(const ConfigKey& key);

// The default, for a key that has no effect.
ConfigValue value_of(const NodeConfig& config, const ConfigKey& key);
// The value's alternative must be the key's, and check_value() must have let it pass. A key that
// has no effect keeps nothing.
void set_value(NodeConfig& config, const ConfigKey& key, const ConfigValue& value);
// The value as the file spells it, without quotes; lists are joined with commas.
std::string value_text(const NodeConfig& config, const ConfigKey& key);
std::string value_text(const ConfigKey& key, const ConfigValue& value);

// Whether the key may have this value, whatever the others have. kConfig says what is allowed and
// does not repeat the key. A text that is empty by default may be empty.
Status check_value(const ConfigKey& key, const ConfigValue& value);

}  // namespace bib::wire
