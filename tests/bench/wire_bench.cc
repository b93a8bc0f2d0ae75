// What wire's encoders and decoders cost on the path of a write: nanoseconds for one call each.
//
// wire_bench [milliseconds per measurement, 200]. One thread; the best of five rounds is printed,
// because everything that disturbs a round only makes it longer.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "wire/base/checksum.h"
#include "wire/client/client_message.h"
#include "wire/model/event.h"
#include "wire/model/row.h"

namespace {

using namespace bib::wire;
using Clock = std::chrono::steady_clock;

// Keeps the compiler from leaving out what nobody looks at.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

template <typename Action>
double best_ns(std::chrono::milliseconds budget, const Action& action) {
  constexpr int rounds = 5;
  constexpr int block = 1000;
  double best = 1e18;
  for (int round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    std::int64_t calls = 0;
    auto now = start;
    do {
      for (int i = 0; i < block; ++i) action();
      calls += block;
      now = Clock::now();
    } while (now - start < budget / rounds);
    const double ns = static_cast<double>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(now - start).count());
    best = std::min(best, ns / static_cast<double>(calls));
  }
  return best;
}

std::vector<std::uint8_t> copy_of(ByteView bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace

int main(int argc, char** argv) {
  const std::chrono::milliseconds budget(argc > 1 ? std::atol(argv[1]) : 200);
  const auto report = [budget](const char* name, std::size_t bytes, const auto& action) {
    fmt::print("{:32} {:5} bytes {:8.1f} ns\n", name, bytes, best_ns(budget, action));
  };

  const std::string key = "limits/upload/physics";
  const std::string value(256, 'v');
  ClientId client;
  client.bytes.fill(7);

  const Event event{.revision = Revision(3),
                    .origin = Origin{.client = client, .sequence = RequestSequence(9)},
                    .body = ConfigSet{.key = key, .value = value}};
  EventEncoder events;
  const auto event_bytes = copy_of(events.encode(event));
  report("event: encode ConfigSet", event_bytes.size(), [&] { keep(events.encode(event)); });
  report("event: read ConfigSet", event_bytes.size(), [&] { keep(read_event(event_bytes)); });

  const Event topic{.body = TopicCreated{.path = "physics/cern/higgs",
                                         .description = value,
                                         .owners = {"alice", "bob"},
                                         .tags = {"open", "raw"}}};
  const auto topic_bytes = copy_of(events.encode(topic));
  report("event: encode TopicCreated", topic_bytes.size(), [&] { keep(events.encode(topic)); });
  report("event: read TopicCreated", topic_bytes.size(), [&] { keep(read_event(topic_bytes)); });

  const Command command{.client = client,
                        .sequence = RequestSequence(9),
                        .acknowledged_below = RequestSequence(9),
                        .body = SetConfig{.key = key, .value = value}};
  ClientEncoder messages;
  const auto command_bytes = copy_of(messages.encode(command));
  report("command: encode SetConfig", command_bytes.size(),
         [&] { keep(messages.encode(command)); });
  report("command: decode SetConfig", command_bytes.size(),
         [&] { keep(decode_command(command_bytes)); });

  const CommandReply reply{.position = {.index = LogIndex(1234), .offset = 5},
                           .revision = Revision(3)};
  const auto reply_bytes = copy_of(messages.encode(reply));
  report("command reply: encode", reply_bytes.size(), [&] { keep(messages.encode(reply)); });
  report("command reply: decode", reply_bytes.size(),
         [&] { keep(decode_command_reply(reply_bytes)); });

  const Row row = ConfigRow{.key = key, .value = value, .revision = Revision(3), .updated_us = 1};
  RowEncoder rows;
  const auto row_bytes = copy_of(rows.encode(row));
  report("row: encode ConfigRow", row_bytes.size(), [&] { keep(rows.encode(row)); });
  report("row: read ConfigRow", row_bytes.size(), [&] { keep(read_row(row_bytes)); });

  const auto printer = EventPrinter::from_schema(event_schema());
  report("event: print ConfigSet as JSON", event_bytes.size(),
         [&] { keep(printer->to_json(event_bytes)); });
  return 0;
}
