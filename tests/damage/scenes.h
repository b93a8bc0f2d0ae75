// Scenes: directories of nodes as they are on a disk: what a cluster of three has left when its
// nodes stopped. Built once; each seed works on copies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster.h"

namespace bib::damage {

struct Scene {
  std::string name;
  std::vector<std::uint64_t> victims;  // whose directory may be damaged
};
const std::vector<Scene>& scenes();

// Builds one in `root`: n1, n2, n3, an older state of each in old/, and what was acknowledged in a
// file. Empty, or what went wrong.
std::string build_scene(const Scene& scene, const std::string& root);

// With everything as it is: links between files of one tree stay links between their copies.
void copy_tree(const std::string& from, const std::string& to);

Acknowledged read_acknowledged(const std::string& root);

}  // namespace bib::damage
