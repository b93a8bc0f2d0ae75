#!/usr/bin/env bash
# Checks that consensus plants bugs (wire/base/mutant.h) inside its named rules only.
#
# usage: check_rules.sh FOLDER
#
# Exit code: 0 FOLDER/rules.{h,cc} hold all that are planted in FOLDER, 1 others do too (printed) or
# no rule holds one, 2 wrong usage.
set -euo pipefail

if [[ $# -ne 1 || ! -d $1 ]]; then
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
cd "$1"
if grep -rnE 'BIB_MUTANT|mutant_in_effect|base/mutant\.h' . --include='*.h' --include='*.cc' |
  grep -vE '^\./rules\.(h|cc):'; then
  echo "bugs are planted in the lines above; the rule that they break belongs in rules.h"
  exit 1
fi
if ! grep -qE 'BIB_MUTANT\(k' rules.h rules.cc; then
  echo "no bug is planted in rules.h and rules.cc"
  exit 1
fi
