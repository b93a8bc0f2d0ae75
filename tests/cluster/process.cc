#include "process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <stdexcept>

#include "support/test_support.h"

namespace bib::cluster {
namespace {

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

[[noreturn]] void become(const std::vector<std::string>& command, const Environment& environment) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  ::execv(arguments[0], arguments.data());
  _exit(127);
}

void redirect(const std::filesystem::path& file, int descriptor, int flags) {
  const int opened = ::open(file.c_str(), flags, 0600);
  if (opened < 0 || ::dup2(opened, descriptor) < 0) _exit(126);
}

}  // namespace

Process::Process(const std::vector<std::string>& command, const Environment& environment,
                 const std::filesystem::path& log) {
  // It is there when this returns.
  const int made = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (made < 0) throw std::runtime_error("cannot make " + log.string());
  ::close(made);
  id_ = ::fork();
  if (id_ < 0) throw std::runtime_error("fork failed");
  if (id_ != 0) return;
  redirect("/dev/null", STDIN_FILENO, O_RDONLY);
  redirect(log, STDOUT_FILENO, O_WRONLY | O_APPEND);
  ::dup2(STDOUT_FILENO, STDERR_FILENO);
  become(command, environment);
}

Process::~Process() {
  kill_now();
}

bool Process::is_running() {
  return !wait(std::chrono::milliseconds(0));
}

void Process::signal(int number) {
  if (!result_) ::kill(id_, number);
}

std::optional<int> Process::wait(std::chrono::milliseconds within) {
  if (result_) return result_;
  const auto ended = [this] {
    int status = 0;
    if (::waitpid(id_, &status, WNOHANG) != id_) return false;
    result_ = code_of(status);
    return true;
  };
  if (!ended() && within.count() > 0) (void)support::wait_until(ended, within);
  return result_;
}

void Process::kill_now() {
  if (result_) return;
  ::kill(id_, SIGKILL);
  ::kill(id_, SIGCONT);
  int status = 0;
  if (::waitpid(id_, &status, 0) == id_) result_ = code_of(status);
}

Finished run(const std::vector<std::string>& command, const Environment& environment,
             const std::string& input, std::chrono::milliseconds within) {
  const support::TempDir scratch;
  support::write_file(scratch / "in", input);
  const pid_t id = ::fork();
  if (id < 0) throw std::runtime_error("fork failed");
  if (id == 0) {
    redirect(scratch / "in", STDIN_FILENO, O_RDONLY);
    redirect(scratch / "out", STDOUT_FILENO, O_WRONLY | O_CREAT);
    redirect(scratch / "err", STDERR_FILENO, O_WRONLY | O_CREAT);
    become(command, environment);
  }
  Finished finished;
  int status = 0;
  const bool ended =
      support::wait_until([&] { return ::waitpid(id, &status, WNOHANG) == id; }, within);
  if (!ended) {
    ::kill(id, SIGKILL);
    ::waitpid(id, &status, 0);
  }
  finished.exit_code = code_of(status);
  finished.out = support::read_file(scratch / "out");
  finished.err = support::read_file(scratch / "err");
  return finished;
}

namespace {

sockaddr_in on_loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(static_cast<std::uint16_t>(port));
  return address;
}

int unused_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = on_loopback(0);
  socklen_t size = sizeof address;
  auto* name = reinterpret_cast<sockaddr*>(&address);
  const bool bound = ::bind(probe, name, size) == 0 && ::getsockname(probe, name, &size) == 0;
  ::close(probe);
  if (!bound) throw std::runtime_error("no free port");
  return ::ntohs(address.sin_port);
}

}  // namespace

int free_port() {
  static std::set<int> given;
  for (int tries = 0; tries < 100; ++tries) {
    const int port = unused_port();
    if (given.insert(port).second) return port;
  }
  throw std::runtime_error("the system names the same ports again and again");
}

TakenPort::TakenPort(int port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int yes = 1;  // a node may have had it a moment ago
  ::setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = on_loopback(port);
  if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(descriptor_, 8) == 0) {
    return;
  }
  ::close(descriptor_);
  throw std::runtime_error("port " + std::to_string(port) + " is taken by somebody else");
}

TakenPort::~TakenPort() {
  ::close(descriptor_);
}

std::string program(const char* variable) {
  const char* path = std::getenv(variable);
  if (path == nullptr) throw std::runtime_error(std::string(variable) + " is not set: run ctest");
  return path;
}

}  // namespace bib::cluster
