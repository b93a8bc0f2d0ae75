#!/usr/bin/env bash
# Checks who includes whom: the arrows of the house (docs/architecture.md).
#
# usage: tools/arrows.sh
#
# The build refuses most of these by itself; this says it in a second, by file and line, and sees
# what a compiler cannot: relative paths, generated headers, headers of the outside libraries.
# Exit code: 0 all arrows point down, 1 some do not (printed), 2 wrong usage.
set -euo pipefail

if [[ $# -ne 0 ]]; then
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/.."

git ls-files --cached --others --exclude-standard -- '*.cc' '*.h' | sort -u |
  while IFS= read -r file; do if [[ -f $file ]]; then printf '%s\n' "$file"; fi; done |
  xargs -r -d '\n' grep -HnE '^[[:space:]]*#[[:space:]]*include' |
  awk '
    function bad(why) {
      printf "%s:%s: %s: %s\n", file, line, header, why
      failures++
    }
    # The line is FILE:LINE:#include <HEADER> or "HEADER".
    {
      split($0, part, ":"); file = part[1]; line = part[2]
      header = $0; sub(/^[^:]*:[^:]*:[^<"]*[<"]/, "", header); sub(/[>"].*$/, "", header)
      quoted = $0 ~ /include[[:space:]]*"/
      room = file ~ /^(tools|tests)\/[^\/]*\// ? substr(file, 1, index(substr(file, 7), "/") + 5) : file
      if (room == file) sub(/\/.*/, "", room)
      house = room ~ /^(wire|consensus|projections|engine|cli|tools\/raft-inspect)$/
      name = file; sub(/.*\//, "", name)
      target = quoted ? header : ""; sub(/\/.*/, "", target)
    }

    quoted && header ~ /^\.|\/\.\.?\// { bad("relative path; say it from the root, \"folder/file.h\"") }
    header ~ /_generated\.h$/ && room != "wire" && room != "tests/wire" {
      bad("generated headers are wire'\''s; read through wire/") }

    room == "wire" && target ~ /^(consensus|projections|engine|cli)$/ {
      bad("wire is the ground floor and sees nobody") }
    room == "consensus" && target ~ /^(projections|engine|cli)$/ {
      bad("consensus sees wire only") }
    room == "projections" && target ~ /^(consensus|engine|cli)$/ {
      bad("projections see wire only") }
    room == "engine" && target == "cli" { bad("engine does not see its mains") }
    room == "tools/raft-inspect" && target ~ /^(engine|cli)$/ {
      bad("raft-inspect sees wire, consensus and projections only") }
    room == "cli" && target ~ /^(consensus|projections)$/ {
      bad("cli sees wire, and bibd engine") }
    room == "cli" && target == "engine" && name !~ /^(bibd_.*|config_file)\.(cc|h)$/ {
      bad("only bibd sees engine: cli/bibd_*.cc and cli/config_file") }

    house && header ~ /^yaml-cpp\// && file !~ /^cli\/config_file\.(cc|h)$/ {
      bad("only cli/config_file knows YAML") }
    # Projections may hold a mutex: the pool reads frozen layers that the node loop made.
    room ~ /^(wire|consensus|projections)$/ && header ~ /^(uv\.h|sys\/socket\.h|netinet\/.*|thread|condition_variable|future|poll\.h|sys\/epoll\.h)$/ {
      bad("threads, sockets and loops live in engine/") }
    room ~ /^(wire|consensus)$/ && header == "mutex" { bad("threads live in engine/") }
    room ~ /^(wire|consensus)$/ && header ~ /^(rocksdb\/.*|fstream|filesystem|random|fcntl\.h|sys\/stat\.h|unistd\.h|ctime|time\.h)$/ {
      bad("files, clocks and chance live in engine/") }
    room == "consensus" && header ~ /^(chrono|iostream|openssl\/.*|flatbuffers\/.*|nlohmann\/.*)$/ {
      bad("consensus is told, it never asks") }
    room == "projections" && header ~ /^(random|ctime|time\.h|openssl\/.*)$/ {
      bad("time, ids and chance are settled before the event is written") }
    room == "engine" && header ~ /^(CLI\/.*)$/ { bad("arguments are the mains'\''") }

    END { exit failures > 0 }
  '
