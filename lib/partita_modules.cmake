# One CMake target per module, and tests that really run on the rank counts that they name.

# Standard headers are most of what a source has to read: they are compiled once for all targets of a kind, which have the
# same options. Sources include what they use all the same; PARTITA_PRECOMPILE=OFF shows it.
option(PARTITA_PRECOMPILE "Compile standard headers once" ON)
set(PARTITA_STANDARD_HEADERS <algorithm> <array> <cmath> <cstdint> <cstring> <filesystem> <functional> <limits> <map> <memory>
    <numeric> <optional> <ranges> <set> <span> <sstream> <string> <string_view> <utility> <variant> <vector>)
function(partita_precompile kind)
  cmake_parse_arguments(ARG "" "" "OPTIONS;HEADERS;LINK" ${ARGN})
  if(NOT PARTITA_PRECOMPILE)
    return()
  endif()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/precompiled_${kind}.cpp)
  file(GENERATE OUTPUT ${source} CONTENT "")
  add_library(partita_precompiled_${kind} OBJECT ${source})
  target_compile_features(partita_precompiled_${kind} PRIVATE cxx_std_20)
  if("-fPIE" IN_LIST ARG_OPTIONS)
    set_target_properties(partita_precompiled_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  endif()
  target_compile_options(partita_precompiled_${kind} PRIVATE ${ARG_OPTIONS})
  target_link_libraries(partita_precompiled_${kind} PRIVATE ${ARG_LINK})
  target_precompile_headers(partita_precompiled_${kind} PRIVATE ${PARTITA_STANDARD_HEADERS} ${ARG_HEADERS})
endfunction()
function(partita_use_precompiled target kind)
  if(TARGET partita_precompiled_${kind})
    target_precompile_headers(${target} REUSE_FROM partita_precompiled_${kind})
    # GCC 12 forgets which of them are the system's, and warns of what it would else say of nobody's code.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow$<SEMICOLON>-Wno-array-bounds>)
  endif()
endfunction()

# partita_add_module(NAME comm [SOURCES a.cpp …] [PUBLIC …] [PRIVATE …] [OPTIONS …] [INCLUDE dir])
# Target partita_comm, alias partita::comm; public headers under include/. Without sources: an interface library.
function(partita_add_module)
  cmake_parse_arguments(ARG "" "NAME;INCLUDE" "SOURCES;PUBLIC;PRIVATE;OPTIONS" ${ARGN})
  set(target partita_${ARG_NAME})
  if(NOT ARG_INCLUDE)
    set(ARG_INCLUDE ${CMAKE_CURRENT_SOURCE_DIR}/include)
  endif()
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE ${ARG_PRIVATE})
    target_compile_options(${target} PRIVATE ${ARG_OPTIONS})
    if(NOT ARG_OPTIONS)
      partita_use_precompiled(${target} module)
    endif()
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(partita::${ARG_NAME} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${ARG_NAME})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_link_libraries(${target} ${scope} ${ARG_PUBLIC})
  if(EXISTS ${ARG_INCLUDE})
    target_include_directories(${target} ${scope} $<BUILD_INTERFACE:${ARG_INCLUDE}>
                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    install(DIRECTORY ${ARG_INCLUDE}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  endif()
  install(TARGETS ${target} EXPORT partita-targets)
endfunction()

# What runs once a run, or computes little, as a test's own code: a quarter less time to compile counts more than its speed.
# Precompiled headers serve it as they are.
function(partita_compile_fast target)
  target_compile_options(${target} PRIVATE $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-O1>)
endfunction()

# partita_add_test(NAME x SOURCES … [LINK …] [LABELS fast|full …] [ARGUMENTS …]): one process, GoogleTest's main.
function(partita_add_test)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LINK;LABELS;ARGUMENTS" ${ARGN})
  add_executable(test_${ARG_NAME} ${ARG_SOURCES})
  partita_compile_fast(test_${ARG_NAME})
  partita_use_precompiled(test_${ARG_NAME} test)
  target_link_libraries(test_${ARG_NAME} PRIVATE ${ARG_LINK} GTest::gtest GTest::gtest_main)
  add_test(NAME ${ARG_NAME} COMMAND test_${ARG_NAME} ${ARG_ARGUMENTS})
  partita_label_test(${ARG_NAME} "${ARG_LABELS}")
endfunction()

# partita_add_mpi_test(NAME x SOURCES … RANKS 1 2 3 … [FULL_RANKS 6 …] [LINK …] [LABELS …]): one CTest test per rank
# count, "x/2ranks", of which those of FULL_RANKS are for --full. The sources bring their own main (tests/mpi_main.cpp).
function(partita_add_mpi_test)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LINK;LABELS;RANKS;FULL_RANKS;ARGUMENTS" ${ARGN})
  if(NOT TARGET partita_mpi_main)
    add_library(partita_mpi_main OBJECT ${PROJECT_SOURCE_DIR}/tests/mpi_main.cpp)
    partita_compile_fast(partita_mpi_main)
    target_link_libraries(partita_mpi_main PUBLIC partita::comm GTest::gtest)
  endif()
  add_executable(test_${ARG_NAME} ${ARG_SOURCES})
  partita_compile_fast(test_${ARG_NAME})
  partita_use_precompiled(test_${ARG_NAME} test)
  target_link_libraries(test_${ARG_NAME} PRIVATE ${ARG_LINK} partita_mpi_main)
  foreach(ranks IN LISTS ARG_RANKS ARG_FULL_RANKS)
    set(labels "${ARG_LABELS}")
    if(ranks IN_LIST ARG_FULL_RANKS)
      set(labels full)
    endif()
    add_test(NAME ${ARG_NAME}/${ranks}ranks
             COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} ${MPIEXEC_PREFLAGS} $<TARGET_FILE:test_${ARG_NAME}>
                     ${MPIEXEC_POSTFLAGS} ${ARG_ARGUMENTS})
    partita_label_test(${ARG_NAME}/${ranks}ranks "${labels}")
    set_property(TEST ${ARG_NAME}/${ranks}ranks PROPERTY PROCESSORS 2)
  endforeach()
endfunction()

# What Open MPI's mpiexec wants to be told before it starts more ranks than cores, as root too, and leaves them unbound, so that
# tests beside each other do not share one core. Other launchers do not read these. Every test gets them, whatever starts its ranks.
set(PARTITA_LAUNCHER_ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=set:1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=set:1
    OMPI_MCA_rmaps_base_oversubscribe=set:1 OMPI_MCA_hwloc_base_binding_policy=set:none
    PRTE_MCA_rmaps_default_mapping_policy=set::oversubscribe PRTE_MCA_hwloc_default_binding_policy=set:none)

# Labels default to fast; exit code 77 means skipped, visibly. The limit ends what hangs, and judges no machine; threads
# that wait for others leave them the cores.
function(partita_label_test name labels)
  if(NOT labels)
    set(labels fast)
  endif()
  set(seconds 1200)
  if("full" IN_LIST labels)
    set(seconds 3600)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${seconds} SKIP_RETURN_CODE 77)
  set_property(TEST ${name} PROPERTY ENVIRONMENT_MODIFICATION OMP_WAIT_POLICY=set:passive ${PARTITA_LAUNCHER_ENVIRONMENT})
endfunction()
