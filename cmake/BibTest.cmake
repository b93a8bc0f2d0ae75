# How a folder below tests/ becomes test programs.

# Under a sanitizer everything takes a multiple of the time.
set(BIB_TEST_TIME_FACTOR 1)
if(BIB_SANITIZE)
  set(BIB_TEST_TIME_FACTOR 5)
endif()

# Data handed to the project from outside lives beside the checkout or where this variable says;
# tests that need it skip without it.
set(BIB_SHARED_DIR "$ENV{BIB_SHARED_DIR}" CACHE PATH "Data from outside that some tests read")
set(bib_test_environment
    "UBSAN_OPTIONS=print_stacktrace=1"
    "ASAN_OPTIONS=handle_abort=1"
    # RocksDB and libuv are not instrumented: their locks count, their memory accesses do not.
    "TSAN_OPTIONS=halt_on_error=1:handle_abort=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1")
if(BIB_SHARED_DIR)
  list(APPEND bib_test_environment "BIB_SHARED_DIR=${BIB_SHARED_DIR}")
elseif(EXISTS ${CMAKE_SOURCE_DIR}/../shared)
  cmake_path(SET shared NORMALIZE ${CMAKE_SOURCE_DIR}/../shared)
  list(APPEND bib_test_environment "BIB_SHARED_DIR=${shared}")
endif()

# bib_test(NAME <name> [LIBS <target>...] [TIMEOUT <seconds>] [SERIAL] [WHOLE] [DEPENDS <target>...])
#
# Makes <name>_tests of all *.cc in the calling folder, with Catch2's main and support/test_support.h,
# and registers every TEST_CASE with ctest as "<name>: <sentence>", so that cases run in parallel
# and a failure is listed by its sentence. Hidden cases ([.]) are not registered.
#
#   TIMEOUT   seconds for one case, 60 when not given; times five under a sanitizer
#   SERIAL    no other test runs beside these (they measure time, or fill both cores)
#   WHOLE     one ctest entry for the whole program (very many tiny cases)
#   DEPENDS   programs that the tests start; their paths come in the environment as BIB_<TARGET>,
#             upper case, '-' as '_' (BIB_BIBD, BIB_RAFT_INSPECT)
function(bib_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL;WHOLE" "NAME;TIMEOUT" "LIBS;DEPENDS")
  if(NOT arg_NAME OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "bib_test: NAME is missing, or unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * ${BIB_TEST_TIME_FACTOR}")

  set(target ${arg_NAME}_tests)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(NOT sources)
    message(STATUS "${target}: no sources yet")
    return()
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE bib_flags bib_catch_main bib_test_support ${arg_LIBS})

  set(environment ${bib_test_environment})
  foreach(program ${arg_DEPENDS})
    add_dependencies(${target} ${program})
    string(TOUPPER "BIB_${program}" variable)
    string(REPLACE "-" "_" variable ${variable})
    list(APPEND environment "${variable}=$<TARGET_FILE:${program}>")
  endforeach()

  if(arg_WHOLE)
    add_test(NAME ${arg_NAME} COMMAND ${target})
    set_tests_properties(${arg_NAME} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS ${arg_NAME}
                         ENVIRONMENT "${environment}" RUN_SERIAL ${arg_SERIAL})
    return()
  endif()

  # The program itself writes the list of its cases (tests/support/catch_main.cc); ctest reads it.
  # The script sets the properties that all of them share.
  set(list ${CMAKE_CURRENT_BINARY_DIR}/${target}.list.cmake)
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}.ctest.cmake)
  add_custom_command(
    TARGET ${target} POST_BUILD
    COMMAND ${target} --write-ctest-list ${list} "${arg_NAME}: " $<TARGET_FILE:${target}>
    VERBATIM)
  file(GENERATE OUTPUT ${script} CONTENT "\
set(properties TIMEOUT ${arg_TIMEOUT} LABELS ${arg_NAME} RUN_SERIAL ${arg_SERIAL}
    SKIP_REGULAR_EXPRESSION \"(^|\\n)skipped: \")
set(environment [==[${environment}]==])
if(EXISTS ${list})
  include(${list})
else()
  add_test(${target}_not_built ${target}_not_built)
endif()
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
endfunction()

# bib_fuzz([LIBS <target>...])
#
# Makes fuzz_<stem> of each <stem>.cc in the calling folder, which defines LLVMFuzzerTestOneInput.
# With BIB_FUZZ it is a libFuzzer program and ctest gives it BIB_FUZZ_SECONDS; otherwise ctest
# replays corpus/<stem>/ through it, so that an input that once broke a decoder stays a test
# everywhere. The target "fuzzers" is all of them.
set(BIB_FUZZ_SECONDS 10 CACHE STRING "How long ctest lets each fuzz target look")
function(bib_fuzz)
  add_custom_target(fuzzers)
  math(EXPR timeout "${BIB_FUZZ_SECONDS} + 120")
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "LIBS")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  foreach(source ${sources})
    cmake_path(GET source STEM stem)
    set(target fuzz_${stem})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${stem})
    add_executable(${target} ${source})
    add_dependencies(fuzzers ${target})
    target_link_libraries(${target} PRIVATE bib_flags bib_test_support ${arg_LIBS})
    set(arguments)
    if(BIB_FUZZ)
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      set(found ${CMAKE_CURRENT_BINARY_DIR}/found/${stem})
      file(MAKE_DIRECTORY ${found})
      set(arguments -max_total_time=${BIB_FUZZ_SECONDS} ${found})
    else()
      target_link_libraries(${target} PRIVATE bib_fuzz_replay)
    endif()
    if(EXISTS ${corpus})
      list(APPEND arguments ${corpus})
    endif()
    add_test(NAME "fuzz: ${stem}" COMMAND ${target} ${arguments})
    set_tests_properties("fuzz: ${stem}" PROPERTIES TIMEOUT ${timeout} LABELS fuzz
                         ENVIRONMENT "${bib_test_environment}")
  endforeach()
endfunction()
