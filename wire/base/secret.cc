#include "wire/base/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace bib::wire {
namespace {

constexpr std::size_t kBase64SizeMax = 1U << 30;

}  // namespace

std::string base64_encode(ByteView bytes) {
  BIB_CHECK(bytes.size() <= kBase64SizeMax / 2);
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL writes a zero after it
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<std::vector<std::uint8_t>> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > kBase64SizeMax) {
    return fail(ErrorCode::kInvalid,
                "not base64: {} characters, which is not a multiple of 4; some may be missing",
                text.size());
  }
  std::vector<std::uint8_t> bytes(text.size() / 4 * 3);
  const int size =
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  // OpenSSL counts the padding as bytes, and forgives much that we do not.
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  if (size >= 0 && static_cast<std::size_t>(size) == bytes.size()) {
    bytes.resize(bytes.size() - padding);
    if (base64_encode(bytes) == text) return bytes;
  }
  return fail(ErrorCode::kInvalid,
              "not base64: it holds characters that do not belong there, or was cut");
}

std::array<std::uint8_t, 32> sha256(ByteView bytes) {
  std::array<std::uint8_t, 32> digest{};
  unsigned size = 0;
  const int done =
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  BIB_CHECK(done == 1 && size == digest.size());
  return digest;
}

bool constant_time_equal(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace bib::wire
