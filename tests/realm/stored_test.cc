// What captures refer to and do not send again: whether the vaults still hold it.
#include <gmock/gmock.h>

#include "engine/stage_times.h"
#include "engine/stored_check.h"
#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// An agent's table that takes nothing more once a snapshot is known: the agent was killed then.
class UntilSnapshot final : public table::Table {
 public:
  explicit UntilSnapshot(table::Table& inner) : inner_(inner) {}
  Result<std::optional<Bytes>> get(ByteView key) const override { return inner_.get(key); }
  Status write(const table::Batch& batch, table::Durability durability) override {
    if (is_over_) return Error(Code::Unavailable, "the agent was killed");
    is_over_ = durability == table::Durability::Synced;
    return inner_.write(batch, durability);
  }
  std::uint64_t generation() const override { return inner_.generation(); }
  Status settled() const override { return inner_.settled(); }
  Status flush() override { return inner_.flush(); }
  Status scan(const table::KeyRange& range, const Visitor& visitor) const override {
    return inner_.scan(range, visitor);
  }

 private:
  table::Table& inner_;
  bool is_over_ = false;
};

class Stored : public PosixRealm {
 protected:
  engine::StoredCheck check(const std::optional<format::StreamId>& just_sent = std::nullopt) {
    return check_under(keys().policy(), just_sent);
  }
  engine::StoredCheck check_under(const policy::Policy& policy,
                                  const std::optional<format::StreamId>& just_sent = std::nullopt) {
    must(agent_->open());
    const engine::PinnedRegistry pinned = keys().pinned();
    engine::StoredMemory memory;
    memory.kept = must(repo::receipts_in(agent_->table()));
    memory.relied = must(repo::relied_in(agent_->table()));
    memory.just_sent = just_sent;
    return engine::check_stored({policy, pinned.registry, pinned.writers, pinned.retention}, format::EraNumber(1),
                                memory, pointers(writer_taps_));
  }
  // Two vaults of three get the pack, and nothing after it.
  void interrupt_capture() {
    write("a", noise(3 << 20, 7));
    writer_taps_[2]->is_down = true;
    for (const std::size_t vault : {0U, 1U}) writer_taps_[vault]->puts_left = 1;
    ASSERT_FALSE(agent_->capture(source()).ok());
    for (const std::size_t vault : {0U, 1U}) writer_taps_[vault]->puts_left = ~std::uint64_t{0};
    writer_taps_[2]->is_down = false;
  }
  const std::string& name_of(std::size_t vault) const { return keys().policy().vaults[vault].name; }
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

// The most that any vault shows counts: at its limit it takes no more.
TEST_F(Stored, the_registrys_streams_are_counted_and_told_of_before_there_are_too_many) {
  EXPECT_EQ(check().streams, 0U);
  for (std::size_t captures = 1; captures <= 3; ++captures) {
    write("a", std::string(captures, 'x'));
    writer_taps_[2]->is_down = captures == 3;
    static_cast<void>(capture());
    writer_taps_[2]->is_down = false;
    EXPECT_EQ(check().streams, captures);
  }
  engine::StoredCheck stored = check();
  EXPECT_FALSE(stored.has_nearly_all_streams());
  stored.streams = store::kMostStreams / 10 * 8;
  EXPECT_TRUE(stored.has_nearly_all_streams());
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
  engine::StoredMemory memory;
  memory.kept = must(repo::receipts_in(agent_->table()));
  const std::vector<store::VaultApi*> one = {writer_taps_[0].get()};
  EXPECT_EQ(engine::check_stored(keys().pinned(), format::EraNumber(1), memory, one).endangered, first.entries);
}

// It left no snapshot, but what it made durable is not sent again.
TEST_F(Stored, L1_what_an_interrupted_capture_left_at_a_replaced_vault_is_endangered) {
  interrupt_capture();
  EXPECT_EQ(check().endangered, 0U);
  replace_disk_of(0);
  static_cast<void>(capture());
  EXPECT_EQ(check().endangered, 1U);
  EXPECT_THAT(check().lacking, UnorderedElementsAre(name_of(0), name_of(2)));
}

TEST_F(Stored, L1_what_an_interrupted_capture_left_is_endangered_when_no_vault_shows_it_any_more) {
  interrupt_capture();
  for (const std::size_t vault : {0U, 1U}) replace_disk_of(vault);
  EXPECT_EQ(check().endangered, 1U);
}

TEST_F(Stored, a_silent_vault_is_taken_at_what_it_signed_for_an_interrupted_capture) {
  interrupt_capture();
  writer_taps_[0]->is_down = true;
  EXPECT_EQ(check().endangered, 0U);
}

TEST_F(Stored, L1_an_agent_that_is_killed_as_soon_as_its_snapshot_is_known_has_the_receipts_for_it) {
  write("a", noise(3 << 20, 7));
  writer_taps_[2]->is_down = true;
  must(agent_->open());
  UntilSnapshot table(agent_->table());
  const engine::CaptureContext with = agent_->context();
  const engine::CaptureContext context{with.env,    with.policy, with.registry,        with.era, with.keys, with.writer,
                                       with.vaults, table,       with.state_directory, with.host};
  engine::TreeCaptureOptions options;
  options.source = source();
  engine::StageTimes times;
  const auto first = must(engine::capture_tree(context, options, times, {}, {}));
  EXPECT_FALSE(first.not_kept.empty()) << "the table took something after the snapshot";
  writer_taps_[2]->is_down = false;
  replace_disk_of(0);
  EXPECT_EQ(check().endangered, first.entries);
}

TEST_F(Stored, a_policy_that_asks_for_more_vaults_asks_for_them_for_what_is_stored_too) {
  write("a", "one");
  writer_taps_[2]->is_down = true;
  const auto first = capture();
  writer_taps_[2]->is_down = false;
  policy::Policy stricter = keys().policy();
  stricter.quorum.k = 3;
  const engine::StoredCheck stored = check_under(stricter);
  EXPECT_EQ(stored.endangered, first.entries);
  EXPECT_THAT(stored.lacking, ElementsAre(name_of(2)));
}

TEST_F(Stored, a_silent_vault_of_new_keys_is_not_taken_at_what_the_old_ones_signed) {
  write("a", "one");
  writer_taps_[2]->is_down = true;
  const auto first = capture();
  writer_taps_[2]->is_down = false;
  writer_taps_[0]->is_down = true;
  EXPECT_EQ(check().endangered, 0U);
  policy::Policy with_new_keys = keys().policy();
  with_new_keys.vaults[0].receipt = machine_key("a new receipt key").public_key();
  EXPECT_EQ(check_under(with_new_keys).endangered, first.entries);
}

TEST_F(Stored, who_did_not_keep_up_with_the_capture_that_has_just_ended_does_not_lack_earlier_ones) {
  write("a", "one");
  writer_taps_[2]->puts_left = 0;
  const auto first = capture();
  ASSERT_THAT(first.vaults_behind(), ElementsAre(name_of(2)));
  EXPECT_THAT(check(first.vaults.front().receipt->receipt.stream).lacking, IsEmpty());
  writer_taps_[2]->puts_left = ~std::uint64_t{0};
  write("b", "two");
  const auto second = capture();
  EXPECT_THAT(check(second.vaults.front().receipt->receipt.stream).lacking, ElementsAre(name_of(2)));
}

}  // namespace
}  // namespace exclave::realm_tests
