// Shared by wire's FlatBuffers encoders and decoders: text, lists and ids to and from views.
//
// For wire's own .cc files only; the generated accessors do not leave wire. Empty text and empty
// lists are not written, and absent ones read as empty. Readers take accessors that the FlatBuffers
// verifier has passed.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/text.h"

namespace bib::wire {

static_assert(std::endian::native == std::endian::little,
              "lists of ids are copied as they are in the buffer");

using Fbb = flatbuffers::FlatBufferBuilder;
using FbText = flatbuffers::Offset<flatbuffers::String>;
using FbTexts = flatbuffers::Offset<flatbuffers::Vector<FbText>>;
using FbBytes = flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>>;
using FbIds = flatbuffers::Offset<flatbuffers::Vector<std::uint64_t>>;

inline constexpr std::size_t kFlatBufferAlignment = 8;

// ---- writing

// Empties the builder. The finished buffer begins at a multiple of eight and has such a size.
inline void begin_buffer(Fbb& fbb) {
  fbb.Clear();
  fbb.TrackMinAlign(kFlatBufferAlignment);
}

inline ByteView buffer_of(const Fbb& fbb) {
  return {fbb.GetBufferPointer(), fbb.GetSize()};
}

// Written even when it is empty: for required fields, and where present and absent differ.
inline FbText put_present_text(Fbb& fbb, std::string_view text) {
  return fbb.CreateString(text.data(), text.size());
}
inline FbText put_text(Fbb& fbb, std::string_view text) {
  return text.empty() ? FbText() : put_present_text(fbb, text);
}
inline FbText put_optional_text(Fbb& fbb, const std::optional<std::string_view>& text) {
  return text ? put_present_text(fbb, *text) : FbText();
}

inline FbTexts put_present_texts(Fbb& fbb, const TextList& texts) {
  return fbb.CreateVectorOfStrings(texts.begin(), texts.end());
}
inline FbTexts put_texts(Fbb& fbb, const TextList& texts) {
  return texts.empty() ? FbTexts() : put_present_texts(fbb, texts);
}

inline FbBytes put_present_bytes(Fbb& fbb, ByteView bytes) {
  return fbb.CreateVector(bytes.data(), bytes.size());
}
// For bytes that are a FlatBuffer themselves: aligned so that they can be read in place.
inline FbBytes put_nested_buffer(Fbb& fbb, ByteView bytes) {
  if (bytes.empty()) return {};
  fbb.ForceVectorAlignment(bytes.size(), 1, kFlatBufferAlignment);
  return fbb.CreateVector(bytes.data(), bytes.size());
}

inline FbIds put_ids(Fbb& fbb, const std::vector<NodeId>& ids) {
  if (ids.empty()) return {};
  std::uint64_t* place = nullptr;
  const auto vector = fbb.CreateUninitializedVector<std::uint64_t>(ids.size(), &place);
  for (std::size_t i = 0; i < ids.size(); ++i) flatbuffers::WriteScalar(place + i, ids[i].value());
  return vector;
}

// Converts to a schema's `struct Id128`.
template <typename FbId, typename Tag>
FbId to_fb_id(const Id128<Tag>& id) {
  return std::bit_cast<FbId>(id.bytes);
}

// ---- reading

inline std::string_view text_of(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}
inline std::optional<std::string_view> optional_text_of(const flatbuffers::String* text) {
  if (text == nullptr) return std::nullopt;
  return text_of(text);
}

// At most `size_max` elements: a caller with a limit asks for one more than it allows.
inline TextList texts_of(const flatbuffers::Vector<FbText>* texts, std::size_t size_max) {
  TextList list;
  if (texts == nullptr) return list;
  const std::size_t size = std::min<std::size_t>(texts->size(), size_max);
  list.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    list.push_back(text_of(texts->Get(static_cast<flatbuffers::uoffset_t>(i))));
  }
  return list;
}

inline ByteView bytes_of(const flatbuffers::Vector<std::uint8_t>* bytes) {
  return bytes == nullptr ? ByteView() : ByteView(bytes->data(), bytes->size());
}

inline std::vector<NodeId> ids_of(const flatbuffers::Vector<std::uint64_t>* ids,
                                  std::size_t size_max) {
  std::vector<NodeId> list;
  if (ids == nullptr || ids->size() == 0) return list;
  static_assert(sizeof(NodeId) == sizeof(std::uint64_t));
  list.resize(std::min<std::size_t>(ids->size(), size_max));
  std::memcpy(static_cast<void*>(list.data()), ids->Data(), list.size() * sizeof(NodeId));
  return list;
}

// Converts from a schema's `struct Id128`; nullopt when it is absent.
template <typename Id, typename FbId>
Id id_of(const FbId* fb_id) {
  static_assert(sizeof(FbId) == sizeof(Id));
  Id id;
  if (fb_id != nullptr) std::memcpy(id.bytes.data(), fb_id, sizeof(FbId));
  return id;
}

}  // namespace bib::wire
