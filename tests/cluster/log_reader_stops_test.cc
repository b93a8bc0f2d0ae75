// A node whose standard error nobody reads any more.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <string>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

// Says what is no frame, and waits for the node to close the connection.
bool annoy(int port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{20, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const std::string rubbish(200, 'x');
  char byte = 0;
  ssize_t end = -1;
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::send(descriptor, rubbish.data(), rubbish.size(), MSG_NOSIGNAL) > 0) {
    while ((end = ::recv(descriptor, &byte, 1, 0)) > 0) {
    }
    if (end < 0 && errno == ECONNRESET) end = 0;
  }
  ::close(descriptor);
  return end == 0;
}

}  // namespace

TEST_CASE("a node serves although nobody reads its log, whatever strangers have it say") {
  Environment environment = quick_timeouts();
  environment["BIBD_LIMITS_LOG_LINES"] = "1000000";
  Cluster cluster(environment);
  const std::size_t node = cluster.add_node({"--cluster"});
  const std::string path = cluster.log_path(node).string();
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDWR | O_CLOEXEC);  // and does not read
  REQUIRE(reader >= 0);
  REQUIRE(::fcntl(reader, F_SETPIPE_SZ, 4096) >= 0);
  cluster.start(node);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  for (int i = 0; i < 300; ++i) REQUIRE(annoy(cluster.api_port(node)));
  CHECK(cluster.bib({"config", "set", "k", "v"}).exit_code == 0);
  cluster.process(node).signal(SIGTERM);
  CHECK(cluster.process(node).wait(20s) == 0);
  ::close(reader);
}
