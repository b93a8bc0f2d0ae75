#!/usr/bin/env bash
# Checks that what the documents point to is there: the targets of links, the files that are named
# in backticks (`engine/node/node.h`), and the tests that are (`cluster: two nodes never ...`, to
# its end or up to the dots).
#
# usage: check_links.sh ROOT
#
# Only relative links are looked at, without what follows a '#'. A test is there if a literal of its
# folder's tests begins with its words. Exit code: 0 all is there, 1 something is not (printed by
# file and line), 2 wrong usage, or no document in ROOT.
set -euo pipefail

if [[ $# -ne 1 || ! -d $1 ]]; then
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
cd "$1"

documents=$(find . \( -path ./build -o -name '.?*' \) -prune -o -name '*.md' -print |
  sed 's|^\./||' | sort)
if [[ -z $documents ]]; then
  echo "no document in $1" >&2
  exit 2
fi

# all_of PATTERN: FILE:LINE:MATCH of every match in the documents.
all_of() { xargs -d '\n' grep -HnoE "$1" <<<"$documents" || true; }

# The literals of a folder's tests on one line; those that a formatter has split are whole again.
declare -A literals
literals_of() {
  if [[ -z ${literals[$1]+known} ]]; then
    literals[$1]=$(find "tests/$1" -name '*.cc' -o -name CMakeLists.txt 2>/dev/null |
      xargs -r -d '\n' cat | tr '\n' ' ' | sed -E 's/" +"//g')
  fi
}

found=0
while IFS=: read -r document line link; do
  target=${link#\](}
  target=${target%)}
  target=${target%%#*}
  if [[ -z $target || $target =~ ^[a-z]+: ]]; then continue; fi
  if [[ ! -e $(dirname "$document")/$target ]]; then
    echo "$document:$line: the link leads nowhere: $target"
    found=1
  fi
done < <(all_of '\]\([^) ]+\)')

folders='engine|wire|consensus|projections|cli|tools|tests|cmake'
while IFS=: read -r document line file; do
  file=${file//\`/}
  if [[ ! -e $file ]]; then
    echo "$document:$line: there is no file $file"
    found=1
  fi
done < <(all_of "\`($folders)/[A-Za-z0-9_./-]+\\.(h|cc|sh|txt|fbs)\`")

folders='wire|consensus|projections|engine|cli|raft-inspect|history|sim|cluster'
while IFS=: read -r document line folder sentence; do
  folder=${folder#\`}
  sentence=${sentence# }
  sentence=${sentence%\`}
  # In CMakeLists.txt a test's name has the folder in it.
  start=${sentence%...}
  start=${start% }
  [[ $sentence == *... ]] || start+=\"
  literals_of "$folder"
  if [[ ${literals[$folder]} != *\""$start"* && ${literals[$folder]} != *\""$folder: $start"* ]]; then
    echo "$document:$line: there is no test '$folder: $sentence'"
    found=1
  fi
done < <(all_of "\`($folders): [^\`]+\`")
exit "$found"
