#!/usr/bin/env bash
# Checks that files, functions and classes stay short enough to be read in one sitting.
#
# usage: tools/sizes.sh
#
#   a file of code   at most 500 lines
#   a function       at most 70 lines; a test case is one
#   a class          at most 40 data members of its own
#
# What is better whole is named below, with the decision that says why and how far it may grow; an
# exception that is no longer needed is an error, too.
# Exit code: 0 nothing is too long, 1 something is (printed) or ctags is missing, 2 wrong usage.
set -euo pipefail

if [[ $# -ne 0 ]]; then
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/.."

# KIND NAME LIMIT DECISION; a file's name is its path, a function's and a class's PATH:NAME.
exceptions='
file projections/apply/projector.cc 560 0023
'

if ! [[ $(ctags --version 2>/dev/null) == "Universal Ctags"* ]]; then
  echo "tools/sizes.sh: universal-ctags is missing; tools/deps.sh installs it" >&2
  exit 1
fi

our_files() {
  git ls-files --cached --others --exclude-standard -- "$@" | sort -u |
    while IFS= read -r file; do if [[ -f $file ]]; then printf '%s\n' "$file"; fi; done
}

# Lines of "KIND PATH LINE NAME SIZE".
sizes() {
  our_files '*.cc' '*.h' '*.sh' '*.cmake' '*CMakeLists.txt' |
    xargs -r -d '\n' awk '{ lines[FILENAME]++ } END { for (f in lines) print "file", f, 1, "-", lines[f] }'
  # Catch's cases are functions, once ctags is told so.
  our_files '*.cc' '*.h' |
    ctags -L - -f - --languages=C++ --map-C++=+.h --kinds-C++=fm --fields=neKZs --sort=no \
      -D 'TEST_CASE(name)=void TEST_CASE()' |
    awk -F '\t' '
      {
        line = end = scope = ""
        for (i = 4; i <= NF; i++) {
          if ($i ~ /^line:/) line = substr($i, 6)
          if ($i ~ /^end:/) end = substr($i, 5)
          if ($i ~ /^scope:/) scope = substr($i, 7)
        }
      }
      $4 == "function" && end != "" { gsub(/ /, "", $1); print "function", $2, line, $1, end - line + 1 }
      $4 == "member" { class = $2 " " scope
        members[class]++; if (!(class in first)) first[class] = line }
      END { for (class in members) { split(class, at, " ")
        name = at[2]; sub(/.*:/, "", name); print "class", at[1], first[class], name, members[class] } }'
}

sizes | awk -v exceptions="$exceptions" '
  BEGIN {
    limit["file"] = 500; limit["function"] = 70; limit["class"] = 40
    unit["file"] = unit["function"] = "lines"; unit["class"] = "data members"
    count = split(exceptions, lines, "\n")
    for (i = 1; i <= count; i++) {
      if (split(lines[i], word, " ") != 4) continue
      allowed[word[1] " " word[2]] = word[3]
      decision[word[1] " " word[2]] = word[4]
    }
  }
  {
    seen[$1]++
    key = $1 " " $2 ($1 == "file" ? "" : ":" $4)
    most = key in allowed ? allowed[key] : limit[$1]
    if ($5 > limit[$1]) needed[key] = 1
    if ($5 <= most) next
    printf "%s:%d: %s has %d %s, allowed are %d%s\n", $2, $3, ($1 == "file" ? "the file" : $1 " " $4),
           $5, unit[$1], most, (key in allowed ? " (decision " decision[key] ")" : "")
    failures++
  }
  END {
    for (key in allowed) {
      if (key in needed) continue
      printf "tools/sizes.sh: the exception for %s is no longer needed\n", key
      failures++
    }
    # A tool that finds nothing has not looked.
    for (kind in limit) {
      if (kind in seen) continue
      printf "tools/sizes.sh: no %s was seen at all\n", kind
      failures++
    }
    exit failures > 0
  }'
