// A package index of two stanzas, as the importers meet it.
#pragma once

#include <string>

namespace bib::test {

inline const std::string kHash(64, 'A');

inline const std::string kPackages =
    "Package: one\n"
    "Version: 1.0-1\n"
    "Maintainer: A Person <a@example.org>, and more\n"
    "Description: short text\n"
    " A longer text\n"
    " .\n"
    " of several lines.\n"
    "Homepage: https://example.org/\n"
    "Tag: role::program, use::gameplaying,\n"
    " x11::application\n"
    "Section: games\n"
    "Filename: pool/o/one.deb\n"
    "Size: 12345\n"
    "SHA256: " +
    kHash +
    "\n"
    "\n"
    "\n"
    "# a comment\n"
    "package: two\r\n"
    "VERSION: 2\r\n";

}  // namespace bib::test
