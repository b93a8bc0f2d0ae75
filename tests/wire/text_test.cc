#include "wire/base/text.h"

#include <catch2/catch.hpp>

#include <string>

namespace bib::wire {
namespace {

// After 0 to 8 plain characters, so that every way through the fast path is taken.
bool valid_everywhere(const std::string& text) {
  int valid = 0;
  for (std::size_t before = 0; before <= 8; ++before) {
    valid += is_valid_utf8(std::string(before, 'a') + text + "bcdefghij") ? 1 : 0;
    valid += is_valid_utf8(std::string(before, 'a') + text) ? 1 : 0;
  }
  REQUIRE((valid == 0 || valid == 18));
  return valid != 0;
}

TEST_CASE("well-formed UTF-8 is valid up to the borders of each length") {
  CHECK(is_valid_utf8(""));
  for (const char* text :
       {"a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    INFO(text);
    CHECK(valid_everywhere(text));
  }
  CHECK(valid_everywhere(std::string(1, '\0')));
}

TEST_CASE("overlong forms, surrogates, too large and broken sequences are not valid UTF-8") {
  for (const char* text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc2", "\xc2z",
        "\xe0\xa0", "\xe0\xa0z", "\xf0\x90\x80", "\xf0\x90\x80z", "\xf0\x90z\x80"}) {
    CHECK_FALSE(valid_everywhere(text));
  }
}

TEST_CASE("the first character of a text is read with its number, or there is none") {
  struct Case {
    const char* text;
    std::size_t size;
    std::uint32_t code;
  };
  for (const Case& expected :
       {Case{"a\xff", 1, 'a'}, Case{"\x7f", 1, 0x7f}, Case{"\xc2\x80z", 2, 0x80},
        Case{"\xdf\xbf", 2, 0x7ff}, Case{"\xe0\xa0\x80", 3, 0x800}, Case{"\xed\x9f\xbf", 3, 0xd7ff},
        Case{"\xee\x80\x80", 3, 0xe000}, Case{"\xef\xbf\xbf", 3, 0xffff},
        Case{"\xf0\x90\x80\x80", 4, 0x10000}, Case{"\xf4\x8f\xbf\xbf", 4, 0x10ffff}, Case{"", 0, 0},
        Case{"\x80", 0, 0}, Case{"\xc1\xbf", 0, 0}, Case{"\xe0\xa0", 0, 0},
        Case{"\xed\xa0\x80", 0, 0}, Case{"\xf4\x90\x80\x80", 0, 0}}) {
    INFO(expected.text);
    CHECK(first_character(expected.text).size == expected.size);
    CHECK(first_character(expected.text).code == expected.code);
  }
}

TEST_CASE("control characters of one byte and of two are found, and their neighbours are not") {
  for (const std::string& text :
       {std::string(1, '\0'), std::string("\x1f"), std::string("a\nb"), std::string("\x7f"),
        std::string("a\xc2\x80"), std::string("\xc2\x9f")}) {
    CHECK(has_control_characters(text));
  }
  for (const char* text : {"", " ", "~", "\xc2\xa0", "\xc3\x80", "ünï"}) {
    CHECK_FALSE(has_control_characters(text));
  }
}

TEST_CASE("text from outside is printable on one line, whatever is in it") {
  CHECK(printable("a\x1b[2Jb\n\x7f") == "a\\x1b[2Jb\\x0a\\x7f");
  CHECK(printable("\xc2\x9b"
                  "x") == "\\xc2\\x9bx");  // CSI as one character
  CHECK(printable("bad \xff utf8 \xe2\x82") == "bad \\xff utf8 \\xe2\\x82");
  CHECK(printable("naïve ✓ 数") == "naïve ✓ 数");
}

}  // namespace
}  // namespace bib::wire
