#include "agent/server_watch.h"

#include <gtest/gtest.h>

namespace exclave::agent {
namespace {

// Trap 5 of the field notes: ANY 1 (a, b) is satisfied by b, who is no vault.
TEST(server_watch, we_are_waited_for_only_where_nobody_else_can_release_a_commit) {
  for (const char* names : {"exclave_people", "Exclave_People", "\"exclave_people\"", "1 (exclave_people)",
                            "FIRST 1 (exclave_people)", "any 1 (\"exclave_people\")", "ANY 1(exclave_people)"}) {
    EXPECT_TRUE(names_alone(names, "exclave_people")) << names;
  }
  for (const char* names :
       {"", "*", "1 (*)", "exclave_people, other", "other, exclave_people", "ANY 1 (exclave_people, other)",
        "FIRST 1 (exclave_people, other)", "FIRST 2 (exclave_people, other)", "2 (exclave_people)", "exclave_people2",
        "firstexclave_people", "any1exclave_people", "\"exclave _people\"", "exclave_land", "0 (exclave_people)"}) {
    EXPECT_FALSE(names_alone(names, "exclave_people")) << names;
  }
}

}  // namespace
}  // namespace exclave::agent
