// The body of a frame between client and node, as each of its kinds: what is taken is said again in
// the same words.
#include "wire/client/client_message.h"

#include "wire/base/check.h"

using namespace bib::wire;

namespace {

template <typename Message>
void decode(ByteView body, Result<Message> (*decoder)(ByteView)) {
  const auto message = decoder(body);
  if (!message) return;
  ClientEncoder encoder;
  const ByteView again = encoder.encode(*message);
  // As a frame brings it: aligned, and in memory of its own size.
  const Bytes copy = Bytes::copy_of(again);
  BIB_CHECK(decoder(copy.view()).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes body = Bytes::copy_of({data, size});
  decode(body.view(), decode_client_hello);
  decode(body.view(), decode_server_hello);
  decode(body.view(), decode_command);
  decode(body.view(), decode_command_reply);
  decode(body.view(), decode_error_reply);
  decode(body.view(), decode_query);
  decode(body.view(), decode_query_reply);
  decode(body.view(), decode_read_events);
  decode(body.view(), decode_events_reply);
  decode(body.view(), decode_status_reply);
  return 0;
}
