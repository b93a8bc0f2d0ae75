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
    BEGIN {
      # Which rooms a room may include, of its own folder and of wire: what bib_room() of the
      # folder says, and what is seen through that.
      split("wire projections engine cli", folders, " ")
      for (f in folders) {
        while ((getline text < (folders[f] "/CMakeLists.txt")) > 0) {
          if (text !~ /^bib_room\(/) continue
          gsub(/^bib_room\(|\)$/, "", text)
          count = split(text, word, " ")
          inside = word[1] "/" word[2]
          sees[inside] = ""
          for (w = 4; w <= count; ++w) {
            if (word[w] ~ /^bib_wire_/) {
              short = substr(word[w], 10)
              sees_wire[inside] = sees_wire[inside] " " short " " sees["wire/" short]
            } else if (word[w] !~ /^bib_/) {
              sees[inside] = sees[inside] " " word[w] " " sees[word[1] "/" word[w]]
              if (word[1] == "projections") {
                sees_wire[inside] = sees_wire[inside] " " sees_wire[word[1] "/" word[w]]
              }
            }
          }
        }
      }
      # What is not built with bib_room().
      sees_wire["consensus"] = "base peer log"
      sees["cli/bibd"] = "config client print"
      if (!("engine/bibd" in sees) || !("wire/peer" in sees)) {
        print "no rooms are declared in the folders" > "/dev/stderr"
        exit 1
      }
    }
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
      # "engine/node/node.cc" stands in the room engine/node, "engine/uv/mailbox.h" leads to engine/uv.
      inner = file; sub(/\/[^\/]*$/, "", inner)
      leads_to = quoted ? header : ""; sub(/\/[^\/]*$/, "", leads_to)
      short = leads_to; sub(/^[^\/]*\//, "", short)
    }

    inner in sees && leads_to != inner && target == room &&
      (" " sees[inner] " ") !~ (" " short " ") {
      bad(inner " sees of " room " only: " (sees[inner] == "" ? "itself" : sees[inner])) }
    target == "wire" && ((inner in sees_wire) || (room in sees_wire)) &&
      (" " sees_wire[inner in sees_wire ? inner : room] " ") !~ (" " short " ") {
      bad("it sees of wire only: " sees_wire[inner in sees_wire ? inner : room]) }

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
    room == "cli" && target == "engine" && inner != "cli/bibd" && name != "bibd_main.cc" {
      bad("only bibd sees engine: cli/bibd/ and cli/bibd_main.cc") }

    house && header ~ /^yaml-cpp\// && file !~ /^cli\/config\/config_file\.(cc|h)$/ {
      bad("only cli/config/config_file knows YAML") }
    # Projections may hold a mutex: the pool reads frozen layers that the node loop made. The store
    # thread may wait for the threads of RocksDB.
    room ~ /^(wire|consensus|projections)$/ && header ~ /^(uv\.h|sys\/socket\.h|netinet\/.*|thread|condition_variable|future|poll\.h|sys\/epoll\.h)$/ {
      if (header != "condition_variable" || file !~ /^projections\/state\/rocks_events\.h$/) {
        bad("threads, sockets and loops live in engine/") } }
    room ~ /^(wire|consensus)$/ && header == "mutex" { bad("threads live in engine/") }
    room ~ /^(wire|consensus)$/ && header ~ /^(rocksdb\/.*|fstream|filesystem|random|fcntl\.h|sys\/stat\.h|unistd\.h|ctime|time\.h)$/ {
      bad("files, clocks and chance live in engine/") }
    room == "consensus" && header ~ /^(chrono|iostream|openssl\/.*|flatbuffers\/.*|nlohmann\/.*)$/ {
      bad("consensus is told, it never asks") }
    room == "projections" && header ~ /^(random|ctime|time\.h|openssl\/.*)$/ {
      bad("time, ids and chance are settled before the event is written") }
    inner ~ /^engine\/(ports|storage|node)$/ && header ~ /^(uv\.h|thread|sys\/socket\.h)$/ {
      bad("loops, sockets and threads live in engine/uv") }
    room == "engine" && header ~ /^(CLI\/.*)$/ { bad("arguments are the mains'\''") }

    END { exit failures > 0 }
  '
