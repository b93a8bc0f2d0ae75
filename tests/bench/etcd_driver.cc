// etcd_driver: keeps N puts in flight against an etcd cluster and reports what it bore.
//
// A closed loop: each put that completes is replaced at once by the next, over several connections
// to the leader, on which all members must agree first. Values are random bytes (so that no layer
// gains by compressing them), keys are drawn evenly from a fixed key space. Puts that complete
// after the warm-up and before the end count; latency runs from just before a put is handed to gRPC
// to the turn that takes its completion.
//
// One line of JSON on stdout:
//   {"system","inflight","size","seconds","ops","ops_per_second","p50_ms","p99_ms","p999_ms","errors"}
// Exit status: 0 measured; 1 no leader, no put succeeded, or the cluster fell silent; or CLI11's
// codes for bad arguments.
//
// One thread, one completion queue: everything below lives on the main thread.

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "etcd_kv.grpc.pb.h"

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// gRPC takes its deadlines on the system clock.
using GrpcClock = std::chrono::system_clock;

constexpr seconds kSilenceMax{15};  // no completion for so long: the cluster is gone
constexpr seconds kStatusTimeout{2};

struct Options {
  std::vector<std::string> endpoints;
  std::uint32_t inflight = 64;
  std::uint32_t size_bytes = 256;
  std::uint32_t keys = 100'000;
  std::uint32_t connections = 8;
  double duration_s = 8;
  double warmup_s = 2;
  double leader_wait_s = 30;
  std::uint64_t seed = 1;
};

// splitmix64: small, seeded, and 32 steps fill a value of 256 bytes in some 30 ns.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }

  void fill(std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = next();
      std::memcpy(bytes.data() + at, &word, std::min(sizeof word, bytes.size() - at));
    }
  }

 private:
  std::uint64_t state_;
};

std::shared_ptr<grpc::Channel> connect(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // one connection for each channel
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

// One member's view of who leads: its own id and the leader's, 0 if it knows none.
struct MemberView {
  std::uint64_t member = 0;
  std::uint64_t leader = 0;
};

MemberView ask(etcdserverpb::Maintenance::Stub& member) {
  grpc::ClientContext context;
  context.set_deadline(GrpcClock::now() + kStatusTimeout);
  etcdserverpb::StatusResponse response;
  if (!member.Status(&context, etcdserverpb::StatusRequest(), &response).ok()) return {};
  return {.member = response.header().member_id(), .leader = response.leader()};
}

// The leader's endpoint, once all members answer and agree on it; none by the deadline.
std::optional<std::string> find_leader(const std::vector<std::string>& endpoints,
                                       Clock::time_point deadline) {
  std::vector<std::unique_ptr<etcdserverpb::Maintenance::Stub>> members;
  for (const auto& endpoint : endpoints) {
    members.push_back(etcdserverpb::Maintenance::NewStub(connect(endpoint)));
  }
  while (Clock::now() < deadline) {
    std::vector<MemberView> views;
    for (auto& member : members) views.push_back(ask(*member));
    const auto leads = [&](const MemberView& view) {
      return view.leader != 0 && view.member == view.leader;
    };
    const auto leader = std::find_if(views.begin(), views.end(), leads);
    if (leader != views.end() && std::all_of(views.begin(), views.end(), [&](const auto& view) {
          return view.leader == leader->leader;
        })) {
      return endpoints[static_cast<std::size_t>(leader - views.begin())];
    }
    std::this_thread::sleep_for(milliseconds(100));
  }
  return std::nullopt;
}

struct Measurement {
  double seconds = 0;
  std::vector<std::uint32_t> latencies_us;  // of the puts that succeeded
  std::uint64_t errors = 0;
  std::string first_error;
  bool silent = false;  // gave up: nothing completed for kSilenceMax
};

class PutLoad {
 public:
  PutLoad(const Options& options, const std::string& leader)
      : options_(options), random_(options.seed), puts_(options.inflight) {
    const std::uint32_t connections = std::min(options.connections, options.inflight);
    for (std::uint32_t i = 0; i < connections; ++i) {
      stubs_.push_back(etcdserverpb::KV::NewStub(connect(leader)));
    }
    for (std::size_t i = 0; i < puts_.size(); ++i) {
      puts_[i].stub = stubs_[i % stubs_.size()].get();
      puts_[i].request.mutable_value()->resize(options.size_bytes);
    }
  }

  Measurement run() {
    const auto to_duration = [](double s) {
      return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
    };
    begin_ = Clock::now() + to_duration(options_.warmup_s);
    end_ = begin_ + to_duration(options_.duration_s);
    measurement_.seconds = options_.duration_s;
    for (auto& put : puts_) start(put);
    while (outstanding_ > 0 && take_one()) {
    }
    close();
    return std::move(measurement_);
  }

 private:
  // One place in flight, used again and again. It is its own tag in the completion queue, so it
  // must not move while a put is out.
  struct Put {
    etcdserverpb::KV::Stub* stub = nullptr;
    etcdserverpb::PutRequest request;
    etcdserverpb::PutResponse response;
    grpc::Status status;
    Clock::time_point started;
    std::optional<grpc::ClientContext> context;  // gRPC wants a new one for each call
    std::unique_ptr<grpc::ClientAsyncResponseReader<etcdserverpb::PutResponse>> reader;
  };

  void start(Put& put) {
    std::string& key = *put.request.mutable_key();
    key.clear();
    fmt::format_to(std::back_inserter(key), "bench/{:08}", random_.next() % options_.keys);
    random_.fill(*put.request.mutable_value());
    put.started = Clock::now();
    put.context.emplace();
    put.context->set_wait_for_ready(true);  // a broken connection must not make a hot loop
    put.reader = put.stub->AsyncPut(&*put.context, put.request, &queue_);
    put.reader->Finish(&put.response, &put.status, &put);
    ++outstanding_;
  }

  // Takes one completion and starts its successor; false when the cluster fell silent.
  bool take_one() {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = GrpcClock::now() + kSilenceMax;
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) {
      measurement_.silent = true;
      return false;
    }
    Put& put = *static_cast<Put*>(tag);
    const auto now = Clock::now();
    --outstanding_;
    if (now >= begin_ && now < end_) record(put, now);
    if (now < end_) start(put);
    return true;
  }

  void record(const Put& put, Clock::time_point now) {
    if (put.status.ok()) {
      const auto latency = std::chrono::duration_cast<std::chrono::microseconds>(now - put.started);
      measurement_.latencies_us.push_back(static_cast<std::uint32_t>(latency.count()));
      return;
    }
    if (measurement_.errors++ == 0) measurement_.first_error = put.status.error_message();
  }

  // Cancels what is still out and empties the queue, as gRPC demands before it may go.
  void close() {
    if (outstanding_ > 0) {
      for (auto& put : puts_) put.context->TryCancel();
    }
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  const Options& options_;
  Random random_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<etcdserverpb::KV::Stub>> stubs_;
  std::vector<Put> puts_;
  std::size_t outstanding_ = 0;
  Clock::time_point begin_;
  Clock::time_point end_;
  Measurement measurement_;
};

// The smallest latency that at least this share of the puts did not exceed.
double percentile_ms(const std::vector<std::uint32_t>& sorted_us, double share) {
  if (sorted_us.empty()) return 0;
  const auto rank = std::ceil(share * static_cast<double>(sorted_us.size()));
  const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  return static_cast<double>(sorted_us[std::min(index, sorted_us.size() - 1)]) / 1000.0;
}

void print_json(const Options& options, Measurement& measurement) {
  auto& latencies = measurement.latencies_us;
  std::sort(latencies.begin(), latencies.end());
  fmt::print(
      "{{\"system\":\"etcd\",\"inflight\":{},\"size\":{},\"seconds\":{:.3f},\"ops\":{},"
      "\"ops_per_second\":{:.1f},\"p50_ms\":{:.3f},\"p99_ms\":{:.3f},\"p999_ms\":{:.3f},"
      "\"errors\":{}}}\n",
      options.inflight, options.size_bytes, measurement.seconds, latencies.size(),
      static_cast<double>(latencies.size()) / measurement.seconds, percentile_ms(latencies, 0.5),
      percentile_ms(latencies, 0.99), percentile_ms(latencies, 0.999), measurement.errors);
}

int run(const Options& options) {
  const auto wait = std::chrono::duration<double>(options.leader_wait_s);
  const auto leader = find_leader(options.endpoints,
                                  Clock::now() + std::chrono::duration_cast<Clock::duration>(wait));
  if (!leader) {
    fmt::print(stderr,
               "etcd_driver: after {} s the endpoints do not all answer and agree on a leader. "
               "Look at them with: etcdctl endpoint status\n",
               options.leader_wait_s);
    return 1;
  }
  PutLoad load(options, *leader);
  Measurement measurement = load.run();
  if (measurement.errors > 0) {
    fmt::print(stderr, "etcd_driver: {} puts failed, the first with: {}\n", measurement.errors,
               measurement.first_error);
  }
  if (measurement.silent) {
    fmt::print(stderr, "etcd_driver: no put to {} completed for {} s; gave up. See etcd's log.\n",
               *leader, kSilenceMax.count());
    return 1;
  }
  if (measurement.latencies_us.empty()) {
    fmt::print(stderr, "etcd_driver: no put succeeded at {}. See etcd's log.\n", *leader);
    return 1;
  }
  print_json(options, measurement);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Keeps puts in flight against an etcd cluster and prints one line of JSON.");
  app.add_option("--endpoints", options.endpoints, "host:port of each member, with commas")
      ->delimiter(',')
      ->required();
  app.add_option("--inflight", options.inflight, "puts in flight")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  app.add_option("--size", options.size_bytes, "bytes in a value")
      ->check(CLI::Range(0u, 1u << 20))
      ->capture_default_str();
  app.add_option("--keys", options.keys, "keys in the key space")
      ->check(CLI::Range(1u, 99'999'999u))
      ->capture_default_str();
  app.add_option("--connections", options.connections, "connections to the leader")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  app.add_option("--duration", options.duration_s, "measured seconds")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  app.add_option("--warmup", options.warmup_s, "seconds before those")
      ->check(CLI::Range(0.0, 3'600.0))
      ->capture_default_str();
  app.add_option("--leader-wait", options.leader_wait_s, "seconds to wait for a leader")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of keys and values")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
