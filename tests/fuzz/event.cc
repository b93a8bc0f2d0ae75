// One event: read, and printed by this build's schema; and the same bytes as a schema, by which
// an event is printed, because a segment brings its own.
#include "wire/model/event.h"

#include "wire/base/check.h"
#include "wire/model/row.h"

using namespace bib::wire;

namespace {

// Some event to print by a schema that is not ours.
std::vector<std::uint8_t> sample_event() {
  EventEncoder encoder;
  const ByteView bytes =
      encoder.encode({.revision = Revision(1), .body = ConfigSet{.key = "key", .value = "value"}});
  return {bytes.begin(), bytes.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto printer = EventPrinter::from_schema(event_schema());
  static const Bytes sample = Bytes::copy_of(sample_event());
  BIB_CHECK(printer.has_value());
  const Bytes bytes = Bytes::copy_of({data, size});
  // The printer refuses a little more than FlatBuffers' verifier does: a text that refers to
  // itself.
  (void)read_event(bytes.view());
  (void)printer->to_json(bytes.view());
  (void)read_row(bytes.view());
  if (const auto other = EventPrinter::from_schema(bytes.view())) {
    (void)other->to_json(sample.view());
  }
  return 0;
}
