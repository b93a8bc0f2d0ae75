#include "inspect/event_decoder.h"

#include <algorithm>
#include <utility>

namespace bib::inspect {

using wire::ErrorCode;

wire::Status EventDecoder::use_schema_of(const wire::SegmentHeader& segment) {
  if (schema_.empty() || schema_ != segment.schema) {
    schema_ = segment.schema;
    const wire::ByteView own = wire::event_schema();
    is_own_ = std::equal(own.begin(), own.end(), schema_.begin(), schema_.end());
    printer_ = wire::EventPrinter::from_schema(schema_);
  }
  if (!printer_) return tl::unexpected(printer_.error());
  return {};
}

wire::Result<DecodedEvent> EventDecoder::decode(wire::ByteView event) const {
  if (!printer_) return tl::unexpected(printer_.error());
  BIB_TRY(const std::string text, printer_->to_json(event));
  DecodedEvent decoded;
  decoded.json = Json::parse(text, nullptr, false);
  if (!decoded.json.is_object()) {
    return wire::fail(ErrorCode::kCorrupt, "the event does not print as an object");
  }
  if (const auto type = decoded.json.find("type"); type != decoded.json.end()) {
    if (type->is_string()) decoded.type = type->get<std::string>();
  }
  if (const auto revision = decoded.json.find("revision"); revision != decoded.json.end()) {
    if (revision->is_number_unsigned()) decoded.revision = revision->get<std::uint64_t>();
  }
  const auto known = wire::read_event(event);
  if (known) {
    decoded.stream = wire::event_stream(known->body);
  } else if (is_own_) {
    return tl::unexpected(known.error());
  }
  return decoded;
}

}  // namespace bib::inspect
