// bib bench: drives a running cluster and measures it.
//
// One thread, one loop over all connections: each turn takes what has come, submits as many new
// requests, and sends them in one write. A request's latency runs from its submission to the turn
// in which its answer was read.
#include <poll.h>

#include <algorithm>
#include <cmath>
#include <ostream>

#include "cli/commands/bib_command.h"
#include "cli/commands/cluster_view.h"
#include "cli/commands/interrupt.h"
#include "cli/print/histogram.h"
#include "cli/print/progress_line.h"
#include "wire/base/prng.h"
#include "wire/base/units.h"

namespace bib::cli {
namespace {

struct BenchOptions {
  std::size_t inflight = 64;
  std::size_t size = 256;
  std::string duration = "10s";
  std::string warmup = "1s";
  double read_ratio = 0;
  std::uint64_t keys = 100000;
  std::size_t connections = 1;
  std::uint64_t seed = 1;
};

// Texts that lz4 cannot make smaller: slices of random base64-like bytes.
class RandomValues {
 public:
  RandomValues(wire::Prng& prng, std::size_t size) : prng_(prng), size_(size) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    constexpr std::size_t kPoolSize = 1U << 20;
    pool_.reserve(kPoolSize + size);
    while (pool_.size() < kPoolSize + size) {
      std::uint64_t bits = prng.next();
      for (int i = 0; i < 10; ++i, bits >>= 6) pool_.push_back(kDigits[bits & 63]);
    }
  }
  std::string_view next() {
    return std::string_view(pool_).substr(prng_.below(pool_.size() - size_ + 1), size_);
  }

 private:
  wire::Prng& prng_;
  std::size_t size_;
  std::string pool_;
};

class Bench {
 public:
  Bench(const Context& context, const BenchOptions& options, std::chrono::milliseconds duration,
        std::chrono::milliseconds warmup)
      : context_(context),
        options_(options),
        line_(context.err, context.err_is_terminal),
        prng_(options.seed),
        values_(prng_, options.size),
        duration_(duration),
        warmup_(warmup),
        read_chance_ppm_(static_cast<std::uint32_t>(std::lround(options.read_ratio * 1e6))) {}

  ExitCode run() {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      // The first connections carry what does not divide evenly.
      const std::size_t share = options_.inflight / options_.connections +
                                (i < options_.inflight % options_.connections ? 1 : 0);
      auto client = context_.make_client(true, share);
      if (!client) return context_.report(client.error());
      clients_.push_back(std::move(*client));
    }
    // The first answer shows whether there is a cluster at all.
    const Completion first = clients_.front()->call_status();
    if (!first.reply) return context_.report(first.reply.error());
    drive();
    return report();
  }

 private:
  void drive() {
    Clock::time_point now = Clock::now();
    measure_from_ = now + warmup_;
    measure_to_ = measure_from_ + duration_;
    next_progress_ = now + std::chrono::seconds(1);
    std::vector<Completion> completions;
    while (now < measure_to_ && !interrupt_.requested()) {
      bool idle = true;
      for (auto& client : clients_) {
        while (client->can_submit()) submit_one(*client);
        client->poll(now, completions);
        idle = idle && completions.empty();
        now = Clock::now();
        count(completions, now);
        completions.clear();
      }
      if (idle) wait(now);
      now = Clock::now();
      if (now >= next_progress_) progress(now);
    }
    line_.clear();
    measure_to_ = std::clamp(now, measure_from_, measure_to_);
  }

  void submit_one(Client& client) {
    char key_text[32];
    const auto end =
        fmt::format_to_n(key_text, sizeof key_text, "bench/{}", prng_.below(options_.keys));
    const std::string_view key(key_text, end.size);
    if (read_chance_ppm_ > 0 && prng_.chance_ppm(read_chance_ppm_)) {
      wire::Query query;
      query.consistency = context_.consistency;
      query.table = wire::QueryTable::kConfig;
      query.key = key;
      client.submit(query);
    } else {
      client.submit(wire::SetConfig{key, values_.next()});
    }
  }

  void count(const std::vector<Completion>& completions, Clock::time_point now) {
    for (const Completion& completion : completions) {
      // A key that was never written is an answer like any other.
      bool answered =
          completion.reply || completion.reply.error().code == wire::ErrorCode::kNotFound;
      if (answered) ++answered_in_all_;
      if (now < measure_from_ || now >= measure_to_) continue;
      if (answered) {
        latencies_.record(static_cast<std::uint64_t>(
            std::chrono::nanoseconds(now - completion.submitted).count()));
      } else {
        if (errors_++ == 0) first_error_ = completion.reply.error();
      }
    }
  }

  // Waits until a socket is ready, or a tenth of a second, after which clients look at their
  // own timeouts.
  void wait(Clock::time_point now) {
    std::vector<pollfd> items;
    bool connecting = false;
    for (const auto& client : clients_) {
      if (client->fd() < 0) connecting = true;
      short events = client->wants_write() ? POLLIN | POLLOUT : POLLIN;
      items.push_back({client->fd(), events, 0});
    }
    const auto limit = connecting ? std::chrono::milliseconds(1) : std::chrono::milliseconds(100);
    ::poll(items.data(), items.size(), poll_timeout(std::min(now + limit, measure_to_)));
  }

  void progress(Clock::time_point now) {
    next_progress_ = now + std::chrono::seconds(1);
    const std::uint64_t since = answered_in_all_ - answered_shown_;
    answered_shown_ = answered_in_all_;
    if (!line_.is_due()) return;
    const auto left = std::chrono::duration<double>(measure_to_ - now).count();
    line_.show(fmt::format("{}{:>9} operations/s, p50 {:.2f} ms, p99 {:.2f} ms, {:.0f} s left",
                           now < measure_from_ ? "warm-up: " : "", since, ms(0.5), ms(0.99),
                           std::max(left, 0.0)));
  }

  double ms(double share) const { return static_cast<double>(latencies_.quantile(share)) / 1e6; }

  ExitCode report() {
    const double seconds = std::chrono::duration<double>(measure_to_ - measure_from_).count();
    const double rate = seconds > 0 ? static_cast<double>(latencies_.count()) / seconds : 0;
    context_.emit({{"system", "bib"},
                   {"inflight", options_.inflight},
                   {"size", options_.size},
                   {"seconds", seconds},
                   {"read_ratio", options_.read_ratio},
                   {"connections", options_.connections},
                   {"ops", latencies_.count()},
                   {"ops_per_second", rate},
                   {"p50_ms", ms(0.5)},
                   {"p99_ms", ms(0.99)},
                   {"p999_ms", ms(0.999)},
                   {"errors", errors_}},
                  render_fields({{"Operations per second", fmt::format("{:.0f}", rate)},
                                 {"Latency p50", fmt::format("{:.3f} ms", ms(0.5))},
                                 {"Latency p99", fmt::format("{:.3f} ms", ms(0.99))},
                                 {"Latency p99.9", fmt::format("{:.3f} ms", ms(0.999))},
                                 {"Operations", std::to_string(latencies_.count())},
                                 {"Errors", std::to_string(errors_)},
                                 {"Read ratio", fmt::format("{:g}", options_.read_ratio)},
                                 {"In flight", std::to_string(options_.inflight)},
                                 {"Value size", fmt::format("{} B", options_.size)},
                                 {"Duration", fmt::format("{:g} s", seconds)}}));
    if (interrupt_.requested()) {
      return context_.report(ExitCode::kInterrupted,
                             "interrupted; the figures are of what was run");
    }
    if (errors_ == 0 && latencies_.count() == 0) {
      return context_.report(ExitCode::kGeneral, "nothing was answered within the duration",
                             "Give it more time (--duration, --warmup), or less to do (--size, "
                             "--inflight)");
    }
    if (errors_ == 0) return ExitCode::kOk;
    context_.note(fmt::format("bib: {} requests failed; the first:", errors_));
    return context_.report(explained(context_, first_error_));
  }

  const Context& context_;
  const BenchOptions& options_;
  ProgressLine line_;
  Interrupt interrupt_;
  wire::Prng prng_;
  RandomValues values_;
  std::chrono::milliseconds duration_;
  std::chrono::milliseconds warmup_;
  std::uint32_t read_chance_ppm_;
  std::vector<std::unique_ptr<Client>> clients_;
  Clock::time_point measure_from_;
  Clock::time_point measure_to_;
  Clock::time_point next_progress_;
  Histogram latencies_;
  std::uint64_t errors_ = 0;
  wire::Error first_error_;
  std::uint64_t answered_in_all_ = 0;
  std::uint64_t answered_shown_ = 0;
};

ExitCode bench(const Context& context, const BenchOptions& options) {
  const auto duration = wire::parse_duration(options.duration);
  const auto warmup = wire::parse_duration(options.warmup);
  if (!duration || *duration == 0) {
    return context.report(
        ExitCode::kUsage,
        fmt::format("--duration: {}", duration ? "must be above 0" : duration.error().message));
  }
  if (std::isnan(options.read_ratio)) {
    return context.report(ExitCode::kUsage, "--read-ratio: must be a number of 0 to 1");
  }
  if (!warmup) {
    return context.report(ExitCode::kUsage, fmt::format("--warmup: {}", warmup.error().message));
  }
  const auto run = std::make_unique<Bench>(context, options, std::chrono::milliseconds(*duration),
                                           std::chrono::milliseconds(*warmup));
  return run->run();
}

}  // namespace

void add_bench_command(Commands& commands) {
  auto& options = commands.keep<BenchOptions>();
  Context& context = commands.context();
  CLI::App* command = commands.app().add_subcommand(
      "bench", "Measure a running cluster; writes the keys bench/0, bench/1, ...");
  add_number(*command, "--inflight", options.inflight, "Requests under way at a time (64)", 1,
             65536);
  add_number(*command, "--size", options.size, "Bytes of a value, incompressible (256)", 1,
             wire::kValueSizeMax);
  command->add_option("--duration", options.duration, "How long to measure (10s)")
      ->type_name("DURATION");
  command->add_option("--warmup", options.warmup, "How long to run before that (1s)")
      ->type_name("DURATION");
  command->add_option("--read-ratio", options.read_ratio, "Share of reads, 0 to 1 (0)")
      ->check(CLI::Range(0.0, 1.0));
  add_number(*command, "--keys", options.keys, "Different keys (100000)", 1, 1000000000000);
  add_number(*command, "--connections", options.connections, "Connections to the leader (1)", 1,
             1024);
  add_number(*command, "--seed", options.seed, "Seed of the keys and values (1)");
  commands.on(*command, [&] {
    if (options.connections > options.inflight) options.connections = options.inflight;
    return bench(context, options);
  });
}

}  // namespace bib::cli
