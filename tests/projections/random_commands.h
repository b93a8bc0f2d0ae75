// Random commands over few names, so that they meet: every kind, valid and not, from some clients
// that acknowledge late or early and repeat themselves.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "machine.h"
#include "wire/base/prng.h"

namespace bib::projections {

class RandomCommands {
 public:
  explicit RandomCommands(std::uint64_t seed) : random_(seed) {}

  struct Next {
    wire::CommandBody body;
    Request request;
  };
  Next next() {
    if (!last_.empty() && random_.below(12) == 0) return last_[random_.below(last_.size())];
    Next made{body(), {}};
    made.request.client = static_cast<std::uint8_t>(1 + random_.below(4));
    std::uint64_t& sequence = sequences_[made.request.client];
    made.request.sequence = ++sequence;
    const std::uint64_t lag = random_.below(8);
    made.request.acknowledged_below = sequence > lag ? sequence - lag : 0;
    if (random_.below(6) == 0) made.request.expected_revision = random_.below(4);
    last_.push_back(made);
    if (last_.size() > 10) last_.pop_front();
    return made;
  }
  wire::Prng& random() { return random_; }

 private:
  std::string_view pick(std::string_view kind, std::uint64_t count) {
    return texts_.emplace_back(std::string(kind) + std::to_string(random_.below(count)));
  }
  std::string_view topic() {
    static constexpr std::array<std::string_view, 7> kTopics = {
        "a", "a/b", "a/b/c", "CO2", "co2", "Zürich/Wetter", "bad//path"};
    return kTopics[random_.below(kTopics.size())];
  }
  std::string_view text() {
    return texts_.emplace_back(random_.below(200), static_cast<char>('a' + random_.below(3)));
  }

  wire::CommandBody body() {
    switch (random_.below(12)) {
      case 0:
        return wire::CreateTopic{
            topic(), text(), "", {"o"}, {}, random_.below(2) == 0, random_.below(2) == 0};
      case 1: {
        wire::UpdateTopic update;
        update.path = topic();
        if (random_.below(2) == 0) update.description = text();
        if (random_.below(2) == 0) update.tags = wire::TextList{"t", text()};
        return update;
      }
      case 2:
        return wire::SetTopicStatus{topic(), static_cast<wire::TopicStatus>(random_.below(3))};
      case 3:
      case 4: {
        wire::DatasetVersionAdded added;
        added.topic = topic();
        added.dataset = pick("dataset", 3);
        added.version = pick("v", 5);
        added.hash = pick("sha256:", 2);
        return wire::AddDatasetVersion{added};
      }
      case 5:
      case 6:
        return wire::SetConfig{pick("key", 20), text()};
      case 7:
        return wire::UnsetConfig{pick("key", 20)};
      case 8: {
        wire::Bytes::Builder hash(32);
        std::fill_n(hash.data(), 32, static_cast<std::uint8_t>(random_.below(5)));
        hashes_.emplace_back(std::move(hash));
        return wire::IssueJoinToken{hashes_.back().view(), 9'000'000'000'000'000};
      }
      case 9:
        return wire::RegisterTask{pick("task", 3), pick("v", 4), pick("do", 2), ""};
      case 10:
        return wire::SubmitJob{pick("job", 10), pick("task", 3), "", text()};
      default:
        return wire::SetJobState{pick("job", 10), static_cast<wire::JobState>(random_.below(5)),
                                 text()};
    }
  }

  wire::Prng random_;
  std::deque<std::string> texts_;
  std::deque<wire::Bytes> hashes_;
  std::deque<Next> last_;
  std::array<std::uint64_t, 8> sequences_{};
};

}  // namespace bib::projections
