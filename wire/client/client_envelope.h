// Opening a client message's envelope: verified, and of the type that its frame announces.
//
// For wire's decoders only; include after schema/client_generated.h.
#pragma once

#include "schema/client_generated.h"
#include "wire/base/bytes.h"
#include "wire/base/frame.h"
#include "wire/base/result.h"

namespace bib::wire {

// Envelope, message, command or list element, and a little for newer builds.
inline constexpr flatbuffers::uoffset_t kClientDepthMax = 16;

// The error for an envelope with another message than its frame's kind announces.
tl::unexpected<Error> wrong_message(fb::client::Message got, fb::client::Message expected);

// The message of type Table in `bytes`, which are verified first. kInvalid otherwise.
template <typename Table>
Result<const Table*> open_envelope(ByteView bytes, flatbuffers::uoffset_t tables_max) {
  constexpr fb::client::Message expected = fb::client::MessageTraits<Table>::enum_value;
  if (bytes.size() > kClientFrameBodyMax) {
    return fail(ErrorCode::kInvalid, "a message of {} bytes is larger than the {} allowed",
                bytes.size(), kClientFrameBodyMax);
  }
  flatbuffers::Verifier::Options options;
  options.max_depth = kClientDepthMax;
  options.max_tables = tables_max;
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), options);
  if (!fb::client::VerifyEnvelopeBuffer(verifier)) {
    return fail(ErrorCode::kInvalid, "{} bytes are not a {} message of the schema client.fbs",
                bytes.size(), fb::client::EnumNameMessage(expected));
  }
  const fb::client::Envelope* envelope = fb::client::GetEnvelope(bytes.data());
  const Table* message = envelope->message_as<Table>();
  if (message == nullptr) return wrong_message(envelope->message_type(), expected);
  return message;
}

}  // namespace bib::wire
