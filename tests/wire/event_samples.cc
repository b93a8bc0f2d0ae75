#include "event_samples.h"

#include <numeric>

namespace bib::wire {
namespace {

std::vector<EventBody> full_bodies() {
  return {
      TopicCreated{.path = "physics/cern/higgs",
                   .description = "Collisions, 2012 – 2018",
                   .schema = R"({"type":"record"})",
                   .owners = {"alice", "bob"},
                   .tags = {"open", "physics", "ünïcode"}},
      TopicUpdated{.path = "physics/cern/higgs",
                   .description = "Collisions",
                   .schema = "{}",
                   .owners = {"carol"},
                   .tags = {"closed"}},
      TopicStatusChanged{.path = "physics/cern/higgs", .status = TopicStatus::kArchived},
      sample_dataset_version(),
      ConfigSet{.key = "limits/upload", .value = "250 MiB"},
      ConfigUnset{.key = "limits/upload"},
      JoinTokenIssued{.secret_sha256 = sample_secret(), .expires_at_us = 1'700'000'000'000'000},
      TaskRegistered{.name = "resample",
                     .version = "2.1",
                     .definition = R"({"image":"resample:2.1"})",
                     .description = "Resamples a dataset"},
      JobSubmitted{.id = "job-0001",
                   .task = "resample",
                   .task_version = "2.1",
                   .parameters = R"({"rate":10})"},
      JobStateChanged{.id = "job-0001", .state = JobState::kFailed, .message = "out of memory"},
      SessionsExpired{.records = {{.client = sample_client(1), .sequence = RequestSequence(7)},
                                  {.client = sample_client(2), .sequence = RequestSequence(9)}}},
  };
}

std::vector<EventBody> bare_bodies() {
  return {
      TopicCreated{.path = "a"},
      TopicUpdated{.path = "a"},
      TopicStatusChanged{.path = "a"},
      DatasetVersionAdded{.topic = "a", .dataset = "b", .version = "1"},
      ConfigSet{.key = "k", .value = ""},
      ConfigUnset{.key = "k"},
      JoinTokenIssued{.secret_sha256 = sample_secret()},
      TaskRegistered{.name = "t", .version = "1"},
      JobSubmitted{.id = "j", .task = "t", .task_version = "1"},
      JobStateChanged{.id = "j"},
      SessionsExpired{},
  };
}

constexpr std::array kNames = {"topic-created",         "topic-updated",   "topic-status-changed",
                               "dataset-version-added", "config-set",      "config-unset",
                               "join-token-issued",     "task-registered", "job-submitted",
                               "job-state-changed",     "sessions-expired"};

}  // namespace

ByteView sample_secret() {
  static const auto secret = [] {
    std::array<std::uint8_t, 32> bytes{};
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
    return bytes;
  }();
  return secret;
}

ClientId sample_client(std::uint8_t first) {
  ClientId client;
  std::iota(client.bytes.begin(), client.bytes.end(), first);
  return client;
}

DatasetVersionAdded sample_dataset_version() {
  return {.topic = "physics/cern/higgs",
          .dataset = "collisions",
          .version = "2018-b",
          .hash = "sha256:00ff",
          .size = 5'000'000'000,
          .format = "parquet",
          .licence = "CC-BY-4.0",
          .description = "The second half of 2018",
          .homepage = "https://example.org/collisions",
          .owners = {"alice"},
          .tags = {"open", "raw"},
          .holders = {NodeId(1), NodeId(0xfedcba9876543210ULL)},
          .source = "https://example.org/collisions.parquet"};
}

std::vector<EventSample> full_events() {
  std::vector<EventSample> samples;
  std::uint64_t number = 0;
  for (EventBody& body : full_bodies()) {
    const Origin origin{.client = sample_client(0xa0),
                        .sequence = RequestSequence(41 + number),
                        .digest = 0x0123456789abcdefULL,
                        .forget_from = RequestSequence(30),
                        .forget_to = RequestSequence(40)};
    samples.push_back(
        {.name = kNames.at(number),
         .event = {.revision = Revision(number + 1), .origin = origin, .body = std::move(body)}});
    ++number;
  }
  return samples;
}

std::vector<EventSample> bare_events() {
  std::vector<EventSample> samples;
  for (EventBody& body : bare_bodies()) {
    samples.push_back({.name = kNames.at(samples.size()), .event = {.body = std::move(body)}});
  }
  return samples;
}

}  // namespace bib::wire
