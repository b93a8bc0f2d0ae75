// What a person pastes as a join token.
#include "wire/peer/join_token.h"

#include "wire/base/bytes.h"
#include "wire/base/check.h"

using namespace bib::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto token = decode_join_token(as_text(ByteView(data, size)));
  if (!token) return 0;
  const auto again = decode_join_token(encode_join_token(*token));
  BIB_CHECK(again && *again == *token);
  return 0;
}
