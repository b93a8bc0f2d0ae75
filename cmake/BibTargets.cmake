# How a folder of the house becomes a target: flags, include roots, outside libraries.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# Planted bugs (wire/base/mutant.h): in all of the tree or nowhere, and never in what is released.
if(BIB_MUTANTS)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    message(FATAL_ERROR "BIB_MUTANTS plants bugs: it does not go together with a release build. "
                        "The mutation run is tools/check.sh mutants")
  endif()
  add_compile_definitions(BIB_MUTANTS)
endif()

# ccache when it is there. Two checkouts share its results: paths below the checkout are relative
# to it, and the build folder's name is not part of the key.
find_program(BIB_CCACHE ccache)
if(BIB_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
                                  CCACHE_NOHASHDIR=1 ${BIB_CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
# By file, because these packages' CMake files ask for much that we do not use (or do not exist).
find_library(BIB_ROCKSDB_LIBRARY rocksdb REQUIRED)
find_library(BIB_FLATBUFFERS_LIBRARY flatbuffers REQUIRED)
find_program(BIB_FLATC flatc REQUIRED)

# Warnings and sanitizers for our own code; the outside libraries' headers are system headers.
add_library(bib_flags INTERFACE)
# Designated initialisers name what matters; the other members have their defaults.
target_compile_options(bib_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
                                           -Wno-missing-field-initializers
                                           -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees an overlapping copy in every std::string operator+ (GCC bug 105651).
  target_compile_options(bib_flags INTERFACE -Wno-restrict)
else()
  # In GCC's -Wconversion this one is not included; the two compilers are to agree.
  target_compile_options(bib_flags INTERFACE -Wno-sign-conversion)
endif()
if(BIB_SANITIZE)
  target_compile_options(bib_flags INTERFACE -fsanitize=${BIB_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(bib_flags INTERFACE -fsanitize=${BIB_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented code confuses these two; the plain build has them.
    target_compile_options(bib_flags INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow)
  endif()
endif()
# jemalloc for what allocates much on one thread and frees it on another (decision 17). Sanitizers
# have an allocator of their own.
add_library(bib_allocator INTERFACE)
if(NOT BIB_SANITIZE AND NOT BIB_FUZZ)
  target_link_libraries(bib_allocator INTERFACE PkgConfig::JEMALLOC)
endif()
# bib_reads_at_any_address(TARGET): for wire and its tests, the only ones that see FlatBuffers'
# generated code. FlatBuffers excepts its own loads from UBSan's alignment check, but not the calls
# of members on what lies unaligned (docs/decisions/0012-reading-at-any-address.md).
add_library(bib_any_address INTERFACE)
if(BIB_SANITIZE MATCHES "undefined")
  target_compile_options(bib_any_address INTERFACE -fno-sanitize=alignment)
endif()
function(bib_reads_at_any_address target)
  # Linked and not set as an option of the target: it has to come after bib_flags' -fsanitize.
  target_link_libraries(${target} PRIVATE bib_any_address)
endfunction()
if(BIB_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "BIB_FUZZ needs clang: cmake --preset fuzz")
  endif()
  target_compile_options(bib_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# bib_include_root(NAME PATH DIR): the include root NAME, in which PATH is a link to DIR. Only targets
# that link what has this root can include "PATH/...".
function(bib_include_root name path dir)
  set(root ${CMAKE_BINARY_DIR}/include/${name})
  cmake_path(GET path PARENT_PATH parent)
  file(MAKE_DIRECTORY ${root}/${parent})
  file(CREATE_LINK ${dir} ${root}/${path} SYMBOLIC)
endfunction()

# bib_library(NAME PATH DIR): the static library bib_NAME made of the .cc files in DIR, which others
# include as "PATH/...".
function(bib_library name path dir)
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cc)
  if(NOT sources)
    set(sources ${CMAKE_BINARY_DIR}/empty/${name}.cc)
    file(CONFIGURE OUTPUT ${sources} CONTENT "// bib_${name} is headers only.\n")
  endif()
  bib_include_root(${name} ${path} ${dir})
  add_library(bib_${name} STATIC ${sources})
  target_include_directories(bib_${name} PUBLIC ${CMAKE_BINARY_DIR}/include/${name})
  target_link_libraries(bib_${name} PRIVATE bib_flags)
endfunction()

# bib_folder(NAME): a folder of the house without rooms, the calling one, as the library bib_NAME.
function(bib_folder name)
  bib_library(${name} ${name} ${CMAKE_CURRENT_SOURCE_DIR})
endfunction()

# bib_room(FOLDER ROOM [SEES <room>...]): one room of a folder of the house, as the library
# bib_FOLDER_ROOM. It can include its own headers and those of what it SEES: other rooms of the
# folder by their short names, other libraries by their targets.
function(bib_room folder room)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "SEES")
  set(name ${folder}_${room})
  bib_library(${name} ${folder}/${room} ${CMAKE_CURRENT_SOURCE_DIR}/${room})
  foreach(seen ${arg_SEES})
    if(TARGET bib_${folder}_${seen})
      set(seen bib_${folder}_${seen})
    endif()
    target_link_libraries(bib_${name} PUBLIC ${seen})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY bib_rooms_of_${folder} bib_${name})
endfunction()

# bib_floor(FOLDER): bib_FOLDER, all rooms of the folder together.
function(bib_floor folder)
  get_property(rooms GLOBAL PROPERTY bib_rooms_of_${folder})
  add_library(bib_${folder} INTERFACE)
  target_link_libraries(bib_${folder} INTERFACE ${rooms})
endfunction()

# bib_sees_no_loop(TARGET...): these cannot include uv.h, though it lies where every compiler looks.
function(bib_sees_no_loop)
  set(root ${CMAKE_BINARY_DIR}/include/no_loop)
  file(CONFIGURE OUTPUT ${root}/uv.h
       CONTENT "#error \"this room has no loop: what needs libuv belongs in engine/uv\"\n")
  foreach(target ${ARGN})
    target_include_directories(${target} BEFORE PRIVATE ${root})
  endforeach()
endfunction()
