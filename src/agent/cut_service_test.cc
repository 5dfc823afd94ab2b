#include "agent/cut_service.h"

#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "sim/universe.h"
#include "wire/server.h"
#include "wire/testing/plain_transport.h"

namespace exclave::agent {
namespace {

using policy::testing::machine_key;
using wire::testing::PlainTransport;

// An agent's door at which "land" may take cuts. No database streams here: what a hold does is cut_gate.h's business.
class CutDoor : public ::testing::Test {
 protected:
  CutDoor() {
    universe_.machine("home").run([&] {
      server_ = wire::Server::start({env_.clock, env_.log, env_.threads}, env_.network.listen("home:7100").take(),
                                    agent_, service_)
                    .take();
    });
  }
  ~CutDoor() override {
    universe_.machine("home").run([&] { server_.reset(); });
  }
  // What `identity` is told when it asks for a hold of that dataset.
  Error refusal(const crypto::Ed25519SigningKey& identity, const std::string& dataset) {
    std::optional<Error> refusal;
    universe_.machine("home").run([&] {
      PlainTransport transport(identity.public_key());
      RemoteMember member({env_.clock, env_.network, env_.threads, transport, server_->address(),
                           machine_key("agent").public_key(), cut_limits()},
                          {}, dataset);
      auto held = member.hold({});
      if (!held.ok()) refusal = held.take_error();
    });
    return refusal.value_or(Error(Code::Bug, "a hold was given"));
  }

  sim::Universe universe_{1};
  env::Env env_ = universe_.machine("home").env();
  PlainTransport agent_{machine_key("agent").public_key()};
  std::vector<std::string> asked_for_;
  CutService service_{env_.clock, {machine_key("land").public_key()}, [this](std::string_view dataset) {
                        asked_for_.emplace_back(dataset);
                        return nullptr;
                      }};
  std::unique_ptr<wire::Server> server_;
};

TEST_F(CutDoor, only_a_coordinator_that_is_named_is_heard) {
  for (const char* stranger : {"people", "agent"}) {
    EXPECT_EQ(refusal(machine_key(stranger), "people").code(), Code::Denied) << stranger;
  }
  EXPECT_TRUE(asked_for_.empty()) << "nothing was looked at for them";
  const Error told = refusal(machine_key("land"), "people");
  EXPECT_EQ(told.code(), Code::NotFound) << told.message();
  EXPECT_EQ(asked_for_, std::vector<std::string>{"people"});
}

}  // namespace
}  // namespace exclave::agent
