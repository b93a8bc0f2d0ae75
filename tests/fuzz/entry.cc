// One entry: as it comes, and with a checksum that fits.
#include "wire/log/entry.h"

#include "checksums.h"
#include "wire/base/check.h"

using namespace bib::wire;

namespace {

void open(const Bytes& bytes) {
  const auto reader = EntryReader::open(bytes);
  if (!reader) return;
  const ByteView body = reader->body();
  BIB_CHECK(reader->header().size <= bytes.size());
  BIB_CHECK(reader->header().body_size == body.size());
  for (std::size_t i = 0; i < reader->event_count(); ++i) {
    const ByteView event = reader->event(i);
    BIB_CHECK(event.data() >= body.data());
    BIB_CHECK(event.data() + event.size() <= body.data() + body.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  open(Bytes::copy_of({data, size}));
  Bytes::Builder fixed(size);
  if (size > 0) std::copy_n(data, size, fixed.data());
  fix_entry(fixed.data(), size);
  open(Bytes(std::move(fixed)));
  return 0;
}
