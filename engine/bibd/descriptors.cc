#include "engine/bibd/descriptors.h"

#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "engine/storage/log_reader.h"
#include "engine/uv/peer_network.h"
#include "wire/base/membership.h"

namespace bib::engine {
namespace {

// Where there is no limit, the kernel's usual one.
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 20;
// The segment that is written, the one before it, the next one, and the directory.
constexpr std::uint64_t kLogWritten = 4;
// For clients over TCP and over the socket, and for nodes.
constexpr std::uint64_t kListeners = 3;
// Each of the pool's threads copies a file, or hashes one.
constexpr std::uint64_t kSnapshotFiles = 16;
// stdin to stderr, the loop's own, listeners, the directory's lock.
constexpr std::uint64_t kProcessOwn = 24;
// Connections that are taken only to be refused, names that are looked up, files that the store
// writes or opens besides its tables.
constexpr std::uint64_t kReserve = 64;

struct Addend {
  std::uint64_t count = 0;
  std::string_view what;
};

}  // namespace

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kUnlimited;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return std::min<std::uint64_t>(limit.rlim_cur, kUnlimited);
}

wire::Result<int> store_files(const wire::NodeConfig& config, std::uint64_t limit) {
  const wire::NodeConfig::Limits& limits = config.limits;
  const std::uint64_t clients = limits.client_connections;
  // Members dial this node and are dialled; others have greeted, or wait to join.
  const std::uint64_t nodes =
      2 * wire::kMembersMax + PeerNetworkOptions{}.guests_max + limits.joining_nodes;
  const std::array addends = {
      Addend{clients, "for clients (limits.client_connections)"},
      Addend{limits.socket_connections, "for local clients (limits.socket_connections)"},
      Addend{kListeners * limits.new_connections,
             "for connections that have not greeted (limits.new_connections)"},
      Addend{nodes, "for the other nodes"},
      Addend{kLogWritten + LogReader::kFilesOpenMax, "for the log"},
      Addend{kSnapshotFiles, "for snapshots"},
      Addend{kProcessOwn, "for listeners and the process itself"},
      Addend{kReserve, "in reserve"},
      Addend{kStoreFilesMin, "at least for the store of rows"},
  };
  std::uint64_t sum = 0;
  std::vector<std::string> parts;
  for (const Addend& addend : addends) {
    sum += addend.count;
    parts.push_back(fmt::format("{} {}", addend.count, addend.what));
  }
  if (sum <= limit) {
    return static_cast<int>(std::min(kStoreFilesMin + (limit - sum), kStoreFilesMax));
  }
  const std::uint64_t others = sum - clients;
  const std::string fewer =
      limit > others
          ? fmt::format("Set limits.client_connections to {} or less, or raise", limit - others)
          : "Raise";
  return wire::fail(wire::ErrorCode::kConfig,
                    "limits.client_connections: the node may need {} descriptors (open files and "
                    "sockets), and this process may have {}: {}. {} the limit to {}: `ulimit -Hn "
                    "{}` in the shell that starts bibd, or LimitNOFILE={} in its systemd unit",
                    sum, limit, fmt::join(parts, ", "), fewer, sum, sum, sum);
}

}  // namespace bib::engine
