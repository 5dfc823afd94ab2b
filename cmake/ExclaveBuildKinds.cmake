# Warnings, hardening and sanitizers for our own targets. A preset picks EXCLAVE_SANITIZE.
set(EXCLAVE_SANITIZE "" CACHE STRING "address (with undefined) | thread | fuzzer | empty")

add_library(exclave_build_kind INTERFACE)
target_compile_options(exclave_build_kind INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
  -Wno-gnu-statement-expression -Wformat=2 -Werror -fno-omit-frame-pointer -fstack-protector-strong -fstack-clash-protection)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(exclave_build_kind INTERFACE -Wshadow=local)
  # GCC 12 reports false positives of these inside std::string and std::vector when it inlines them.
  target_compile_options(exclave_build_kind INTERFACE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds -Wno-stringop-overread
    -Wno-maybe-uninitialized -Wno-dangling-pointer)
  # A class of one .cc may hold what only that .cc knows; in a unity build GCC takes it for a header's.
  target_compile_options(exclave_build_kind INTERFACE -Wno-subobject-linkage)
else()
  target_compile_options(exclave_build_kind INTERFACE -Wno-gnu-statement-expression-from-macro-expansion
    -Wthread-safety)
endif()
target_compile_definitions(exclave_build_kind INTERFACE _GLIBCXX_ASSERTIONS FMT_USE_NONTYPE_TEMPLATE_ARGS=0)
if(EXCLAVE_SANITIZE STREQUAL "address")
  target_compile_options(exclave_build_kind INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(exclave_build_kind INTERFACE -fsanitize=address,undefined)
elseif(EXCLAVE_SANITIZE STREQUAL "thread")
  target_compile_options(exclave_build_kind INTERFACE -fsanitize=thread)
  target_link_options(exclave_build_kind INTERFACE -fsanitize=thread)
elseif(EXCLAVE_SANITIZE STREQUAL "fuzzer")
  target_compile_options(exclave_build_kind INTERFACE -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all)
  target_link_options(exclave_build_kind INTERFACE -fsanitize=address,undefined)
endif()
if(EXCLAVE_SANITIZE)
  target_compile_definitions(exclave_build_kind INTERFACE EXCLAVE_SANITIZED)
else()
  target_compile_definitions(exclave_build_kind INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(exclave_build_kind INTERFACE -fcf-protection)
endif()
target_link_options(exclave_build_kind INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
