#include "scenes.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "support/test_support.h"

namespace bib::damage {

namespace fs = std::filesystem;

namespace {

constexpr Time kPatience = 60 * kSecond;
constexpr char kAcknowledgedName[] = "/acknowledged";

bool write_some(Cluster& cluster, wire::Prng& random, int count, std::size_t size_max) {
  for (int i = 0; i < count; ++i) {
    const std::string key = fmt::format("key{:03}", random.below(300));
    if (!cluster.set(key, hex_text(random, 16 + random.below(size_max)), kPatience)) return false;
  }
  return true;
}

bool form(Cluster& cluster, std::vector<std::uint64_t> ids) {
  for (const std::uint64_t id : ids) cluster.add(id).start();
  return cluster.run_until([&] { return cluster.have_converged(ids); }, kPatience);
}

bool start_all(Cluster& cluster, const std::vector<std::uint64_t>& ids) {
  for (const std::uint64_t id : ids) cluster.machine(id).start();
  return cluster.run_until([&] { return cluster.have_converged(ids); }, kPatience);
}

// Small rows and a large log, so that there are many files and little to copy.
bool run_for_long(Cluster& cluster, const std::string& root, wire::Prng& random) {
  const std::vector<std::uint64_t> all{1, 2, 3};
  if (!form(cluster, all) || !write_some(cluster, random, 120, 3000)) return false;
  if (!cluster.stop({3, 2, 1}, kPatience)) return false;
  for (const std::uint64_t id : all) {
    copy_tree(cluster.directory(id), fmt::format("{}/old/n{}", root, id));
  }
  return start_all(cluster, all) && write_some(cluster, random, 150, 3000);
}

std::string installing_note(Cluster& cluster, std::uint64_t id) {
  return cluster.directory(id) + "/snapshots/installing";
}

// Node 3 was down while the others cut their logs, and dies when it has decided to install.
bool die_installing(Cluster& cluster, wire::Prng& random) {
  if (!cluster.stop({3}, kPatience) || !write_some(cluster, random, 200, 3000)) return false;
  cluster.machine(3).start();
  const std::string note = installing_note(cluster, 3);
  if (!cluster.run_until([&] { return fs::exists(note); }, kPatience)) return false;
  cluster.machine(3).kill();
  return fs::exists(note);
}

std::string build(const Scene& scene, const std::string& root) {
  fs::create_directories(root);
  wire::Prng random(scene.name.size());
  // Another client than any trial's.
  Cluster cluster(root, ~scene.name.size());
  bool done = true;
  if (scene.name == "joining") {
    // Nobody is there to be asked.
    cluster.add(3).start();
    cluster.run_until([] { return false; }, kSecond);
    done = cluster.machine(3).is_joining();
    cluster.machine(3).kill();
    done = done && form(cluster, {1, 2}) && write_some(cluster, random, 100, 2000);
  } else {
    done = run_for_long(cluster, root, random);
    if (scene.name == "installing") done = done && die_installing(cluster, random);
  }
  if (!done) return "it does not come about";
  if (scene.name == "stopped") {
    if (!cluster.stop({3, 2, 1}, kPatience)) return "the nodes do not stop";
  } else {
    for (const std::uint64_t id : {1, 2, 3}) cluster.machine(id).kill();
  }
  std::ofstream file(root + kAcknowledgedName);
  for (const auto& [key, value] : cluster.acknowledged) file << key << " " << value << "\n";
  return {};
}

}  // namespace

const std::vector<Scene>& scenes() {
  static const std::vector<Scene> all{
      {"stopped", {1, 2, 3}},
      {"killed", {1, 2, 3}},
      {"installing", {3}},
      {"joining", {3}},
  };
  return all;
}

std::string build_scene(const Scene& scene, const std::string& root) {
  return build(scene, root);
}

void copy_tree(const std::string& from, const std::string& to) {
  std::map<std::uint64_t, fs::path> copies;  // by inode
  fs::create_directories(to);
  for (const auto& each : fs::recursive_directory_iterator(from)) {
    const fs::path target = fs::path(to) / fs::relative(each.path(), from);
    if (each.is_directory()) {
      fs::create_directories(target);
      continue;
    }
    if (!each.is_regular_file()) continue;
    struct stat info {};
    if (::stat(each.path().c_str(), &info) != 0) continue;
    const auto known = copies.find(info.st_ino);
    if (known != copies.end()) {
      fs::create_hard_link(known->second, target);
      continue;
    }
    fs::copy_file(each.path(), target);
    copies[info.st_ino] = target;
  }
}

Acknowledged read_acknowledged(const std::string& root) {
  Acknowledged all;
  std::ifstream file(root + kAcknowledgedName);
  for (std::string key, value; file >> key >> value;) all[key] = value;
  return all;
}

}  // namespace bib::damage
