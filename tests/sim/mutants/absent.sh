#!/usr/bin/env bash
# Checks that no bugs are planted (wire/base/mutant.h) in the programs: their switch would be a symbol.
#
# usage: absent.sh PROGRAM...
#
# Exit code: 0 none, 1 one is there, or a program shows no symbols at all.
set -euo pipefail

for program in "$@"; do
  symbols=$(nm --demangle "$program")
  if ! grep -q 'bib::consensus::Raft::step' <<<"$symbols"; then
    echo "$program shows no symbols of ours"
    exit 1
  fi
  if grep 'mutant_in_effect' <<<"$symbols"; then
    echo "bugs are planted in $program"
    exit 1
  fi
done
