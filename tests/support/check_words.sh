#!/usr/bin/env bash
# Checks that what people read, the texts in the code, the names and texts of tests, the schemas and
# the documents, is free of phrases that are not plain English. Comments are looked at in schemas
# only.
#
# usage: check_words.sh ROOT
#
# Exit code: 0 none is there, 1 some are (printed), 2 wrong usage, or nothing to check in ROOT.
set -euo pipefail

if [[ $# -ne 1 || ! -d $1 ]]; then
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
cd "$1"

# A phrase, and what to say instead. "Behind" and "goes on" are right elsewhere (a follower is
# behind, an election goes on), so they are looked for only beside words that make them wrong.
phrases=(
  'for ever' 'always, or say until when'
  'anew' 'again, or re-: recomputed, rebuilt, restarted'
  '(that|which) is none' 'name what is wrong: invalid, unknown, not a member'
  'stands? twice' 'is given twice'
  'begins? behind' 'starts after'
  'bytes behind' 'trailing bytes after'
  'shall' 'say what it does, or to and the verb'
  'so already' 'nothing to change'
  'whoever' 'anyone who, or the one that is meant'
  'stands? only' 'is allowed only'
  'begins? so' 'has this prefix'
  'at most so many' 'at most this many'
  '(goes? on|continues?|ends?( exactly)?|reach(es)? back|(is|are) cut|padding|slashes) behind' 'after'
  'goes? on (after|at|from|over|when|where)' 'continues, resumes'
  'to go on' 'to continue'
  '(cannot|neither|nobody|nothing|(do|does|did|must|will) not|is no) [a-z ,{}]*any more' 'no longer'
  '(is|are|was|were) not( [a-z]+)? any more' 'is no longer'
  'believes? to (have|know|lead)' 'believes that it has, knows, leads'
  'not set, so that' 'so'
  'worth while' 'worthwhile'
  '(was|were|been) let go' 'released'
  'where(ver)? (an?|it|the)( [a-z]+)? stands?' 'where it is'
  'no verdict on' 'says nothing about'
)

code=() texts=()
for folder in cli engine wire consensus projections tools tests; do
  if [[ -d $folder ]]; then code+=("$folder"); fi
done
for text in README.md CHANGELOG.md docs; do
  if [[ -e $text ]]; then texts+=("$text"); fi
done
if [[ ${#code[@]} -eq 0 || ${#texts[@]} -eq 0 ]]; then
  echo "no code, or no documents, in $1" >&2
  exit 2
fi

found=0
for ((i = 0; i < ${#phrases[@]}; i += 2)); do
  phrase="\\b(${phrases[i]})\\b"
  lines=$(
    # A literal is what is between quotes on a line that is no comment.
    grep -HrniE --include='*.h' --include='*.cc' "^[^\"]*(\"[^\"]*\"[^\"]*)*\"[^\"]*$phrase" "${code[@]}" |
      grep -vE '^[^:]*:[0-9]+: *//' || true
    grep -HrniE --include='*.md' "$phrase" "${texts[@]}" || true
    grep -HrniE --include='*.fbs' "$phrase" "${code[@]}" || true
  )
  if [[ -n $lines ]]; then
    printf '%s\n  the lines above say "%s"; better: %s\n' "$lines" "${phrases[i]}" "${phrases[i + 1]}"
    found=1
  fi
done
exit "$found"
