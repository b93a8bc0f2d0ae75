#include "network.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace bib::nemesis {
namespace {

constexpr const char* kIp = "/usr/sbin/ip";

void ip(std::vector<std::string> words, pid_t in = 0) {
  std::vector<std::string> command;
  if (in != 0) command = {"/usr/bin/nsenter", "-t", std::to_string(in), "-n"};
  command.push_back(kIp);
  command.insert(command.end(), words.begin(), words.end());
  const cluster::Finished done = cluster::run(command);
  if (done.exit_code == 0) return;
  std::string text = "ip";
  for (const std::string& word : words) text += ' ' + word;
  throw std::runtime_error(text + ": " + done.err);
}

bool write_text(const char* file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.close();
  return static_cast<bool>(out);
}

// A child that does nothing but hold a network namespace, and ends with its parent.
class Holder {
 public:
  Holder() {
    std::array<int, 2> ready{};
    if (::pipe2(ready.data(), O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe");
    }
    const pid_t parent = ::getpid();
    id_ = ::fork();
    if (id_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ready[0]);
      const bool is_held = ::getppid() == parent && ::unshare(CLONE_NEWNET) == 0;
      if (!is_held || ::write(ready[1], "y", 1) != 1) ::_exit(1);
      // An interrupt from the terminal is the parent's to handle.
      ::signal(SIGINT, SIG_IGN);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char answer = 0;
    const bool is_ready = id_ > 0 && ::read(ready[0], &answer, 1) == 1;
    ::close(ready[0]);
    if (!is_ready) throw std::runtime_error("no network namespace for a node");
  }
  ~Holder() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  Holder(Holder&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Holder& operator=(Holder&&) = delete;

  pid_t id() const { return id_; }

 private:
  pid_t id_ = -1;
};

class Namespaces final : public Network {
 public:
  explicit Namespaces(std::size_t nodes) {
    if (!write_text("/proc/sys/net/ipv4/ip_forward", "1\n")) {
      throw std::runtime_error("forwarding between networks is not allowed");
    }
    for (std::size_t node = 0; node < nodes; ++node) add_node(node);
  }

  std::string name() const override { return "network namespaces"; }

  void attach(cluster::Cluster& cluster,
              const std::vector<std::vector<std::string>>& runners) override {
    std::vector<cluster::Place> places;
    for (std::size_t node = 0; node < holders_.size(); ++node) {
      cluster::Place place;
      place.host = address(node);
      place.runner = {"/usr/bin/nsenter", "-t", std::to_string(holders_[node].id()), "-n"};
      place.runner.insert(place.runner.end(), runners[node].begin(), runners[node].end());
      places.push_back(std::move(place));
    }
    cluster.use_places(std::move(places));
  }

  void cut(std::size_t from, std::size_t to) override {
    if (cut_.insert({from, to}).second) rule("add", from, to);
  }
  void mend() override {
    for (const auto& [from, to] : cut_) rule("del", from, to);
    cut_.clear();
  }
  bool can_cut_one_way() const override { return true; }

 private:
  static std::string prefix(std::size_t node) { return "10.77." + std::to_string(node + 1); }
  static std::string address(std::size_t node) { return prefix(node) + ".2"; }

  void add_node(std::size_t node) {
    const pid_t holder = holders_.emplace_back().id();
    const std::string here = "node" + std::to_string(node + 1);
    ip({"link", "add", here, "type", "veth", "peer", "name", "up0", "netns",
        std::to_string(holder)});
    ip({"addr", "add", prefix(node) + ".1/30", "dev", here});
    ip({"link", "set", here, "up"});
    ip({"addr", "add", address(node) + "/30", "dev", "up0"}, holder);
    ip({"link", "set", "up0", "up"}, holder);
    ip({"link", "set", "lo", "up"}, holder);
    ip({"route", "add", "default", "via", prefix(node) + ".1"}, holder);
  }

  static void rule(const char* what, std::size_t from, std::size_t to) {
    ip({"rule", what, "from", address(from), "to", address(to), "blackhole"});
  }

  std::vector<Holder> holders_;
  std::set<std::pair<std::size_t, std::size_t>> cut_;
};

class Proxy final : public Network {
 public:
  std::string name() const override { return "a proxy"; }

  void attach(cluster::Cluster& cluster,
              const std::vector<std::vector<std::string>>& runners) override {
    cluster.use_proxy();
    std::vector<cluster::Place> places(runners.size());
    for (std::size_t node = 0; node < runners.size(); ++node) places[node].runner = runners[node];
    cluster.use_places(std::move(places));
    proxy_ = &cluster.proxy();
  }
  void settle(const cluster::Cluster& cluster) override {
    for (std::size_t node = 0; node < cluster.size(); ++node) ids_.push_back(cluster.id(node));
  }
  void cut(std::size_t from, std::size_t to) override { proxy_->cut(ids_[from], ids_[to]); }
  void mend() override { proxy_->mend_all(); }
  bool can_cut_one_way() const override { return false; }

 private:
  cluster::PeerProxy* proxy_ = nullptr;
  std::vector<wire::NodeId> ids_;
};

}  // namespace

bool enter_own_network() {
  if (::access(kIp, X_OK) != 0) return false;
  if (::unshare(CLONE_NEWNET) != 0) {
    const std::string user = std::to_string(::getuid());
    const std::string group = std::to_string(::getgid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
    (void)write_text("/proc/self/setgroups", "deny");
    const bool mapped = write_text("/proc/self/uid_map", "0 " + user + " 1") &&
                        write_text("/proc/self/gid_map", "0 " + group + " 1");
    if (!mapped) return false;
  }
  ip({"link", "set", "lo", "up"});
  return true;
}

std::unique_ptr<Network> make_namespaces(std::size_t nodes) {
  return std::make_unique<Namespaces>(nodes);
}
std::unique_ptr<Network> make_proxy() {
  return std::make_unique<Proxy>();
}

}  // namespace bib::nemesis
