#include "posix/address.h"

#include <gtest/gtest.h>

#include "env/network.h"
#include "posix/time.h"
#include "posix/world.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::posix {
namespace {

using conformance::failed_with;
using conformance::must;

env::Instant soon() {
  return monotonic_now() + std::chrono::seconds(30);
}

TEST(AddressTest, host_and_port_are_taken_apart) {
  EXPECT_EQ(must(parse_address("vault.example:443")).host, "vault.example");
  EXPECT_EQ(must(parse_address("vault.example:443")).port, 443);
  EXPECT_EQ(must(parse_address("[2001:db8::1]:65535")).host, "2001:db8::1");
  EXPECT_EQ(must(parse_address("[2001:db8::1]:65535")).port, 65'535);
  EXPECT_EQ(must(parse_address("127.0.0.1:0")).port, 0);
}

TEST(AddressTest, other_forms_are_refused) {
  for (const char* wrong :
       {"",      ":",     "a",     "a:",     ":1",   "a:65536", "a:4294967376", "a:+1",      "a:01",  "a: 1",
        "a b:1", "a/b:1", "::1:1", "[::1]1", "[::1", "[]:1",    "[a]:1",        "[[::1]]:1", "a\n:1", "http://a:1"}) {
    EXPECT_TRUE(failed_with(parse_address(wrong), Code::InvalidInput)) << wrong;
  }
}

TEST(AddressTest, numbers_are_resolved_without_asking) {
  Resolver resolver;
  const auto v4 = must(resolver.resolve({"127.0.0.1", 80}, Purpose::Connect, env::Instant{}));
  EXPECT_EQ(v4.front().text(), "127.0.0.1:80");
  const auto v6 = must(resolver.resolve({"::1", 8080}, Purpose::Listen, env::Instant{}));
  EXPECT_EQ(v6.front().text(), "[::1]:8080");
}

TEST(AddressTest, local_name_is_resolved) {
  Resolver resolver;
  const auto addresses = must(resolver.resolve({"localhost", 80}, Purpose::Connect, soon()));
  EXPECT_TRUE(addresses.front().text() == "127.0.0.1:80" || addresses.front().text() == "[::1]:80");
}

TEST(AddressTest, lookup_keeps_its_deadline_whatever_the_name_service_does) {
  Resolver resolver;
  const env::Instant begin = monotonic_now();
  EXPECT_TRUE(failed_with(resolver.resolve({"no-such-host.invalid", 80}, Purpose::Connect, begin), Code::Unavailable));
  EXPECT_LT(monotonic_now() - begin, std::chrono::seconds(2));
}

TEST(AddressTest, ipv6_serves_where_the_machine_has_it) {
  World world;
  env::Env env = world.env();
  auto listener = env.network.listen("[::1]:0");
  if (!listener.ok()) GTEST_SKIP() << "no IPv6 here";
  EXPECT_TRUE(listener.value()->address().starts_with("[::1]:"));
  auto client = must(env.network.connect(listener.value()->address(), soon()));
  auto server = must(listener.value()->accept());
  EXPECT_TRUE(server->peer_address().starts_with("[::1]:"));
  EXPECT_EQ(client->peer_address(), listener.value()->address());
}

TEST(AddressTest, port_where_nobody_listens_never_answers_for_itself) {
  // Linux takes the source of a connection from the even ports of 32768..60999 first: on loopback one of them meets
  // itself once in some ten thousand times. (Port 0 of listen() would be an odd one.)
  World world;
  env::Network& network = world.env().network;
  std::string address;
  for (int port = 40'000; port < 50'000 && address.empty(); port += 2) {
    auto listener = network.listen("127.0.0.1:" + std::to_string(port));
    if (listener.ok()) address = listener.value()->address();
  }
  ASSERT_FALSE(address.empty());
  for (int i = 0; i < 30'000; ++i) {
    ASSERT_TRUE(failed_with(network.connect(address, soon()), Code::Unavailable)) << i;
  }
}

TEST(AddressTest, taken_port_is_unavailable) {
  World world;
  env::Network& network = world.env().network;
  auto listener = must(network.listen("127.0.0.1:0"));
  EXPECT_TRUE(failed_with(network.listen(listener->address()), Code::Unavailable));
}

}  // namespace
}  // namespace exclave::posix
