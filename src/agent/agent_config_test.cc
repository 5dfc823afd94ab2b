#include "agent/agent_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

Result<AgentConfig> parse(const std::string& text) {
  return parse_agent_config(as_bytes(text), "agent.toml");
}

TEST(agent_config, has_defaults_for_everything_but_dataset_and_connection) {
  const auto config = parse("[[database]]\ndataset = 'land-register'\nconnection = 'host=/run'\n");
  ASSERT_TRUE(config.ok()) << config.error().message();
  const DatabaseConfig& database = config.value().databases.at(0);
  EXPECT_EQ(database.stream.slot, "exclave_land_register");
  EXPECT_EQ(database.stream.endpoint.application_name, "exclave_land_register");
  EXPECT_EQ(database.stream.policy, RpoPolicy::Sync);
  EXPECT_FALSE(database.base_every.has_value());
  EXPECT_TRUE(config.value().database("land-register").ok());
  EXPECT_EQ(config.value().database("people").error().hint_text(), "it has: land-register");
}

TEST(agent_config, takes_every_setting) {
  const auto config = parse(
      "[[database]]\ndataset = 'a'\nconnection = 'x'\nname = 'n'\nslot = 's'\npolicy = 'bounded'\nbudget = '3 s'\n"
      "spool-limit = '1 GB'\nbase-every = '1 day'\n");
  ASSERT_TRUE(config.ok()) << config.error().message();
  const DatabaseConfig& database = config.value().databases.at(0);
  EXPECT_EQ(database.stream.policy, RpoPolicy::Bounded);
  EXPECT_EQ(database.stream.budget, 3s);
  EXPECT_EQ(database.stream.spool_limit_bytes, 1'000'000'000U);
  EXPECT_EQ(database.base_every, 24h);
}

TEST(agent_config, knows_groups_and_who_may_take_cuts) {
  const auto config = parse(
      "[[database]]\ndataset = 'a'\nconnection = 'x'\n[cuts]\nlisten = 'h:1'\ncoordinators = ['land']\n"
      "[[group]]\nname = 'realm'\nevery = '5 s'\nmembers = ['a', 'land/parcels@h:2']\n");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config.value().listen, "h:1");
  const GroupConfig& group = config.value().groups.at(0);
  EXPECT_EQ(group.every, 5s);
  EXPECT_EQ(group.members.at(0).dataset, "a");
  EXPECT_EQ(group.members.at(1).registry, "land");
  EXPECT_EQ(group.members.at(1).dataset, "parcels");
  EXPECT_EQ(group.members.at(1).address, "h:2");
  EXPECT_FALSE(group.is_substitute);
}

TEST(agent_config, refuses_what_cannot_be_meant) {
  const std::string head = "[[database]]\ndataset = 'a'\nconnection = 'x'\n";
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"", "agent.toml: names no database"},
      {"[[database]]\ndataset = 'A'\nconnection = 'x'\n", "must have 1 to 63 characters"},
      {"[[database]]\ndataset = 'a'\n", "connection"},
      {head + "policy = 'fast'\n", "must be sync, bounded or async"},
      {head + "budget = '1 s'\n", "belongs to policy bounded, and only to it"},
      {head + "policy = 'bounded'\n", "belongs to policy bounded, and only to it"},
      {head + "spool-limit = '1 MB'\n", "must be at least 64 MiB"},
      {head + "base-every = '1 s'\n", "must be at least a minute"},
      {head + head, "stands twice"},
      {head + "[[database]]\ndataset = 'b'\nconnection = 'x'\nslot = 'exclave_a'\n", "is another database's already"},
      {head + "[cuts]\nlisten = 'h:1'\n", "belongs together with cuts.coordinators"},
      {head + "[[group]]\nname = 'g'\nmembers = []\n", "names nobody"},
      {head + "[[group]]\nname = 'g'\nmembers = ['b']\n", "has no database 'b'"},
      {head + "[[group]]\nname = 'g'\nmembers = ['a@h:1']\n", "must be DATASET or REGISTRY/DATASET@HOST:PORT"},
      {head + "[[group]]\nname = 'g'\nevery = '1 s'\nmembers = ['a']\n", "must be at least 2 s"},
      {head + "[[group]]\nname = 'g'\nmembers = ['r/a@h:1']\nsubstitute = true\n",
       "needs a member of this agent's own"},
      {head + "polcy = 'sync'\n", "policy"},
      // What is misspelt, before what is missing or does not fit because of that.
      {"[[database]]\ndatset = 'a'\n", "agent.toml:2: unknown key database.datset; did you mean 'dataset'?"},
      {"[[database]]\ndataset = 'a'\nconection = 'x'\n",
       "agent.toml:3: unknown key database.conection; did you mean 'connection'?"},
      {head + "polcy = 'bounded'\nbudget = '1 s'\n",
       "agent.toml:4: unknown key database.polcy; did you mean 'policy'?"},
      {head + "[[group]]\nname = 'g'\nmember = ['a']\n",
       "agent.toml:6: unknown key group.member; did you mean 'members'?"},
      {head + "[cuts]\nlisen = 'h:1'\ncoordinators = ['l']\n",
       "agent.toml:5: unknown key cuts.lisen; did you mean 'listen'?"},
      {"[[databases]]\ndataset = 'a'\n[[group]]\nname = 'g'\nmembers = ['a']\n",
       "agent.toml:1: unknown key databases; did you mean 'database'?"},
  };
  for (const auto& each : cases) {
    const auto config = parse(each.text);
    ASSERT_FALSE(config.ok()) << each.text;
    EXPECT_THAT(config.error().message(), ::testing::HasSubstr(each.error)) << each.text;
  }
}

}  // namespace
}  // namespace exclave::agent
