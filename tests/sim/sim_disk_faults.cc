// What a disk does to files that are durable, and how full it is.
#include <algorithm>
#include <cstring>
#include <utility>

#include "sim_disk.h"

namespace bib::sim {

void SimDisk::limit_space(std::optional<std::uint64_t> more) {
  if (more) {
    space_ = used_ + *more;
  } else {
    space_.reset();
  }
}

bool SimDisk::rot(const std::string& path, std::uint64_t from, std::uint64_t to,
                  wire::Prng& random) {
  const InodePtr found = find(path);
  if (!found || found->is_directory) return false;
  Inode& inode = *found;
  to = std::min<std::uint64_t>(to, std::min(inode.durable.size(), inode.bytes.size()));
  if (from >= to) return false;
  const std::uint64_t at = random.between(from, to - 1);
  const auto mask = static_cast<std::uint8_t>(1U << random.below(8));
  inode.durable[at] ^= mask;
  inode.bytes[at] ^= mask;
  return true;
}

bool SimDisk::misdirect(const Spot& from, const Spot& to) {
  const InodePtr source = find(from.path);
  const InodePtr target = find(to.path);
  if (!source || !target || source->is_directory || target->is_directory) return false;
  const std::uint64_t read_at = from.offset / write_unit_ * write_unit_;
  const std::uint64_t write_at = to.offset / write_unit_ * write_unit_;
  if (read_at + write_unit_ > source->durable.size()) return false;
  if (write_at + write_unit_ > std::min(target->durable.size(), target->bytes.size())) return false;
  const std::vector<std::uint8_t> unit(
      source->durable.begin() + static_cast<std::ptrdiff_t>(read_at),
      source->durable.begin() + static_cast<std::ptrdiff_t>(read_at + write_unit_));
  if (std::memcmp(target->durable.data() + write_at, unit.data(), unit.size()) == 0) return false;
  std::memcpy(target->durable.data() + write_at, unit.data(), unit.size());
  std::memcpy(target->bytes.data() + write_at, unit.data(), unit.size());
  return true;
}

bool SimDisk::exchange_names(const std::string& one, const std::string& other) {
  const Place here = place_of(one);
  const Place there = place_of(other);
  if (!here.inode || !there.inode || here.directory != there.directory) return false;
  Names& durable = here.directory->durable_names;
  const auto first = durable.find(here.name);
  const auto second = durable.find(there.name);
  if (first == durable.end() || second == durable.end() || !here.directory->changes.empty()) {
    return false;
  }
  std::swap(first->second, second->second);
  here.directory->names[here.name] = there.inode;
  here.directory->names[there.name] = here.inode;
  return true;
}

bool SimDisk::rot_one_link(const std::string& path, wire::Prng& random) {
  const Place place = place_of(path);
  if (!place.inode || place.inode->is_directory || place.inode->bytes.empty()) return false;
  const auto durable = place.directory->durable_names.find(place.name);
  if (durable == place.directory->durable_names.end()) return false;
  auto copy = std::make_shared<Inode>(*place.inode);
  copy->links = 1;
  if (place.inode->links > 1) {
    --place.inode->links;
    used_ += copy->bytes.size();
  }
  place.directory->names[place.name] = copy;
  durable->second = copy;
  return rot(path, 0, copy->bytes.size(), random);
}

bool SimDisk::lose(const std::string& path) {
  const Place place = place_of(path);
  if (!place.inode || place.inode->is_directory) return false;
  drop_link(*place.inode);
  place.directory->names.erase(place.name);
  place.directory->durable_names.erase(place.name);
  return true;
}

}  // namespace bib::sim
