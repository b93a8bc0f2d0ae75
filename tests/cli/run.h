// Session: one run of `bib` with its streams in memory.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cli/commands/bib_command.h"

namespace bib::test {

class Session {
 public:
  explicit Session(std::vector<std::string> arguments, std::string input = {},
                   std::map<std::string, std::string> environment = {{"HOME", "/nonexistent"}})
      : arguments_(std::move(arguments)),
        in_(std::move(input)),
        context_{in_, out_, err_, cli::Environment(std::move(environment))} {}

  cli::Context& context() { return context_; }
  int run() { return cli::run_bib(arguments_, context_); }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

 private:
  std::vector<std::string> arguments_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
  cli::Context context_;
};

}  // namespace bib::test
