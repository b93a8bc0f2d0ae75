#include "wire/client/client_envelope.h"

namespace bib::wire {

tl::unexpected<Error> wrong_message(fb::client::Message got, fb::client::Message expected) {
  const char* name = fb::client::EnumNameMessage(got);
  if (*name == '\0' || got == fb::client::Message::NONE) {
    return fail(ErrorCode::kInvalid, "message number {} where a {} was announced",
                static_cast<int>(got), fb::client::EnumNameMessage(expected));
  }
  return fail(ErrorCode::kInvalid, "a {} message where a {} was announced", name,
              fb::client::EnumNameMessage(expected));
}

}  // namespace bib::wire
