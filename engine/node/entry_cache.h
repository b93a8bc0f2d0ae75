// EntryCache: the log's newest entries in memory, for the peers and for applying.
//
// Owned by the raft driver, on the node loop. Holds a contiguous run of entries that ends at the
// log's last one. Bounded by bytes, except that entries which are not durable yet stay: the others
// can be read from the log's files again.
#pragma once

#include <cstddef>
#include <deque>

#include "wire/base/bytes.h"
#include "wire/base/check.h"
#include "wire/base/ids.h"

namespace bib::engine {

class EntryCache {
 public:
  explicit EntryCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // `index` follows the newest one, or the cache is empty.
  void append(wire::LogIndex index, wire::Bytes entry) {
    if (entries_.empty()) first_ = index;
    BIB_CHECK(index == first_ + entries_.size(), "the cache would have a gap at {}", index.value());
    bytes_ += entry.size();
    entries_.push_back(std::move(entry));
  }

  // Entries from `index` on are void.
  void truncate_from(wire::LogIndex index) {
    while (!entries_.empty() && first_ + entries_.size() > index) {
      bytes_ -= entries_.back().size();
      entries_.pop_back();
    }
  }

  // Lets go of old entries, but of none after `durable`.
  void trim(wire::LogIndex durable) {
    while (bytes_ > bytes_max_ && !entries_.empty() && first_ <= durable) {
      bytes_ -= entries_.front().size();
      entries_.pop_front();
      ++first_;
    }
  }

  // Null when it is not here.
  const wire::Bytes* find(wire::LogIndex index) const {
    if (entries_.empty() || index < first_ || index >= first_ + entries_.size()) return nullptr;
    return &entries_[index - first_];
  }

  std::size_t bytes() const { return bytes_; }

 private:
  std::deque<wire::Bytes> entries_;
  wire::LogIndex first_;
  std::size_t bytes_ = 0;
  std::size_t bytes_max_;
};

}  // namespace bib::engine
