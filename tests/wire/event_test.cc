#include "wire/model/event.h"

#include <catch2/catch.hpp>

#include <set>

#include "damage.h"
#include "event_samples.h"
#include "message_fields.h"
#include "schema/event_generated.h"
#include "support/test_support.h"
#include "wire/log/entry.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::event;
using flatbuffers::FlatBufferBuilder;

ByteView finished(const FlatBufferBuilder& fbb) {
  return {fbb.GetBufferPointer(), fbb.GetSize()};
}

// An event with any body, as another writer might make it.
template <typename Table>
void finish_event(FlatBufferBuilder& fbb, flatbuffers::Offset<Table> body) {
  fbb.Finish(
      fbs::CreateEvent(fbb, 1, nullptr, fbs::EventBodyTraits<Table>::enum_value, body.Union()));
}

ErrorCode code_of(const Result<Event>& result) {
  return result ? ErrorCode::kNone : result.error().code;
}

std::vector<EventSample> all_events() {
  std::vector<EventSample> samples = full_events();
  for (EventSample& bare : bare_events()) samples.push_back(std::move(bare));
  return samples;
}

TEST_CASE("an event of each body is read as it was written, with all fields and with none") {
  EventEncoder encoder;
  for (const EventSample& sample : all_events()) {
    INFO(sample.name);
    const ByteView bytes = encoder.encode(sample.event);
    const Result<Event> event = read_event(bytes);
    REQUIRE(event);
    CHECK(same(*event, sample.event));
    CHECK(lies_inside(bytes, *event));
  }
}

TEST_CASE("an event that forgets what no leader lets go at once is refused") {
  EventEncoder encoder;
  Event event = full_events().front().event;
  event.origin->forget_from = RequestSequence(30);
  for (const std::uint64_t to : {std::uint64_t{29}, 31 + kForgottenMax}) {
    event.origin->forget_to = RequestSequence(to);
    const Result<Event> read = read_event(encoder.encode(event));
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::kCorrupt);
  }
  event.origin->forget_to = RequestSequence(30 + kForgottenMax);
  CHECK(read_event(encoder.encode(event)));
}

TEST_CASE("the samples have one event of each body") {
  for (const auto& samples : {full_events(), bare_events()}) {
    std::set<std::size_t> bodies;
    for (const EventSample& sample : samples) bodies.insert(sample.event.body.index());
    CHECK(bodies.size() == std::variant_size_v<EventBody>);
  }
}

TEST_CASE(
    "an event's bytes begin aligned to eight, have such a size and do not depend on the past") {
  EventEncoder used;
  for (const EventSample& sample : all_events()) {
    EventEncoder fresh;
    const ByteView bytes = used.encode(sample.event);
    CHECK(bytes.size() % 8 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0);
    CHECK(same(bytes, fresh.encode(sample.event)));
  }
}

TEST_CASE("an event is read at any address") {
  EventEncoder encoder;
  for (const EventSample& sample : full_events()) {
    const ByteView bytes = encoder.encode(sample.event);
    for (std::size_t shift = 0; shift < 8; ++shift) {
      std::vector<std::uint8_t> storage(shift);
      storage.insert(storage.end(), bytes.begin(), bytes.end());
      const auto event = read_event(ByteView(storage).subspan(shift));
      REQUIRE(event);
      CHECK(same(*event, sample.event));
    }
  }
}

TEST_CASE("an event that is cut off is refused at every length") {
  EventEncoder encoder;
  for (const EventSample& sample : all_events()) {
    INFO(sample.name);
    check_truncated(encoder.encode(sample.event), sample.event, read_event);
  }
}

TEST_CASE("an event with flipped bits is refused, or read within its bytes") {
  EventEncoder encoder;
  int refused = 0;
  for (const EventSample& sample : all_events()) {
    INFO(sample.name);
    refused += check_bit_flips(encoder.encode(sample.event), 2000, read_event);
  }
  CHECK(refused > 1000);
}

TEST_CASE("no bytes, and bytes without meaning, are no event") {
  CHECK(code_of(read_event({})) == ErrorCode::kCorrupt);
  const std::vector<std::uint8_t> zeros(64, 0);
  CHECK(code_of(read_event(zeros)) == ErrorCode::kCorrupt);
  const std::vector<std::uint8_t> ones(64, 0xff);
  CHECK(code_of(read_event(ones)) == ErrorCode::kCorrupt);
}

TEST_CASE("an event of the largest size is read, and a larger one is refused") {
  EventEncoder encoder;
  const auto encode = [&encoder](const std::string& value) {
    return encoder.encode({.body = ConfigSet{.key = "k", .value = value}});
  };
  const std::size_t overhead = encode(std::string(4096, 'v')).size() - 4096;
  const ByteView largest = encode(std::string(kEventSizeMax - overhead, 'v'));
  REQUIRE(largest.size() == kEventSizeMax);
  CHECK(read_event(largest));
  const auto larger = read_event(encode(std::string(kEventSizeMax - overhead + 8, 'v')));
  CHECK(code_of(larger) == ErrorCode::kCorrupt);
}

TEST_CASE("an event with a body that this build does not know says its number") {
  FlatBufferBuilder fbb;
  const auto body = fbs::CreateConfigUnset(fbb, fbb.CreateString("k"));
  fbb.Finish(fbs::CreateEvent(fbb, 1, nullptr, static_cast<fbs::EventBody>(77), body.Union()));
  const auto event = read_event(finished(fbb));
  REQUIRE(code_of(event) == ErrorCode::kUnsupported);
  CHECK(event.error().message.find("77") != std::string::npos);
}

TEST_CASE("an event whose body has no type is refused") {
  FlatBufferBuilder fbb;
  const auto body = fbs::CreateConfigUnset(fbb, fbb.CreateString("k"));
  fbb.Finish(fbs::CreateEvent(fbb, 1, nullptr, fbs::EventBody::NONE, body.Union()));
  CHECK(code_of(read_event(finished(fbb))) == ErrorCode::kCorrupt);
}

TEST_CASE("a topic's status beyond the last is refused, and the last is read") {
  for (const int status : {2, 3, 255}) {
    FlatBufferBuilder fbb;
    finish_event(fbb, fbs::CreateTopicStatusChanged(fbb, fbb.CreateString("a"),
                                                    static_cast<fbs::TopicStatus>(status)));
    CHECK(code_of(read_event(finished(fbb))) ==
          (status == 2 ? ErrorCode::kNone : ErrorCode::kCorrupt));
  }
}

TEST_CASE("a job's state beyond the last is refused, and the last is read") {
  for (const int state : {4, 5, 255}) {
    FlatBufferBuilder fbb;
    finish_event(fbb, fbs::CreateJobStateChanged(fbb, fbb.CreateString("a"),
                                                 static_cast<fbs::JobState>(state)));
    CHECK(code_of(read_event(finished(fbb))) ==
          (state == 4 ? ErrorCode::kNone : ErrorCode::kCorrupt));
  }
}

TEST_CASE("a join token's hash has 32 bytes") {
  for (const std::size_t size : {0U, 31U, 32U, 33U}) {
    FlatBufferBuilder fbb;
    const std::vector<std::uint8_t> hash(size, 7);
    finish_event(fbb, fbs::CreateJoinTokenIssued(fbb, fbb.CreateVector(hash)));
    CHECK(code_of(read_event(finished(fbb))) ==
          (size == 32 ? ErrorCode::kNone : ErrorCode::kCorrupt));
  }
}

TEST_CASE("an event with an empty name is refused and the name's field is told") {
  const std::vector<std::pair<EventBody, std::string>> bodies = {
      {TopicCreated{}, "path"},
      {TopicUpdated{}, "path"},
      {TopicStatusChanged{}, "path"},
      {DatasetVersionAdded{.dataset = "d", .version = "v"}, "topic"},
      {DatasetVersionAdded{.topic = "t", .version = "v"}, "dataset"},
      {DatasetVersionAdded{.topic = "t", .dataset = "d"}, "version"},
      {ConfigSet{.value = "v"}, "key"},
      {ConfigUnset{}, "key"},
      {TaskRegistered{.version = "1"}, "name"},
      {TaskRegistered{.name = "n"}, "version"},
      {JobSubmitted{.task = "t", .task_version = "1"}, "id"},
      {JobSubmitted{.id = "i", .task_version = "1"}, "task"},
      {JobSubmitted{.id = "i", .task = "t"}, "task_version"},
      {JobStateChanged{}, "id"},
  };
  EventEncoder encoder;
  for (const auto& [body, field] : bodies) {
    const auto event = read_event(encoder.encode({.body = body}));
    REQUIRE(code_of(event) == ErrorCode::kCorrupt);
    CHECK(event.error().message ==
          fmt::format("a {} event has an empty {}", event_type_name(body), field));
  }
}

TEST_CASE("a body's name and its stream are what the documents call them") {
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"TopicCreated", "topic/physics/cern/higgs"},
      {"TopicUpdated", "topic/physics/cern/higgs"},
      {"TopicStatusChanged", "topic/physics/cern/higgs"},
      {"DatasetVersionAdded", "dataset/physics/cern/higgs/collisions"},
      {"ConfigSet", "config/limits/upload"},
      {"ConfigUnset", "config/limits/upload"},
      {"JoinTokenIssued", ""},
      {"TaskRegistered", "task/resample"},
      {"JobSubmitted", "job/job-0001"},
      {"JobStateChanged", "job/job-0001"},
      {"SessionsExpired", ""},
  };
  const auto samples = full_events();
  REQUIRE(samples.size() == expected.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK(event_type_name(samples[i].event.body) == expected[i].first);
    CHECK(event_stream(samples[i].event.body) == expected[i].second);
  }
}

std::string hex_lines(ByteView bytes) {
  constexpr std::size_t line = 32;
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += line) {
    const std::size_t size = std::min(line, bytes.size() - i);
    for (std::uint8_t byte : bytes.subspan(i, size)) text += fmt::format("{:02x}", byte);
    text += '\n';
  }
  return text;
}

std::vector<std::uint8_t> from_hex_lines(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  std::string digits;
  for (const char c : text) {
    if (c != '\n') digits += c;
    if (digits.size() == 2) {
      bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits, nullptr, 16)));
      digits.clear();
    }
  }
  REQUIRE(digits.empty());
  return bytes;
}

TEST_CASE("the frozen events of version 1 are read as what they were") {
  for (const EventSample& sample : full_events()) {
    INFO(sample.name);
    const auto bytes =
        from_hex_lines(support::read_file(support::golden("event-v1/" + sample.name + ".hex")));
    const auto event = read_event(bytes);
    REQUIRE(event);
    CHECK(same(*event, sample.event));
  }
}

TEST_CASE("today's encoder writes the frozen bytes of version 1") {
  EventEncoder encoder;
  for (const EventSample& sample : full_events()) {
    INFO(sample.name);
    const std::string frozen =
        support::read_file(support::golden("event-v1/" + sample.name + ".hex"));
    CHECK(hex_lines(encoder.encode(sample.event)) == frozen);
  }
}

}  // namespace
}  // namespace bib::wire
