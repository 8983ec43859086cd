# The rooms of src/ and who may include whom. One room = one folder = one namespace = one target.
# The build links by this table; tests/guards/rooms_test.cpp holds every #include to it.
set(MNEME_ROOMS core tensor kernels kv attention model engine cli)

set(MNEME_ROOM_core      )
set(MNEME_ROOM_tensor    core)
set(MNEME_ROOM_kernels   tensor core)
set(MNEME_ROOM_kv        kernels tensor core)
set(MNEME_ROOM_attention kv kernels tensor core)
set(MNEME_ROOM_model     attention kv kernels tensor core)
set(MNEME_ROOM_engine    model attention kv kernels tensor core)
set(MNEME_ROOM_cli       engine)
# Rooms that reach the rest through include/mneme only (they link the room above, they do not include it).
set(MNEME_PUBLIC_API_ONLY cli)

# mneme_room(NAME [LIBS ...]): a static library of every .cpp in src/NAME, and a test program of every *_test.cpp.
function(mneme_room name)
  cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
  set(dir ${PROJECT_SOURCE_DIR}/src/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  add_library(mneme_${name} STATIC ${sources})
  target_include_directories(mneme_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  set(below ${MNEME_ROOM_${name}})
  list(TRANSFORM below PREPEND mneme_)
  target_link_libraries(mneme_${name} PUBLIC ${below} ${ARG_LIBS})
  if(MNEME_TESTS AND tests)
    mneme_test(${name}_test SOURCES ${tests} LIBS mneme_${name})
  endif()
endfunction()

# mneme_test(NAME SOURCES ... LIBS ...): a GoogleTest program, registered with CTest.
function(mneme_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gtest GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE MNEME_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()
