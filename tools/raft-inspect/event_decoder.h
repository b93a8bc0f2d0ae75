// EventDecoder: events as JSON, by the schema in the segment that holds them.
//
// So it decodes what a newer or an older bibd wrote. What only this build's own types can tell (the
// stream that an event belongs to) is left out where this build does not know the type. Any one
// thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/result.h"
#include "wire/log/log_format.h"
#include "wire/model/event.h"

namespace bib::inspect {

using Json = nlohmann::ordered_json;

struct DecodedEvent {
  Json json;  // {"type", "revision", "origin", "body"} and what a newer schema adds
  std::string type;
  std::optional<std::string> stream;  // empty text: it has none; nullopt: not known to this build
  std::uint64_t revision = 0;
};

class EventDecoder {
 public:
  // The events that follow are in this segment. kCorrupt when its schema is invalid.
  wire::Status use_schema_of(const wire::SegmentHeader& segment);

  // kCorrupt when the bytes do not verify by the segment's schema, or not by this build's own where
  // that is the same one.
  wire::Result<DecodedEvent> decode(wire::ByteView event) const;

 private:
  std::vector<std::uint8_t> schema_;
  bool is_own_ = false;  // the schema is this build's
  wire::Result<wire::EventPrinter> printer_ =
      wire::fail(wire::ErrorCode::kInvalid, "no schema was given");
};

}  // namespace bib::inspect
