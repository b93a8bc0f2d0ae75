#!/usr/bin/env bash
# Checks format, arrows and sizes, looks for some planted bugs, builds and tests. What CI runs.
#
# usage: tools/check.sh [STEP]
#
#   (none)     deps, format-check, arrows, sizes, some planted bugs (preset mutants), build (preset
#              dev) and test
#   full       the same, then asan and tsan
#   format     rewrites our files in the house's format
#   format-check  says which files are not in it
#   arrows     who includes whom
#   sizes      which files, functions and classes are too long
#   build      configures and builds preset dev
#   test       builds, and runs the tests of preset dev
#   asan, tsan, release   builds that preset and runs its tests
#   fuzz       builds the fuzz targets (preset fuzz, clang) and gives each of them some seconds
#   sim [N]    builds preset dev and runs N simulated clusters, seeds 1 to N (20000 when not given)
#   damage [N] builds preset dev and damages N data directories, seeds 1 to N (5000 when not given)
#   mutants    builds the simulator with planted bugs (preset mutants) and shows that each is caught
#   coverage   builds and tests with counters; the report goes to build/coverage/report.txt
#   history [SECONDS]   clusters of three and five real nodes under faults, with quick and with the
#              default timeouts, for so long each (300)
#   long       what is too long for CI: asan, tsan, fuzz, sim 20000, damage 5000, mutants, history
#   tidy [all | FILE...]   clang-tidy over the files changed since HEAD, all files, or those named
#
# Missing packages are installed first (tools/deps.sh). BIB_SEED replaces the seed of history.
# BIB_JOBS sets the number of parallel jobs, all cores when not set.
# Exit code: 0 all passed, 1 a step failed (the last thing printed says which), 2 wrong usage.
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=${BIB_JOBS:-$(nproc)}

usage() {
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' tools/check.sh
}

# Our sources of the given patterns, tracked or new, that exist.
our_files() {
  git ls-files --cached --others --exclude-standard -- "$@" | sort -u |
    while IFS= read -r file; do if [[ -f $file ]]; then printf '%s\n' "$file"; fi; done
}

# step NAME COMMAND...: a heading, the command, and how long it took. Ends the script if it fails.
# (Inside the command bash's -e is off: each of the functions below says by itself when it fails.)
step() {
  local name=$1 began=$SECONDS result=0
  shift
  echo "== $name"
  "$@" || result=1
  # The tests have printed their time, and their counts close the output.
  if [[ $name != test* ]]; then
    [[ $result -eq 0 ]] || echo -n "FAILED: "
    echo "$name: $((SECONDS - began)) s"
  fi
  [[ $result -eq 0 ]] || exit 1
}

deps() { tools/deps.sh "$@"; }

format() { our_files '*.cc' '*.h' | xargs -r -d '\n' clang-format-14 -i; }

format_check() {
  our_files '*.cc' '*.h' | xargs -r -d '\n' -P "$jobs" -n 16 clang-format-14 --dry-run -Werror || {
    echo "tools/check.sh format puts this right"
    return 1
  }
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  # The configure step is long and dull; its words matter when it fails.
  local log
  log=$(cmake --preset "$preset" 2>&1) || { printf '%s\n' "$log"; return 1; }
  cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
}

# run_tests PRESET [CTEST-OPTION...]
# ctest counts a skipped test as passed; the closing line does not.
run_tests() {
  local preset=$1 log=build/$1/tests.log result=0 counts failed total skipped
  shift
  ctest --preset "$preset" --parallel "$jobs" --no-label-summary "$@" |
    tee "$log" | grep -vE '^ +Start +[0-9]+: ' || result=1
  counts=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$log")
  read -r failed total <<<"${counts:-1 1}"
  skipped=$(grep -cE '\*\*\*Skipped +[0-9.]+ sec$' "$log" || true)
  echo "$preset: $((total - failed - skipped)) passed, $failed failed, $skipped skipped"
  return "$result"
}

build_and_test() {
  local preset=$1
  step "build $preset" build "$preset"
  step "test $preset" run_tests "$preset"
}

coverage_report() {
  gcovr --root . --object-directory build/coverage --exclude 'tests/' --exclude 'build/' \
    --output build/coverage/report.txt &&
    tail -n 3 build/coverage/report.txt
}

tidy() {
  local files
  case ${1-} in
    all) files=$(our_files '*.cc') ;;
    '') files=$({ git diff --name-only --diff-filter=d HEAD -- '*.cc' 2>/dev/null
                  git ls-files --others --exclude-standard -- '*.cc'; } | sort -u) ;;
    *) files=$(printf '%s\n' "$@") ;;
  esac
  if [[ -z $files ]]; then
    echo "no .cc file has changed since HEAD (tools/check.sh tidy all looks at all of them)"
    return 0
  fi
  xargs -d '\n' -P "$jobs" -n 1 clang-tidy-14 --quiet -p build/dev \
    --extra-arg=-Wno-unknown-warning-option <<<"$files"
}

# The seed is the day's, so that runs differ and can be repeated; one of the two is even, so that one
# run has small snapshots and one the whole log. History and logs stay.
history_runs() {
  local seconds=$1 nodes timeouts seed out
  for nodes in 3 5; do
    seed=$((${BIB_SEED:-$(date +%Y%m%d)} + nodes / 5))
    for timeouts in quick default; do
      out=build/dev/history-$nodes-$timeouts-$seed
      step "history of $nodes nodes, $timeouts timeouts, seed $seed: $out" \
        build/dev/bin/bib_nemesis --nodes "$nodes" --duration "$seconds" --seed "$seed" \
        --timeouts "$timeouts" --out "$out"
    done
  done
}

what=${1-all}
if [[ $# -gt 1 && $what != tidy && ! ($what =~ ^(history|sim|damage)$ && $# -eq 2) ]]; then
  usage >&2
  exit 2
fi
case $what in
  all | full)
    step deps deps
    step format format_check
    step arrows tools/arrows.sh
    step sizes tools/sizes.sh
    step "build mutants" build mutants
    step "test mutants" run_tests mutants --label-regex '^mutants$'
    build_and_test dev
    if [[ $what == full ]]; then
      build_and_test asan
      build_and_test tsan
    fi
    ;;
  format) step deps deps; step format format ;;
  format-check) step deps deps; step format format_check ;;
  arrows) step arrows tools/arrows.sh ;;
  sizes) step deps deps; step sizes tools/sizes.sh ;;
  build) step deps deps; step "build dev" build dev ;;
  test) step deps deps; build_and_test dev ;;
  asan | tsan | release) step deps deps; build_and_test "$what" ;;
  fuzz)
    step deps deps --fuzz
    step "build fuzz" build fuzz fuzzers
    step "test fuzz" run_tests fuzz --label-regex '^fuzz$'
    ;;
  sim)
    step deps deps
    step "build dev" build dev
    step "simulate" build/dev/bin/bib_sim --seeds "1..${2-20000}" --repeat-every 100
    ;;
  damage)
    step deps deps
    step "build dev" build dev
    step "damage" build/dev/bin/bib_damage --seeds "1..${2-5000}"
    ;;
  mutants)
    step deps deps
    step "build mutants" build mutants
    step "test mutants" run_tests mutants --tests-regex '^mutants: planted bugs that no seed finds '
    step "mutants" build/mutants/bin/bib_sim --mutants
    ;;
  coverage)
    step deps deps --coverage
    build_and_test coverage
    step report coverage_report
    ;;
  tidy)
    shift
    step deps deps --tidy
    step "configure dev" cmake --preset dev
    step "schemas" cmake --build --preset dev --target bib_schema
    step tidy tidy "$@"
    ;;
  history)
    [[ ${2-300} =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
    step deps deps
    step "build dev" build dev
    history_runs "${2-300}"
    ;;
  long)
    for part in asan tsan fuzz sim damage mutants history; do
      "$0" "$part"
    done
    ;;
  -h | --help | help) usage ;;
  *)
    echo "tools/check.sh: unknown step: $what" >&2
    usage >&2
    exit 2
    ;;
esac
