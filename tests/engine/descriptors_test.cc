// What descriptors go to, and a limit that is too low for it.
#include "engine/bibd/descriptors.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <string>

#include "engine/bibd/bibd.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::engine;
using Catch::Matchers::Contains;

namespace {

wire::NodeConfig with_clients(std::uint32_t clients) {
  wire::NodeConfig config;
  config.limits.client_connections = clients;
  return config;
}

// This process's own limit, put back at the end.
class SoftLimit {
 public:
  explicit SoftLimit(rlim_t descriptors) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lower{descriptors, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lower);
  }
  ~SoftLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  SoftLimit(const SoftLimit&) = delete;
  SoftLimit& operator=(const SoftLimit&) = delete;

 private:
  rlimit before_{};
};

rlimit current_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

}  // namespace

TEST_CASE("what the others leave of the descriptors is the store's, up to a bound") {
  // 256 local clients, 384 that have not greeted, 784 for nodes, 12 for the log, 16 for snapshots,
  // 24 for the process, 64 in reserve
  constexpr std::uint64_t kOthers = 1540;
  CHECK(store_files(with_clients(100), 100 + kOthers + kStoreFilesMin).value() == kStoreFilesMin);
  CHECK(store_files(with_clients(100), 4096).value() == 4096 - 100 - kOthers);
  CHECK(store_files(with_clients(100), 1'000'000).value() == kStoreFilesMax);
  CHECK(store_files({}, 4096).value() > 1500);  // as most systems allow at least
}

TEST_CASE("a configuration that needs too many descriptors is refused with the sum and each part") {
  const auto files = store_files(with_clients(1024), 2819);
  REQUIRE_FALSE(files);
  CHECK(files.error().code == wire::ErrorCode::kConfig);
  CHECK_THAT(files.error().message,
             Contains("may need 2820 descriptors") && Contains("may have 2819") &&
                 Contains("1024 for clients (limits.client_connections)") &&
                 Contains("784 for the other nodes") && Contains("12 for the log") &&
                 Contains("16 for snapshots") && Contains("24 for listeners") &&
                 Contains("64 in reserve") && Contains("256 at least for the store") &&
                 Contains("Set limits.client_connections to 1023 or less, or raise the limit to "
                          "2820") &&
                 Contains("LimitNOFILE=2820"));
  CHECK(store_files(with_clients(1023), 2819));

  const auto hopeless = store_files(with_clients(1), 256);
  REQUIRE_FALSE(hopeless);
  CHECK_THAT(hopeless.error().message,
             !Contains("Set limits.client_connections") && Contains("Raise the limit to 1797"));
}

TEST_CASE("a node raises its soft limit of descriptors to the hard one") {
  const SoftLimit low(200);
  CHECK(current_limit().rlim_cur == 200);
  const std::uint64_t limit = raise_descriptor_limit();
  CHECK(current_limit().rlim_cur == current_limit().rlim_max);
  CHECK(limit > 200);
}

TEST_CASE("a node that needs too many descriptors writes nothing") {
  const support::TempDir scratch;
  wire::NodeConfig config = with_clients(1'000'000);
  config.node_id = wire::NodeId(0xaa);
  config.data_dir = (scratch / "data").string();
  config.bootstrap = true;
  if (raise_descriptor_limit() > 1'001'796) return support::skip("descriptors without a limit");
  const auto node = Bibd::create(config);
  REQUIRE_FALSE(node);
  CHECK(node.error().code == wire::ErrorCode::kConfig);
  CHECK_FALSE(std::filesystem::exists(scratch / "data"));
}
