# The report of versus_etcd.sh out of its raw results: one line of flat JSON for each run.
#
# -v levels=1,64 in flight, in the order of the table; -v systems=etcd,bib,base what ran. With etcd: a
# table of medians, and the targets. With base, another build of bib: the ratios of the pairs that ran in
# the same round at the same level, and a verdict.

function number(key) {
  if (!match($0, "\"" key "\": *[-+.0-9eE]+")) return 0
  value = substr($0, RSTART, RLENGTH)
  sub(/^.*: */, "", value)
  return value + 0
}
function text(key) {
  if (!match($0, "\"" key "\": *\"[^\"]*\"")) return ""
  value = substr($0, RSTART, RLENGTH)
  sub(/"$/, "", value)
  sub(/^.*"/, "", value)
  return value
}
function add(name, value) { sample[name, count[name]++] = value }
function median(name,   n, i, j, held) {
  n = count[name]
  if (n == 0) return -1
  for (i = 1; i < n; i++)
    for (j = i; j > 0 && sample[name, j - 1] > sample[name, j]; j--) {
      held = sample[name, j]
      sample[name, j] = sample[name, j - 1]
      sample[name, j - 1] = held
    }
  if (n % 2) return sample[name, (n - 1) / 2]
  return (sample[name, n / 2 - 1] + sample[name, n / 2]) / 2
}
# Once median() has sorted them.
function smallest(name) { return count[name] ? sample[name, 0] : -1 }
function largest(name) { return count[name] ? sample[name, count[name] - 1] : -1 }
function show(value, form) { return value < 0 ? "-" : sprintf(form, value) }
function ratio(a, b) { return a < 0 || b <= 0 ? -1 : a / b }

# --- bib and etcd --------------------------------------------------------------------------------

function target(label, have, met, form) {
  if (have < 0) verdict = "not measured"
  else verdict = (met ? "met" : "not met") sprintf(" (" form ")", have)
  printf "  %-58s %s\n", label, verdict
}
function compare_with_etcd(   i, b, e, floor) {
  printf "%9s | %10s %10s %7s | %9s %9s | %9s %9s %7s\n", "", "events/s", "", "", \
         "p50 ms", "", "p99 ms", "", ""
  printf "%9s | %10s %10s %7s | %9s %9s | %9s %9s %7s\n", "in flight", "bib", "etcd", "ratio", \
         "bib", "etcd", "bib", "etcd", "ratio"
  for (i = 1; i <= n; i++) {
    b = "bib " level[i] " "
    e = "etcd " level[i] " "
    speed[level[i]] = ratio(median(b "rate"), median(e "rate"))
    tail[level[i]] = ratio(median(b "p99"), median(e "p99"))
    printf "%9d | %10s %10s %7s | %9s %9s | %9s %9s %7s\n", level[i], \
           show(median(b "rate"), "%.0f"), show(median(e "rate"), "%.0f"), \
           show(speed[level[i]], "%.2f"), \
           show(median(b "p50"), "%.2f"), show(median(e "p50"), "%.2f"), \
           show(median(b "p99"), "%.2f"), show(median(e "p99"), "%.2f"), \
           show(tail[level[i]], "%.2f")
  }
  print "\nTargets"
  for (i = 1; i <= n; i++) {
    floor = level[i] == 1 ? 2 : (level[i] == 64 || level[i] == 256 || level[i] == 1000) ? 5 : 0
    if (floor)
      target(sprintf("events/s at %d in flight at least %d times those of etcd", level[i], \
                     floor), speed[level[i]], speed[level[i]] >= floor, "%.2f times")
  }
  if (256 in tail)
    target("p99 at 256 in flight at most a third of that of etcd", tail[256], \
           tail[256] * 3 <= 1, "%.2f of it")
}

# --- Two builds of bib ---------------------------------------------------------------------------

function pair_up(at, what,   round, new, old) {
  for (round = 1; round <= rounds; round++) {
    new = run["bib", round, at, what]
    old = run["base", round, at, what]
    if (new > 0 && old > 0) add("pair " at " " what, new / old)
  }
  return median("pair " at " " what)
}
function listed(list, at) { return list (list == "" ? "" : ", ") at }
function compare_builds(   i, at, rate, p99, slower, later, said) {
  print "New (this build) against old (--against): ratios of the pairs that ran in one round."
  printf "%9s | %10s %10s | %23s | %9s %9s | %23s\n", "", "events/s", "", "ratio, new / old", \
         "p99 ms", "", "ratio, new / old"
  printf "%9s | %10s %10s | %7s %7s %7s | %9s %9s | %7s %7s %7s\n", "in flight", "new", "old", \
         "median", "min", "max", "new", "old", "median", "min", "max"
  for (i = 1; i <= n; i++) {
    at = level[i]
    rate = pair_up(at, "rate")
    p99 = pair_up(at, "p99")
    printf "%9d | %10s %10s | %7s %7s %7s | %9s %9s | %7s %7s %7s\n", at, \
           show(median("bib " at " rate"), "%.0f"), show(median("base " at " rate"), "%.0f"), \
           show(rate, "%.2f"), show(smallest("pair " at " rate"), "%.2f"), \
           show(largest("pair " at " rate"), "%.2f"), \
           show(median("bib " at " p99"), "%.2f"), show(median("base " at " p99"), "%.2f"), \
           show(p99, "%.2f"), show(smallest("pair " at " p99"), "%.2f"), \
           show(largest("pair " at " p99"), "%.2f")
    if (largest("pair " at " rate") < 1) slower = listed(slower, at)
    if (smallest("pair " at " p99") > 1) later = listed(later, at)
  }
  if (slower == "" && later == "")
    said = "not slower: at no level did every pair favour the old build"
  if (slower != "") said = "SLOWER in every pair at " slower " in flight"
  if (later != "") said = (said == "" ? "" : said "; ") "HIGHER p99 in every pair at " later " in flight"
  printf "\nNew against old, %d pair%s at each level: %s.%s\n", rounds, rounds == 1 ? "" : "s", said, \
         rounds < 7 ? " So few pairs agree by chance: take 7 rounds or more to believe it." : ""
}

{
  system_ran = text("ran")
  at = system_ran " " number("level") " "
  add(at "rate", number("ops_per_second"))
  add(at "p50", number("p50_ms"))
  add(at "p99", number("p99_ms"))
  run[system_ran, number("round"), number("level"), "rate"] = number("ops_per_second")
  run[system_ran, number("round"), number("level"), "p99"] = number("p99_ms")
  errors[system_ran] += number("errors")
  if (number("round") > rounds) rounds = number("round")
}
END {
  n = split(levels, level, ",")
  if (systems !~ /base/ || systems ~ /etcd/) compare_with_etcd()
  if (systems ~ /base/ && systems ~ /etcd/) print ""
  if (systems ~ /base/) compare_builds()
  names = split(systems, name, ",")
  for (i = 1; i <= names; i++)
    if (errors[name[i]] > 0) printf "\nErrors during measurement: %s %d\n", name[i], errors[name[i]]
}
