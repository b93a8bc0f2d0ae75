// Document: a text of docs/ in parts, for tests that compare it with what the programs say.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bib::support {

// The file of the source tree, as its lines. Throws when it cannot be read.
std::vector<std::string> document_lines(std::string_view file);

// The rows of the tables below the heading ("## Counters"), up to the next heading of its rank or a
// higher one, without their heads; all of the document's where it is empty.
std::vector<std::string> table_rows(const std::vector<std::string>& lines,
                                    std::string_view heading = {});

// What stands in backticks at the beginning of these rows.
std::vector<std::string> names_of(const std::vector<std::string>& rows);

// What is in backticks in the text, and the lines of its blocks of code, where a line that ends
// with a backslash continues in the next.
std::vector<std::string> code_of(const std::vector<std::string>& lines);

}  // namespace bib::support
