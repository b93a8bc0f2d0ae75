// The body of a frame between nodes: as it comes, and with its entries' checksums right.
#include "wire/peer/peer_message.h"

#include "checksums.h"
#include "wire/base/check.h"
#include "wire/peer/peer_hello.h"

using namespace bib::wire;

namespace {

void decode(const Bytes& body) {
  const auto received = decode_peer_message(body);
  if (!received) return;
  const PeerMessage& message = received->message;
  BIB_CHECK(message.entries.size() == message.payload.size());
  LogIndex index = message.log_index;
  Term term = message.log_term;
  for (std::size_t i = 0; i < message.entries.size(); ++i) {
    BIB_CHECK(message.entries[i].index == index + 1);
    BIB_CHECK(message.entries[i].term >= term && message.entries[i].term <= message.term);
    BIB_CHECK(message.entries[i].size == message.payload[i].size());
    index = message.entries[i].index;
    term = message.entries[i].term;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes body = Bytes::copy_of({data, size});
  decode(body);
  Bytes::Builder fixed(size);
  if (size > 0) std::copy_n(data, size, fixed.data());
  for (std::size_t at = 0; at + kEntryHeaderSize <= size; at += 8) {
    if (load_u32(fixed.data() + at) == kEntryMagic) fix_entry(fixed.data() + at, size - at);
  }
  decode(Bytes(std::move(fixed)));

  (void)decode_membership(body.view());
  (void)decode_peer_hello(body.view());
  (void)decode_peer_hello_reply(body.view());
  (void)decode_join_request(body.view());
  (void)decode_join_reply(body.view());
  return 0;
}
