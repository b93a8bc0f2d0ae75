# The report of endurance.sh, in Markdown, out of its samples: one line for each node and minute, fields
# separated by tabs, in the order of the constants below; "-" is not known. Exit status 1: the verdict
# is bad.
#
# -v mode=mixed|stopped -v minutes=N -v problems=TEXT what went wrong otherwise -v details=TEXT to show
# before the verdict; mixed: -v kills=N minutes from kill to kill; stopped: -v log_bound -v held_bound
# (before the removal) -v rss_bound in MiB.

BEGIN {
  MINUTE = 1; HAPPENED = 2; NODE = 3; AGE = 4; RSS = 5; FDS = 6; THREADS = 7; FILES = 8
  LOG = 9; STORE = 10; SNAPSHOTS = 11; ALL = 12; FIRST = 13; LAST = 14; ROWS = 15
  allowed = 1.25
}

{
  n++
  for (i = MINUTE; i <= ROWS; i++) at[n, i] = $i
  if ($NODE + 0 > nodes) nodes = $NODE + 0
  if ($HAPPENED ~ /^kill /) killed_after[$MINUTE - 1] = substr($HAPPENED, 6)
  if ($HAPPENED ~ /removal /) removed_in = $MINUTE
}

# 1 to 4; of the mixed run, 2 and 4 are compared.
function quarter(minute) { return int((4 * minute + minutes - 1) / minutes) }
function add(name, value) { if (value != "-") sample[name, count[name]++] = value + 0 }
function median(name,   n, i, j, x) {
  n = count[name]
  if (!n) return "-"
  for (i = 1; i < n; i++)
    for (j = i; j > 0 && sample[name, j - 1] > sample[name, j]; j--) {
      x = sample[name, j]; sample[name, j] = sample[name, j - 1]; sample[name, j - 1] = x
    }
  return n % 2 ? sample[name, (n - 1) / 2] : (sample[name, n / 2 - 1] + sample[name, n / 2]) / 2
}
function largest(name,   i, most) {
  if (!count[name]) return "-"
  most = sample[name, 0]
  for (i = 1; i < count[name]; i++) if (sample[name, i] > most) most = sample[name, i]
  return most
}
function ratio(a, b) { return a == "-" || b == "-" || b == 0 ? "-" : b / a }
function show(value, form) { return value == "-" ? "-" : sprintf(form, value) }
function bad(text) { verdict = verdict (verdict == "" ? "" : "; ") text }

# --- Mixed ---------------------------------------------------------------------------------------

function show_mixed_rows(   i) {
  print "| minute | before it | node | runs for s | RSS MB | descriptors | threads | files | log MB" \
        " | store MB | snapshots MB | all MB | log | rows |"
  print "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|"
  for (i = 1; i <= n; i++)
    printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s..%s | %s |\n", \
           at[i, MINUTE], at[i, HAPPENED], at[i, NODE], at[i, AGE], at[i, RSS], at[i, FDS], \
           at[i, THREADS], at[i, FILES], at[i, LOG], at[i, STORE], at[i, SNAPSHOTS], at[i, ALL], \
           at[i, FIRST], at[i, LAST], at[i, ROWS]
}

function collect(   i, key, minute, data) {
  for (i = 1; i <= n; i++) {
    minute = at[i, MINUTE]
    key = at[i, NODE] " " quarter(minute) " "
    data = at[i, ALL] - at[i, LOG]
    add(key "RSS MB", at[i, RSS])
    if (killed_after[minute] == at[i, NODE]) add(key "RSS MB before a kill", at[i, RSS])
    add(key "descriptors", at[i, FDS])
    add(key "threads", at[i, THREADS])
    add(key "files", at[i, FILES])
    add(key "log MB", at[i, LOG])
    add(key "store and snapshots MB", data)
    add(key "rows", at[i, ROWS])
    if (at[i, ROWS] + 0 > 0) add(key "their KB for each row", data * 1024 / at[i, ROWS])
  }
}

# The ratio of the medians of a column of a node, shown; it is judged where judged is 1.
function compare(node, name, form, judged,   before, after, grown) {
  before = median(node " 2 " name)
  after = median(node " 4 " name)
  grown = ratio(before, after)
  printf "| %s | %s | %s | %s | %s |\n", node, name, show(before, form), show(after, form), \
         show(grown, "%.2f")
  if (judged && grown != "-" && grown > allowed)
    bad(sprintf("node %d: %s grew %.2f times", node, name, grown))
  return grown
}

function judge_mixed(   node, log_grown, peaks, data, per_row) {
  collect()
  print "\n| node | medians | 2nd quarter | last quarter | ratio |\n|--:|---|--:|--:|--:|"
  for (node = 1; node <= nodes; node++) {
    compare(node, "RSS MB", "%.1f", 1)
    if (kills) compare(node, "RSS MB before a kill", "%.1f", 1)
    compare(node, "descriptors", "%.0f", 1)
    compare(node, "threads", "%.0f", 0)
    compare(node, "files", "%.0f", 1)
    log_grown = compare(node, "log MB", "%.1f", 0)
    data = compare(node, "store and snapshots MB", "%.1f", 0)
    compare(node, "rows", "%.0f", 0)
    per_row = compare(node, "their KB for each row", "%.2f", 0)
    peaks = ratio(largest(node " 2 log MB"), largest(node " 4 log MB"))
    if (log_grown != "-" && log_grown > allowed && peaks > allowed)
      bad(sprintf("node %d: the log grew %.2f times", node, log_grown))
    if (data != "-" && data > allowed && (per_row == "-" || per_row > allowed))
      bad(sprintf("node %d: store and snapshots grew %.2f times, and for each row, too", node, data))
  }
  printf "\nFlat is: no ratio of RSS, descriptors and files above %.2f; that of the log, or of its " \
         "largest sizes, not above it; that of store and snapshots not above it, or not for each " \
         "row.\n", allowed
}

# --- Stopped -------------------------------------------------------------------------------------

function show_stopped_rows(   i) {
  print "| minute | before it | node | RSS MB | descriptors | log MB | log |"
  print "|--:|---|--:|--:|--:|--:|---|"
  for (i = 1; i <= n; i++)
    printf "| %s | %s | %s | %s | %s | %s | %s..%s |\n", at[i, MINUTE], at[i, HAPPENED], at[i, NODE], \
           at[i, RSS], at[i, FDS], at[i, LOG], at[i, FIRST], at[i, LAST]
}

function collect_voters(   i, node, when) {
  for (i = 1; i <= n; i++) {
    node = at[i, NODE]
    if (node == 4) continue
    if (!(node in first)) first[node] = 1
    add(node " RSS", at[i, RSS])
    add(node " log", at[i, LOG])
    when = quarter(at[i, MINUTE]) == 4 ? " late" : " early"
    add(node when, at[i, LOG])
    add("voters" when, at[i, LOG])
    add(node when " descriptors", at[i, FDS])
    add(node when " files", at[i, FILES])
    if (removed_in && at[i, MINUTE] >= removed_in) add(node " after", at[i, LOG])
    if (at[i, FIRST] == "-") continue
    if (at[i, FIRST] + 0 > first[node]) cuts[node]++
    first[node] = at[i, FIRST] + 0
  }
}

function bounded(node, what, have, bound) {
  if (have == "-" || have + 0 > bound + 0)
    bad("node " node ": " what " " show(have, "%.1f") " MB, more than " sprintf("%.1f", bound))
}

# Files come and go with compactions: their largest numbers are compared.
function steady(node, what,   grown) {
  grown = ratio(largest(node " early " what), largest(node " late " what))
  if (grown == "-" || grown > allowed)
    bad("node " node ": the most " what " in the last quarter are " show(grown, "%.2f") " times those before")
}

# A log goes up and down by whole files, and which of the voters is seen at its largest is chance: what
# all of them had before is compared.
function judge_stopped(   node, early, late, after) {
  collect_voters()
  early = largest("voters early")
  print "\n| voter | largest log MB | in the last quarter | after the removal | minutes with a cut" \
        " | largest RSS MB |"
  print "|--:|--:|--:|--:|--:|--:|"
  for (node = 1; node <= 3; node++) {
    late = largest(node " late")
    after = largest(node " after")
    printf "| %d | %s | %s | %s | %d | %s |\n", node, show(largest(node " log"), "%.1f"), \
           show(late, "%.1f"), show(after, "%.1f"), cuts[node], show(largest(node " RSS"), "%.1f")
    bounded(node, "the log in the last quarter", late, early * allowed)
    bounded(node, "the log before the removal", largest(node " log"), held_bound)
    bounded(node, "the log after the removal", after, log_bound)
    bounded(node, "RSS", largest(node " RSS"), rss_bound)
    steady(node, "descriptors")
    steady(node, "files")
    if (cuts[node] < 2) bad("node " node ": the log was not cut twice")
  }
  printf "\nBounds: the log's largest size in the last quarter %.2f times that of any voter before; the log %d MB, " \
         "and %d after the removal; RSS %d MB; the log cut in two minutes or more; the most descriptors and " \
         "files in the last quarter %.2f times those before.\n", allowed, held_bound, log_bound, rss_bound, \
         allowed
}

END {
  if (mode == "mixed") show_mixed_rows()
  else show_stopped_rows()
  if (n && mode == "mixed") judge_mixed()
  if (n && mode == "stopped") judge_stopped()
  print details
  if (problems != "") bad(problems)
  if (!n) bad("no minute was measured")
  fine = mode == "mixed" ? "flat" : "bounded"
  printf "\nVerdict: %s.\n", verdict == "" ? fine : "NOT " fine ": " verdict
  exit verdict != ""
}
