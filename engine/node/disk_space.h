// DiskSpace: tells a disk that has room from one that is nearly full.
//
// Lives on the node loop, which is told every now and then how much is free. Below the reserve
// there is no room until an eighth more than the reserve is free, so that files which come and go
// do not change the answer each time.
#pragma once

#include <cstdint>
#include <optional>

namespace bib::engine {

class DiskSpace {
 public:
  // 0: there is always room.
  explicit DiskSpace(std::uint64_t reserve) : reserve_(reserve) {}

  std::uint64_t reserve() const { return reserve_; }
  // Bytes; as last seen, UINT64_MAX before the first look.
  std::uint64_t free() const { return free_; }
  // With so much free there is room again.
  std::uint64_t enough() const { return reserve_ + reserve_ / 8; }
  bool is_short() const { return is_short_; }

  // Whether it has become short, or is no longer; nothing: as before.
  std::optional<bool> look(std::uint64_t free) {
    free_ = free;
    const bool is_short = free < (is_short_ ? enough() : reserve_);
    if (is_short == is_short_) return std::nullopt;
    is_short_ = is_short;
    return is_short;
  }

 private:
  std::uint64_t reserve_;
  std::uint64_t free_ = UINT64_MAX;
  bool is_short_ = false;
};

}  // namespace bib::engine
