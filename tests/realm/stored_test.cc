// What captures refer to and do not send again: whether the vaults still hold it.
#include <gmock/gmock.h>

#include "engine/stored_check.h"
#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Stored : public PosixRealm {
 protected:
  engine::StoredCheck check() {
    must(agent_->open());
    return engine::check_stored(keys().pinned(), format::EraNumber(1), must(repo::receipts_in(agent_->table())),
                                pointers(writer_taps_));
  }
  // A vault's disk is replaced: the same keys and acts, and nothing else.
  void replace_disk_of(std::size_t vault) {
    hosts_[vault] =
        std::make_unique<VaultHost>(env_of_vault(vault), base_ / ("new" + std::to_string(vault)), keys(), vault);
    writer_taps_[vault] = std::make_unique<TapVault>(hosts_[vault]->door(keys().writer()));
    start_agent();
  }
};

TEST_F(Stored, nothing_is_endangered_while_every_vault_holds_what_it_signed_for) {
  write("a", "one");
  static_cast<void>(capture());
  EXPECT_EQ(check().endangered, 0U);
  EXPECT_THAT(check().lacking, IsEmpty());
}

// The vault that has everything else green: two of three confirm each capture, and one alone holds what they share.
TEST_F(Stored, L1_what_a_replaced_vault_had_signed_for_is_endangered_where_no_other_holds_it) {
  write("a", noise(3 << 20, 7));
  writer_taps_[2]->is_down = true;
  const auto first = capture();
  EXPECT_EQ(check().endangered, 0U) << "two of three hold it";
  writer_taps_[2]->is_down = false;
  replace_disk_of(0);
  write("b", "later");
  const auto second = capture();
  EXPECT_GT(second.entries, 0U);
  const engine::StoredCheck stored = check();
  EXPECT_EQ(stored.endangered, first.entries);
  EXPECT_THAT(stored.lacking, UnorderedElementsAre(keys().policy().vaults[2].name, keys().policy().vaults[0].name));
}

TEST_F(Stored, a_vault_that_does_not_answer_is_taken_at_what_it_signed) {
  write("a", "one");
  static_cast<void>(capture());
  writer_taps_[0]->is_down = true;
  writer_taps_[1]->is_down = true;
  EXPECT_EQ(check().endangered, 0U);
  replace_disk_of(2);
  EXPECT_EQ(check().endangered, 0U) << "two have not said otherwise";
  EXPECT_THAT(check().lacking, ElementsAre(keys().policy().vaults[2].name));
  writer_taps_[1]->is_down = false;
  EXPECT_EQ(check().endangered, 0U);
}

TEST_F(Stored, vaults_that_were_all_emptied_are_no_place_where_anything_is) {
  write("a", "one");
  const auto first = capture();
  for (const std::size_t vault : {0U, 1U, 2U}) replace_disk_of(vault);
  EXPECT_EQ(check().endangered, first.entries);
}

TEST_F(Stored, what_only_vaults_hold_that_the_policy_no_longer_names_is_endangered) {
  write("a", "one");
  const auto first = capture();
  must(agent_->open());
  const auto kept = must(repo::receipts_in(agent_->table()));
  const std::vector<store::VaultApi*> one = {writer_taps_[0].get()};
  EXPECT_EQ(engine::check_stored(keys().pinned(), format::EraNumber(1), kept, one).endangered, first.entries);
}

}  // namespace
}  // namespace exclave::realm_tests
