// Stories: testdata/*.txt, one story a file, told to a MemoryCluster line by line.
//
//   cluster voters=1,2,3 [learners=4] [passive=5] [heartbeat=1] [election=10] [retry=5]
//           [transfer=..] [notify=0] [entries=8] [bytes=..] [inflight=..] [inflight_bytes=..]
//           [uncommitted=..]             the first line; passive: knows nothing
//
//   tick N|all [times]                   time passes there, nothing moves
//   run TIMES                            all tick, then settle
//   settle                               deliver and sync until all is quiet
//   elect N                              those whom N reaches lose sight of their leader; tick N
//                                        until it leads
//   deliver A->B [count]   lose A->B     repeat A->B (the first, again)   reverse A->B
//   cut A-B   isolate A   mend [A-B]     packets on a cut link vanish; nobody is told
//   closes A-B   opens A-B               both ends are told; what was under way is lost
//   silent A->B                          A is told that B does not answer
//   stall N   unstall N   sync N [count] a stalled disk syncs only when told
//   notice-stall N   notice-recovery N   N is told of its disk
//   stand-back N   stand-forward N       N is told that it is not fit to lead, or is again
//   crash N [writes] [parts]   kill N (a crash, and the others see it)   restart N
//   propose N [count]   change N (voter|learner|remove ID)...   transfer N [TO]
//   read N TOKEN   compact N INDEX
//   refused propose N WHY   refused change N ...
//   expect N key=value ...   expect-leader N|none   expect-link A->B MESSAGE; MESSAGE ...

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "memory_cluster.h"
#include "story_words.h"
#include "support/test_support.h"

namespace bib::consensus::test {

namespace {

using Words = std::vector<std::string>;

[[noreturn]] void wrong(const std::string& what) {
  throw std::runtime_error(what);
}

std::uint64_t number(const std::string& text) {
  std::size_t used = 0;
  std::uint64_t value = 0;
  try {
    value = std::stoull(text, &used);
  } catch (const std::exception&) {
    used = std::string::npos;
  }
  if (used != text.size()) wrong("not a number: " + text);
  return value;
}

NodeId node_id(const std::string& text) {
  return NodeId(number(text));
}

std::vector<std::string> split(const std::string& text, const std::string& by) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t at = text.find(by); at != std::string::npos; at = text.find(by, from)) {
    parts.push_back(text.substr(from, at - from));
    from = at + by.size();
  }
  parts.push_back(text.substr(from));
  return parts;
}

std::pair<NodeId, NodeId> pair_of(const std::string& text, const std::string& by) {
  const auto ends = split(text, by);
  if (ends.size() != 2) wrong("not two nodes: " + text);
  return {node_id(ends[0]), node_id(ends[1])};
}

std::string joined(const std::vector<NodeId>& ids) {
  std::string text;
  for (NodeId id : ids) text += (text.empty() ? "" : ",") + std::to_string(id.value());
  return text.empty() ? "none" : text;
}

std::string name_or_none(NodeId id) {
  return id == NodeId() ? "none" : std::to_string(id.value());
}

class Story {
 public:
  void tell(const std::string& line) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    const std::string verb = words.front();
    words.erase(words.begin());
    const auto known = kVerbs.find(verb);
    if (known == kVerbs.end()) wrong("unknown: " + verb);
    if (!cluster_ && verb != "cluster") wrong("a story begins with a cluster");
    known->second(*this, words);
  }

 private:
  using Verb = std::function<void(Story&, const Words&)>;
  static const std::map<std::string, Verb> kVerbs;

  // ---- setting ----

  void make_cluster(const Words& words) {
    std::map<std::string, std::string> given;
    for (const std::string& word : words) {
      const auto parts = split(word, "=");
      given[parts.at(0)] = parts.at(1);
    }
    auto take = [&](const char* key, auto& into) {
      if (given.count(key) > 0)
        into = static_cast<std::decay_t<decltype(into)>>(number(given[key]));
      given.erase(key);
    };
    auto ids = [&](const char* key) {
      std::vector<NodeId> list;
      if (given.count(key) > 0) {
        for (const std::string& text : split(given[key], ",")) list.push_back(node_id(text));
      }
      given.erase(key);
      return list;
    };
    ClusterOptions options;
    RaftConfig& config = options.config;
    take("heartbeat", config.heartbeat_ticks);
    take("election", config.election_ticks_min);
    take("retry", config.election_retry_ticks);
    take("transfer", config.transfer_ticks_max);
    take("notify", config.commit_notify_ticks);
    take("entries", config.append_entries_max);
    take("bytes", config.append_bytes_max);
    take("inflight", config.flight.messages_max);
    take("inflight_bytes", config.flight.bytes_max);
    take("uncommitted", config.uncommitted_bytes_max);
    Membership membership;
    membership.voters = ids("voters");
    membership.learners = ids("learners");
    const auto passive = ids("passive");
    if (!given.empty()) wrong("unknown setting: " + given.begin()->first);
    for (NodeId id : all_ids(membership)) membership.members.push_back({id, "", "", true});
    cluster_ = std::make_unique<MemoryCluster>(options);
    for (NodeId id : all_ids(membership)) cluster_->add_node(id, membership);
    for (NodeId id : passive) cluster_->add_node(id, Membership());
  }

  std::vector<NodeId> nodes_of(const std::string& text) {
    return text == "all" ? cluster_->ids_up() : std::vector<NodeId>{node_id(text)};
  }

  // ---- time and movement ----

  void tick(const Words& words) {
    const std::uint64_t times = words.size() > 1 ? number(words[1]) : 1;
    for (std::uint64_t i = 0; i < times; ++i) {
      for (NodeId id : nodes_of(words.at(0))) cluster_->tick(id);
    }
  }

  void run(const Words& words) {
    for (std::uint64_t i = number(words.at(0)); i > 0; --i) {
      for (NodeId id : cluster_->ids_up()) cluster_->tick(id);
      cluster_->settle();
    }
  }

  void elect(const Words& words) {
    const NodeId id = node_id(words.at(0));
    for (NodeId other : cluster_->ids_up()) {
      const NodeId leader = cluster_->raft(other).leader();
      if (other != id && leader != other && leader != NodeId() && !cluster_->is_cut(id, other)) {
        cluster_->disconnect(other, leader);
      }
    }
    for (int i = 0; i < 400 && cluster_->raft(id).role() != Role::kLeader; ++i) {
      cluster_->tick(id);
      cluster_->settle();
    }
    if (cluster_->raft(id).role() != Role::kLeader) wrong("it is not elected");
  }

  void deliver(const Words& words) {
    const auto [from, to] = pair_of(words.at(0), "->");
    std::uint64_t count = words.size() > 1 ? number(words[1]) : cluster_->link(from, to).size();
    if (count == 0 || count > cluster_->link(from, to).size()) wrong("not so much is under way");
    for (; count > 0; --count) cluster_->deliver(from, to);
  }

  void each_link(NodeId a, const std::function<void(NodeId, NodeId)>& action) {
    for (NodeId b : cluster_->ids()) {
      if (a != b) action(a, b);
    }
  }

  void lose_between(NodeId a, NodeId b) {
    cluster_->link(a, b).clear();
    cluster_->link(b, a).clear();
  }

  void close(NodeId a, NodeId b) {
    lose_between(a, b);
    if (cluster_->node(a).is_up()) cluster_->disconnect(a, b);
    if (cluster_->node(b).is_up()) cluster_->disconnect(b, a);
  }

  // ---- requests ----

  void propose(const Words& words) {
    for (std::uint64_t i = words.size() > 1 ? number(words[1]) : 1; i > 0; --i) {
      const auto placed = cluster_->propose(node_id(words.at(0)));
      if (!placed) wrong(fmt::format("refused: {}", name_of(placed.error())));
    }
  }

  wire::Status change(const Words& words) {
    std::vector<MembershipChange> changes;
    for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
      const ChangeKind kind = words[i] == "voter"     ? ChangeKind::kAddVoter
                              : words[i] == "learner" ? ChangeKind::kAddLearner
                              : words[i] == "remove"  ? ChangeKind::kRemove
                                                      : ChangeKind{};
      if (kind == ChangeKind{}) wrong("unknown change: " + words[i]);
      changes.push_back({kind, {node_id(words[i + 1]), "", "", true}});
    }
    return cluster_->change(node_id(words.at(0)), changes);
  }

  void refused(const Words& words) {
    const Words rest(words.begin() + 1, words.end());
    if (words.at(0) == "change") {
      if (change(rest)) wrong("the change was not refused");
      return;
    }
    const auto placed = cluster_->propose(node_id(rest.at(0)));
    if (placed) wrong("the proposal was not refused");
    if (name_of(placed.error()) != rest.at(1)) {
      wrong(fmt::format("refused, but because of {}", name_of(placed.error())));
    }
  }

  // ---- expectations ----

  std::string actual(MemoryNode& node, const std::string& key) {
    const Raft& raft = *node.raft;
    if (key == "role") return name_of(raft.role());
    if (key == "term") return std::to_string(raft.term().value());
    if (key == "vote") return name_or_none(raft.vote());
    if (key == "leader") return name_or_none(raft.leader());
    if (key == "commit") return std::to_string(raft.commit().value());
    if (key == "first") return std::to_string(raft.log().first_index().value());
    if (key == "last") return std::to_string(raft.last_index().value());
    if (key == "durable") return std::to_string(raft.durable_index().value());
    if (key == "log") return terms_of(raft);
    if (key == "voters") return joined(raft.membership().voters);
    if (key == "outgoing") return joined(raft.membership().voters_outgoing);
    if (key == "learners") return joined(raft.membership().learners);
    if (key == "transfer") return node.transfer ? name_of(*node.transfer) : "none";
    if (key == "restarted") return std::to_string(raft.pipelines_restarted());
    if (key == "gone") return joined({node.dropped_peers.begin(), node.dropped_peers.end()});
    const auto parts = split(key, ":");
    if (parts.size() == 2) return actual_of(node, parts[0], parts[1]);
    wrong("unknown expectation: " + key);
  }

  static std::string actual_of(MemoryNode& node, const std::string& key, const std::string& of) {
    if (key == "read") {
      const auto found = node.reads_ready.find(number(of));
      return found == node.reads_ready.end() ? "none" : std::to_string(found->second.value());
    }
    if (key == "refused") {
      const auto found = node.reads_refused.find(number(of));
      return found == node.reads_refused.end() ? "none" : name_of(found->second);
    }
    if (key == "dropped") {
      for (std::size_t i = 0; i < kDropReasons; ++i) {
        const auto reason = static_cast<DropReason>(i);
        if (of == name_of(reason)) return std::to_string(node.raft->dropped(reason));
      }
      wrong("unknown reason: " + of);
    }
    for (const PeerStatus& peer : node.raft->peers()) {
      if (peer.id != node_id(of)) continue;
      if (key == "match") return std::to_string(peer.match.value());
      if (key == "next") return std::to_string(peer.next.value());
      if (key == "state") return name_of(peer.state);
      if (key == "caught_up") return node.raft->learner_is_caught_up(peer.id) ? "yes" : "no";
      wrong("unknown expectation: " + key);
    }
    return "none";
  }

  static std::string terms_of(const Raft& raft) {
    std::string text;
    for (LogIndex i = raft.log().first_index(); i <= raft.last_index(); ++i) {
      text += (text.empty() ? "" : ",") + std::to_string(raft.log().term_at(i)->value());
    }
    return text.empty() ? "none" : text;
  }

  void expect(const Words& words) {
    MemoryNode& node = cluster_->node(node_id(words.at(0)));
    for (std::size_t i = 1; i < words.size(); ++i) {
      const auto parts = split(words[i], "=");
      const std::string is = actual(node, parts.at(0));
      if (is != parts.at(1)) wrong(fmt::format("{} is {}, not {}", parts[0], is, parts[1]));
    }
  }

  void expect_leader(const Words& words) {
    const auto leader = cluster_->leader();
    const std::string is = leader ? std::to_string(leader->value()) : "none";
    if (is != words.at(0)) wrong("the leader is " + is);
  }

  void expect_link(const Words& words) {
    const auto [from, to] = pair_of(words.at(0), "->");
    std::string is;
    for (const Packet& packet : cluster_->link(from, to)) {
      is += (is.empty() ? "" : "; ") + text_of(packet.message);
    }
    std::string should;
    for (std::size_t i = 1; i < words.size(); ++i) should += (i > 1 ? " " : "") + words[i];
    if (should == "nothing") should.clear();
    if (is != should) wrong("under way is: " + (is.empty() ? "nothing" : is));
  }

  std::unique_ptr<MemoryCluster> cluster_;
};

const std::map<std::string, Story::Verb> Story::kVerbs = {
    {"cluster", &Story::make_cluster},
    {"tick", &Story::tick},
    {"run", &Story::run},
    {"elect", &Story::elect},
    {"settle", [](Story& s, const Words&) { s.cluster_->settle(); }},
    {"deliver", &Story::deliver},
    {"lose",
     [](Story& s, const Words& w) {
       const auto [from, to] = pair_of(w.at(0), "->");
       if (s.cluster_->link(from, to).empty()) wrong("nothing is under way");
       s.cluster_->link(from, to).clear();
     }},
    {"repeat",
     [](Story& s, const Words& w) {
       const auto [from, to] = pair_of(w.at(0), "->");
       s.cluster_->deliver(from, to, 0, true);
     }},
    {"reverse",
     [](Story& s, const Words& w) {
       const auto [from, to] = pair_of(w.at(0), "->");
       auto& packets = s.cluster_->link(from, to);
       std::reverse(packets.begin(), packets.end());
     }},
    {"cut",
     [](Story& s, const Words& w) {
       const auto [a, b] = pair_of(w.at(0), "-");
       s.cluster_->cut(a, b);
       s.lose_between(a, b);
     }},
    {"isolate",
     [](Story& s, const Words& w) {
       s.each_link(node_id(w.at(0)), [&](NodeId a, NodeId b) {
         s.cluster_->cut(a, b);
         s.lose_between(a, b);
       });
     }},
    {"mend",
     [](Story& s, const Words& w) {
       if (w.empty()) return s.cluster_->mend_all();
       const auto [a, b] = pair_of(w[0], "-");
       s.cluster_->mend(a, b);
     }},
    {"closes",
     [](Story& s, const Words& w) {
       const auto [a, b] = pair_of(w.at(0), "-");
       s.close(a, b);
     }},
    {"opens",
     [](Story& s, const Words& w) {
       const auto [a, b] = pair_of(w.at(0), "-");
       s.cluster_->connect(a, b);
       s.cluster_->connect(b, a);
     }},
    {"stall",
     [](Story& s, const Words& w) { s.cluster_->node(node_id(w.at(0))).disk_is_stalled = true; }},
    {"unstall",
     [](Story& s, const Words& w) { s.cluster_->node(node_id(w.at(0))).disk_is_stalled = false; }},
    {"sync",
     [](Story& s, const Words& w) {
       for (std::uint64_t i = w.size() > 1 ? number(w[1]) : 1; i > 0; --i) {
         if (!s.cluster_->sync_one(node_id(w.at(0)))) wrong("nothing waits for the disk");
       }
     }},
    {"crash",
     [](Story& s, const Words& w) {
       s.cluster_->crash(node_id(w.at(0)), w.size() > 1 ? number(w[1]) : 0,
                         w.size() > 2 ? number(w[2]) : 0);
     }},
    {"kill",
     [](Story& s, const Words& w) {
       const NodeId dead = node_id(w.at(0));
       s.cluster_->crash(dead);
       s.each_link(dead, [&](NodeId a, NodeId b) { s.close(a, b); });
     }},
    {"restart", [](Story& s, const Words& w) { s.cluster_->restart(node_id(w.at(0))); }},
    {"silent",
     [](Story& s, const Words& w) {
       const auto [at, peer] = pair_of(w.at(0), "->");
       s.cluster_->silence(at, peer);
     }},
    {"notice-stall",
     [](Story& s, const Words& w) { s.cluster_->notice_stall(node_id(w.at(0)), true); }},
    {"notice-recovery",
     [](Story& s, const Words& w) { s.cluster_->notice_stall(node_id(w.at(0)), false); }},
    {"stand-back",
     [](Story& s, const Words& w) { s.cluster_->raft(node_id(w.at(0))).stand_back(true); }},
    {"stand-forward",
     [](Story& s, const Words& w) { s.cluster_->raft(node_id(w.at(0))).stand_back(false); }},
    {"propose", &Story::propose},
    {"change",
     [](Story& s, const Words& w) {
       if (const auto status = s.change(w); !status) wrong(status.error().message);
     }},
    {"refused", &Story::refused},
    {"transfer",
     [](Story& s, const Words& w) {
       s.cluster_->transfer(node_id(w.at(0)),
                            w.size() > 1 ? std::optional(node_id(w[1])) : std::nullopt);
     }},
    {"read",
     [](Story& s, const Words& w) { s.cluster_->request_read(node_id(w.at(0)), number(w.at(1))); }},
    {"compact",
     [](Story& s, const Words& w) {
       s.cluster_->compact(node_id(w.at(0)), LogIndex(number(w.at(1))));
     }},
    {"expect", &Story::expect},
    {"expect-leader", &Story::expect_leader},
    {"expect-link", &Story::expect_link},
};

// "" or where and why the story goes wrong.
std::string tell_story(const std::filesystem::path& file) {
  std::ifstream in(file);
  Story story;
  int number = 0;
  bool has_begun = false;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    has_begun = true;
    try {
      story.tell(line);
    } catch (const std::exception& error) {
      return fmt::format("{}:{}: {}\n  {}", file.filename().string(), number, line, error.what());
    }
  }
  return has_begun ? "" : "an empty story";
}

}  // namespace

TEST_CASE("Every story in testdata happens as it is told") {
  const auto dir = support::source_dir() / "tests/consensus/testdata";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  CHECK(files.size() > 10);
  for (const auto& file : files) {
    INFO(file.filename().string());
    CHECK(tell_story(file) == "");
  }
}

}  // namespace bib::consensus::test
