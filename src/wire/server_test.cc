#include "wire/server.h"

#include <gtest/gtest.h>

#include <atomic>

#include "policy/testing/realm.h"
#include "tests/conformance/few_threads.h"
#include "tests/conformance/worlds.h"
#include "wire/http_vault.h"
#include "wire/testing/fake_handler.h"
#include "wire/testing/plain_transport.h"

namespace exclave::wire {
namespace {

using conformance::failed_with;
using conformance::is_ok;
using conformance::must;
using policy::testing::machine_key;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeHandler;
using testing::PlainTransport;

// A server and its clients on one simulated machine.
class ServerTest : public ::testing::Test {
 protected:
  void run(const ServerOptions& options, const std::function<void()>& body) {
    lux().run([&] {
      server_ = must(Server::start({env_.clock, env_.log, server_threads_}, must(env_.network.listen("127.0.0.1:0")),
                                   server_transport_, handler_, options));
      body();
      server_.reset();
    });
    universe_.run();
  }
  sim::Machine& lux() { return universe_.machine("lux"); }

  // One connection at a time, one attempt per call.
  HttpVault client(Transport& transport) {
    policy::VaultEntry vault = policy::testing::make_vault("lux");
    vault.address = server_->address();
    return {{env_.clock, env_.random, env_.network, env_.threads},
            transport,
            vault,
            {},
            {.connections = 1, .attempts = 1, .connect_time = seconds(3)}};
  }
  // A client whose connection stays open.
  struct Guest {
    explicit Guest(ServerTest& test, std::string_view key)
        : transport(machine_key(key).public_key()), vault(test.client(transport)) {}
    PlainTransport transport;
    HttpVault vault;
  };

  sim::Universe universe_{7};
  env::Env env_ = universe_.machine("lux").env();
  conformance::FewThreads server_threads_{env_.threads, 1000};
  FakeHandler handler_;
  PlainTransport server_transport_{machine_key("lux identity").public_key()};
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, a_known_peer_is_answered_on_one_connection_again_and_again) {
  run({}, [&] {
    Guest guest(*this, "one");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(must(guest.vault.status()).name, "fake");
  });
}

TEST_F(ServerTest, an_unknown_key_gets_one_answer_and_is_gone) {
  handler_.unknown.insert(machine_key("stranger").public_key());
  bool was_asked = false;
  handler_.on_status = [&]() -> Result<store::VaultStatus> {
    was_asked = true;
    return store::VaultStatus{};
  };
  run({}, [&] {
    Guest stranger(*this, "stranger");
    EXPECT_TRUE(failed_with(stranger.vault.status(), Code::Denied));
    EXPECT_TRUE(failed_with(stranger.vault.status(), Code::Denied)) << "on a new connection";
    EXPECT_FALSE(was_asked);
  });
}

TEST_F(ServerTest, one_peer_cannot_take_all_connections) {
  run({.max_per_peer = 2}, [&] {
    Guest first(*this, "one");
    Guest second(*this, "one");
    Guest third(*this, "one");
    Guest other(*this, "two");
    EXPECT_TRUE(is_ok(first.vault.status()));
    EXPECT_TRUE(is_ok(second.vault.status()));
    EXPECT_TRUE(failed_with(third.vault.status(), Code::Unavailable));
    EXPECT_TRUE(is_ok(other.vault.status()));
  });
}

TEST_F(ServerTest, too_many_connections_are_turned_away_and_room_comes_back) {
  run({.max_connections = 2, .max_per_peer = 2}, [&] {
    auto first = std::make_unique<Guest>(*this, "one");
    Guest second(*this, "two");
    Guest third(*this, "three");
    EXPECT_TRUE(is_ok(first->vault.status()));
    EXPECT_TRUE(is_ok(second.vault.status()));
    EXPECT_TRUE(failed_with(third.vault.status(), Code::Unavailable));
    first.reset();
    ASSERT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + seconds(2)).ok());
    EXPECT_TRUE(is_ok(third.vault.status()));
  });
}

TEST_F(ServerTest, peers_that_never_show_a_key_hold_few_places_and_not_for_long) {
  run({.max_handshakes = 3}, [&] {
    std::vector<std::unique_ptr<env::Connection>> silent;
    for (int i = 0; i < 10; ++i) {
      silent.push_back(must(env_.network.connect(server_->address(), env_.clock.monotonic() + seconds(1))));
    }
    ASSERT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + seconds(6)).ok());
    Guest guest(*this, "one");
    EXPECT_TRUE(is_ok(guest.vault.status()));
  });
}

TEST_F(ServerTest, H9_idle_peers_of_one_address_do_not_keep_another_out) {
  lux().run([&] {
    server_ = must(Server::start({env_.clock, env_.log, server_threads_}, must(env_.network.listen("lux:7000")),
                                 server_transport_, handler_, {.max_handshakes = 8, .max_handshakes_per_source = 4}));
  });
  const env::Env flooder = universe_.machine("flooder").env();
  std::vector<std::unique_ptr<env::Connection>> silent;
  universe_.machine("flooder").run([&] {
    for (int i = 0; i < 50; ++i) {
      silent.push_back(must(flooder.network.connect("lux:7000", flooder.clock.monotonic() + seconds(1))));
    }
  });
  universe_.machine("home").run([&] {
    const env::Env home = universe_.machine("home").env();
    PlainTransport transport(machine_key("one").public_key());
    policy::VaultEntry vault = policy::testing::make_vault("lux");
    vault.address = "lux:7000";
    HttpVault client({home.clock, home.random, home.network, home.threads}, transport, vault, {},
                     {.connections = 1, .attempts = 1, .connect_time = seconds(3)});
    EXPECT_TRUE(is_ok(client.status()));
  });
  EXPECT_TRUE(lux().has_logged("too many peers have shown no key"));
  universe_.machine("flooder").run([&] { silent.clear(); });
  lux().run([&] { server_.reset(); });
  universe_.run();
}

TEST_F(ServerTest, H9_of_sources_that_hold_as_many_the_oldest_peer_goes_whatever_its_address_is) {
  lux().run([&] {
    server_ = must(Server::start({env_.clock, env_.log, server_threads_}, must(env_.network.listen("lux:7000")),
                                 server_transport_, handler_, {.max_handshakes = 4, .max_handshakes_per_source = 2}));
  });
  std::map<std::string, std::unique_ptr<env::Connection>> silent;
  const auto connect_from = [&](const std::string& name) {
    sim::Machine& machine = universe_.machine(name);
    machine.run([&] {
      const env::Env env = machine.env();
      silent[name] = must(env.network.connect("lux:7000", env.clock.monotonic() + seconds(1)));
      must(env.clock.sleep_until(env.clock.monotonic() + milliseconds(20)));  // it has been accepted
    });
  };
  for (const char* const name : {"north", "south", "west", "alpha", "zulu"}) connect_from(name);
  // By its address the first of all, and by its age the fourth: it goes on to show its key.
  universe_.machine("alpha").run([&] {
    const env::Env env = universe_.machine("alpha").env();
    PlainTransport transport(machine_key("one").public_key());
    EXPECT_TRUE(is_ok(transport.connect(std::move(silent["alpha"]), machine_key("lux identity").public_key(),
                                        env.clock.monotonic() + seconds(1))));
  });
  for (auto& [name, connection] : silent) universe_.machine(name).run([&, held = &connection] { held->reset(); });
  lux().run([&] { server_.reset(); });
  universe_.run();
}

TEST_F(ServerTest, H9_peers_with_unknown_keys_leave_room_for_known_ones) {
  std::vector<std::unique_ptr<PlainTransport>> keys;
  for (int i = 0; i < 40; ++i) {
    keys.push_back(std::make_unique<PlainTransport>(machine_key("stranger " + std::to_string(i)).public_key()));
    handler_.unknown.insert(machine_key("stranger " + std::to_string(i)).public_key());
  }
  run({.max_connections = 4, .max_refusals = 2}, [&] {
    std::vector<std::unique_ptr<env::Connection>> strangers;
    for (const auto& key : keys) {  // they show their keys, and then say nothing
      const env::Instant soon = env_.clock.monotonic() + seconds(2);
      auto bare = must(env_.network.connect(server_->address(), soon));
      strangers.push_back(must(key->connect(std::move(bare), machine_key("lux identity").public_key(), soon)));
    }
    Guest guest(*this, "one");
    EXPECT_TRUE(is_ok(guest.vault.status())) << "at once";
    ASSERT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + seconds(4)).ok());
    Byte last = 0;
    for (const auto& stranger : strangers) {
      const auto got = stranger->read_some(MutableByteView(&last, 1), env_.clock.monotonic() + milliseconds(1));
      EXPECT_TRUE(!got.ok() || got.value() == 0) << "none of them may stay";
    }
  });
  EXPECT_TRUE(lux().has_logged("turned away: the policy does not know your key"));
}

TEST_F(ServerTest, H9_a_vault_without_threads_turns_peers_away_and_lives) {
  run({}, [&] {
    Guest before(*this, "one");
    EXPECT_TRUE(is_ok(before.vault.status()));
    server_threads_.allow(0);
    for (int i = 0; i < 30; ++i) {
      Guest during(*this, "two");
      EXPECT_FALSE(during.vault.status().ok());
    }
    EXPECT_TRUE(is_ok(before.vault.status())) << "who has a thread keeps it";
    server_threads_.allow(1);
    Guest after(*this, "two");
    EXPECT_TRUE(is_ok(after.vault.status()));
  });
  EXPECT_TRUE(lux().has_logged("cannot be started"));
}

TEST_F(ServerTest, a_key_that_the_policy_revoked_is_answered_once_more_and_gone) {
  run({}, [&] {
    Guest guest(*this, "one");
    EXPECT_TRUE(is_ok(guest.vault.status()));
    handler_.on_status = [&]() -> Result<store::VaultStatus> {
      handler_.unknown.insert(machine_key("one").public_key());
      return Error(Code::Denied, "revoked");
    };
    EXPECT_TRUE(failed_with(guest.vault.status(), Code::Denied));
    bool was_asked = false;
    handler_.on_status = [&]() -> Result<store::VaultStatus> {
      was_asked = true;
      return testing::status_named("fake");
    };
    EXPECT_TRUE(failed_with(guest.vault.status(), Code::Denied)) << "by a new connection";
    EXPECT_FALSE(was_asked);
  });
}

TEST_F(ServerTest, what_strangers_make_it_say_is_said_once_a_minute) {
  handler_.unknown.insert(machine_key("stranger").public_key());
  run({}, [&] {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(failed_with(Guest(*this, "stranger").vault.status(), Code::Denied));
    EXPECT_FALSE(lux().has_logged("more since this was last said"));
    ASSERT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + seconds(61)).ok());
    EXPECT_TRUE(failed_with(Guest(*this, "stranger").vault.status(), Code::Denied));
    EXPECT_TRUE(lux().has_logged("(and 4 more since this was last said)"));
  });
}

TEST_F(ServerTest, stopping_lets_a_request_in_progress_end) {
  handler_.on_status = [&]() -> Result<store::VaultStatus> {
    TRY(env_.clock.sleep_until(env_.clock.monotonic() + seconds(3)));
    return testing::status_named("slow");
  };
  run({}, [&] {
    std::atomic<bool> answered = false;
    Guest guest(*this, "one");
    const auto caller = must(env_.threads.start("caller", [&] { answered = guest.vault.status().ok(); }));
    ASSERT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + seconds(1)).ok());
    const env::Instant begin = env_.clock.monotonic();
    server_->stop(begin + seconds(30));
    EXPECT_LT(env_.clock.monotonic() - begin, seconds(5));
    caller->join();
    EXPECT_TRUE(answered);
    EXPECT_TRUE(failed_with(guest.vault.status(), Code::Unavailable)) << "nobody listens any more";
  });
}

TEST_F(ServerTest, stopping_cuts_what_does_not_end_in_time) {
  run({}, [&] {
    // A peer that has shown its key and then sends half a request: the server waits for the rest of its head.
    PlainTransport transport(machine_key("one").public_key());
    const env::Instant soon = env_.clock.monotonic() + seconds(2);
    auto bare = must(env_.network.connect(server_->address(), soon));
    auto connection = must(transport.connect(std::move(bare), machine_key("lux identity").public_key(), soon));
    must(env::write_all(*connection, as_bytes("GET /v1/sta"), soon));
    ASSERT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + milliseconds(500)).ok());
    const env::Instant begin = env_.clock.monotonic();
    server_->stop(begin + seconds(2));
    EXPECT_LT(env_.clock.monotonic() - begin, seconds(4)) << "the head alone would have had 10 s";
    EXPECT_TRUE(lux().has_logged("connections are cut"));
  });
}

TEST_F(ServerTest, a_machine_that_dies_takes_its_server_along) {
  run({}, [&] {
    Guest guest(*this, "one");
    EXPECT_TRUE(is_ok(guest.vault.status()));
    lux().kill();
  });
  EXPECT_FALSE(lux().is_up());
}

}  // namespace
}  // namespace exclave::wire
