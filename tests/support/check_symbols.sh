#!/usr/bin/env bash
# Tests what a library or program contains, by its symbols.
#
# usage: check_symbols.sh pure <archive>             uses no thread, clock, file, socket, chance
#        check_symbols.sh without <room,...> <program>   contains none of bib's folders named,
#                                                     and does not load RocksDB if that is named
# Exit code: 0 holds, 1 does not (the symbols are printed), 2 wrong usage.
set -euo pipefail

pure() {
  local archive=$1 libc='' libcxx symbols
  libc+='pthread_.*|thrd_.*|uv_.*|fork|exec.*|getenv|secure_getenv'
  libc+='|time|gettimeofday|clock|clock_gettime|localtime(_r)?|nanosleep|usleep|sleep'
  libc+='|poll|ppoll|select|epoll_.*|eventfd|timerfd_.*|signal|sigaction'
  libc+='|open(64)?|openat(64)?|creat|read|write|pread(64)?|pwrite(64)?|fsync|fdatasync|mmap(64)?'
  libc+='|fopen(64)?|fread|unlink|rename|stat(64)?|opendir'
  libc+='|socket|connect|bind|listen|accept4?|send(to|msg)?|recv(from|msg)?'
  libc+='|rand|srand|random|getrandom|getentropy|RAND_.*|BIO_new_file|BIO_new_socket'
  libcxx='std::(thread|this_thread|mutex|condition_variable|random_device|filesystem)\b'
  libcxx+='|std::__?(cxx11::)?condition_variable|std::basic_[a-z]*fstream|std::basic_filebuf'
  libcxx+='|std::chrono::(_V2::)?[a-z_]*clock::now|rocksdb::|YAML::'
  # Undefined symbols, their versions cut off.
  symbols=$(nm --undefined-only --demangle --format=posix "$archive" 2>/dev/null |
    sed -n 's/ U *$//p' | sed 's/@.*//' | sort -u)
  if grep -E "^($libc)$|($libcxx)" <<<"$symbols"; then
    echo "$(basename "$archive") uses the symbols above; what needs them belongs in engine/"
    return 1
  fi
}

without() {
  local rooms=$1 program=$2 room found=0
  for room in ${rooms//,/ }; do
    if [[ $room == rocksdb ]]; then
      ! readelf -d "$program" | grep NEEDED | grep rocksdb || found=1
    fi
    if nm --demangle --defined-only "$program" | grep -E "\bbib::$room::" | head -n 20 | grep .; then
      found=1
    fi
  done
  if [[ $found -ne 0 ]]; then
    echo "$(basename "$program") contains what is printed above, and must not"
    return 1
  fi
}

case ${1-} in
  pure) [[ $# -eq 2 ]] && pure "$2" && exit 0 ;;
  without) [[ $# -eq 3 ]] && without "$2" "$3" && exit 0 ;;
  *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
exit 1
