// One event of each body for tests: with everything that it can say, and with nothing that it need
// not say. tests/golden/event-v1 holds the bytes of the full ones: their content never changes.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "wire/model/event.h"

namespace bib::wire {

struct EventSample {
  std::string name;  // of its file in tests/golden/event-v1
  Event event;
};

std::vector<EventSample> full_events();
std::vector<EventSample> bare_events();

// 32 bytes, 0 to 31.
ByteView sample_secret();
// 16 bytes from `first` upwards.
ClientId sample_client(std::uint8_t first);
// With every field set.
DatasetVersionAdded sample_dataset_version();

}  // namespace bib::wire
