#include "vault/vault.h"

#include <gtest/gtest.h>

#include "format/object.h"
#include "tests/conformance/vault_case.h"
#include "vault/claims.h"

namespace exclave::vault {
namespace {

using conformance::failed_with;
using conformance::is_ok;
using conformance::must;
using conformance::seeded_id;
using conformance::VaultTest;
using conformance::WriterStream;

TEST_F(VaultTest, retention_comes_from_the_policy_and_this_vaults_clock) {
  const Bytes sealed = object(1);
  must(writer().put(stream_.next(format::name_of(sealed)), sealed));
  const auto retention = static_cast<std::int64_t>(bench_.realm.policy().registries[0].retention_seconds);
  EXPECT_EQ(retained_until(0), lux().env().clock.now().seconds() + retention);
}

TEST_F(VaultTest, retention_is_extended_by_another_entry_and_never_shortened) {
  const Bytes sealed = object(1);
  must(writer().put(stream_.next(format::name_of(sealed)), sealed));
  const std::int64_t first = retained_until(0);
  lux().jump_clock(std::chrono::hours(24));
  must(writer().put(stream_.next(format::name_of(sealed)), {}));
  EXPECT_EQ(retained_until(0), first + 86'400);
  lux().jump_clock(std::chrono::hours(-240));
  must(writer().put(stream_.next(format::name_of(sealed)), {}));
  EXPECT_EQ(retained_until(0), first + 86'400) << "a clock that was set back shortens nothing";
  const auto shorter = bench_.realm.successor(bench_.realm.first,
                                              [](policy::Policy& next) { next.registries[0].retention_seconds = 1; });
  must(site().put_act(as_bytes(shorter.document)));
  must(writer().put(stream_.next(format::name_of(sealed)), {}));
  EXPECT_EQ(retained_until(0), first + 86'400) << "nor does a policy with a shorter one";
}

TEST_F(VaultTest, retention_that_exceeds_time_itself_stays_at_the_end_of_time) {
  const auto longest = bench_.realm.successor(
      bench_.realm.first, [](policy::Policy& next) { next.registries[0].retention_seconds = ~std::uint64_t{0}; });
  must(site().put_act(as_bytes(longest.document)));
  const Bytes sealed = object(1);
  must(writer().put(stream_.next(format::name_of(sealed)), sealed));
  EXPECT_EQ(retained_until(0), std::numeric_limits<std::int64_t>::max());
}

TEST_F(VaultTest, an_object_that_the_disk_lost_is_not_claimed_to_be_held_and_can_be_put_again) {
  const Bytes sealed = object(1);
  const auto entry = stream_.next(format::name_of(sealed));
  must(writer().put(entry, sealed));
  const std::uint64_t before = used();
  must(lux().env().files.remove_file(path_of(format::name_of(sealed))));
  EXPECT_FALSE(must(writer().has(format::name_of(sealed))));
  EXPECT_TRUE(failed_with(writer().put(entry, {}), Code::NotFound)) << "no receipt for what is known to be lost";
  EXPECT_TRUE(must(writer().put(entry, sealed)).has_value());
  EXPECT_EQ(must(store::read_object(site(), format::name_of(sealed), sealed.size())), sealed);
  EXPECT_EQ(used(), before);
}

TEST_F(VaultTest, H7_a_damaged_leftover_is_replaced_by_the_bytes_that_were_just_received) {
  const auto lay_down = [&](const format::ObjectName& name, ByteView bytes) {
    ignore(lux().env().files.remove_file(path_of(name)), "there may be none");
    must(env::create_file_durably(lux().env().files, path_of(name), bytes, 0400));
  };
  const auto expect_whole = [&](const Bytes& sealed) {
    EXPECT_EQ(must(store::read_object(site(), format::name_of(sealed), sealed.size())), sealed);
  };
  // Without a row, as a crash on a bad disk may leave it: cut short, or of the right size with other bytes.
  const Bytes first = object(1);
  const Bytes second = object(2);
  Bytes rotten = second;
  rotten[1000] ^= 1;
  lay_down(format::name_of(first), ByteView(first).first(1000));
  lay_down(format::name_of(second), rotten);
  for (const Bytes& sealed : {first, second}) {
    EXPECT_TRUE(must(writer().put(stream_.next(format::name_of(sealed)), sealed)).has_value());
    expect_whole(sealed);
  }
  EXPECT_EQ(must(lux().env().files.list("/srv/vault/objects/damaged")).size(), 2U);
  EXPECT_TRUE(lux().has_logged("the file that lay there was set aside"));

  // With a row: another size is as good as lost.
  lay_down(format::name_of(first), ByteView(first).first(1000));
  const auto again = stream_.next(format::name_of(first));
  EXPECT_TRUE(failed_with(writer().put(again, {}), Code::NotFound));
  EXPECT_TRUE(must(writer().put(again, first)).has_value());
  expect_whole(first);
}

TEST_F(VaultTest, no_receipt_is_given_while_the_disk_refuses_to_sync) {
  const Bytes sealed = object(1);
  const auto entry = stream_.next(format::name_of(sealed));
  lux().inject({.call = sim::FileCall::Sync, .path_part = "/objects/"});
  EXPECT_TRUE(failed_with(writer().put(entry, sealed), Code::Unavailable));
  EXPECT_EQ(must(site().heads(bench_.realm.land()))[0].receipt, std::nullopt);
  lux().inject({.call = sim::FileCall::Sync, .path_part = "/table/"});
  EXPECT_FALSE(writer().put(entry, sealed).ok());
  EXPECT_TRUE(must(writer().put(entry, sealed)).has_value()) << "and once it syncs again, all is well";
  EXPECT_EQ(must(site().status()).object_count, 1U);
}

TEST_F(VaultTest, what_the_disk_said_is_told_to_the_operator_and_not_to_the_caller) {
  const Bytes sealed = object(1);
  const auto entry = stream_.next(format::name_of(sealed));
  const auto longer = bench_.realm.successor(bench_.realm.first, [](policy::Policy& next) { ++next.expires_seconds; });
  const auto told = [](const auto& result) { return result.ok() ? std::string() : result.error().message(); };
  for (const std::string part : {"/objects/", "/table/", "/acts/"}) {
    lux().inject({.call = sim::FileCall::Sync, .path_part = part});
    const std::string message =
        part == "/acts/" ? told(site().put_act(as_bytes(longer.document))) : told(writer().put(entry, sealed));
    EXPECT_NE(message.find("the vault's disk failed"), std::string::npos) << part << ": " << message;
    EXPECT_EQ(message.find("/srv"), std::string::npos) << message;
    EXPECT_TRUE(lux().has_logged("/srv/vault" + part)) << part;
    lux().clear_faults();
  }
}

TEST_F(VaultTest, a_full_disk_refuses_objects_and_keeps_answering) {
  const Bytes first = object(1);
  must(writer().put(stream_.next(format::name_of(first)), first));
  lux().disk().set_capacity_bytes(lux().disk().used_bytes() + (1 << 20));  // the reserve of the bench's store
  const Bytes second = object(2);
  const auto entry = stream_.next(format::name_of(second));
  EXPECT_TRUE(failed_with(writer().put(entry, second), Code::Exhausted));
  EXPECT_TRUE(must(site().heads(bench_.realm.land()))[0].receipt.has_value());
  EXPECT_EQ(must(store::read_object(site(), format::name_of(first), first.size())), first);
  lux().disk().set_capacity_bytes(std::uint64_t{1} << 40);
  EXPECT_TRUE(must(writer().put(entry, second)).has_value());
}

// An object on its way in, during which something happens.
class EventfulSource final : public wire::ObjectSource {
 public:
  EventfulSource(ByteView object, std::function<void()> event) : object_(object), event_(std::move(event)) {}
  std::uint64_t size() const override { return object_.size(); }
  Status read_exactly(MutableByteView out) override {
    std::copy_n(object_.begin(), out.size(), out.begin());
    event_();
    return {};
  }

 private:
  const ByteView object_;
  const std::function<void()> event_;
};

TEST_F(VaultTest, a_policy_that_comes_during_an_upload_decides_about_it) {
  const Bytes sealed = object(1);
  const auto entry = stream_.next(format::name_of(sealed));
  const auto revoking = bench_.realm.successor(bench_.realm.first, [](policy::Policy& next) {
    next.registries[0].writer = policy::testing::machine_key("new writer land").public_key();
  });
  EventfulSource source(sealed, [&] { must(site().put_act(as_bytes(revoking.document))); });
  const wire::Caller caller{bench_.realm.writer().public_key()};
  EXPECT_TRUE(failed_with(bench_.vault().put(caller, entry, source), Code::Denied));
  EXPECT_EQ(must(site().heads(bench_.realm.land()))[0].entries, 0U);
}

TEST_F(VaultTest, a_writer_moved_to_another_registry_during_an_upload_is_refused) {
  const Bytes sealed = object(1);
  const auto entry = stream_.next(format::name_of(sealed));
  const auto moving = bench_.realm.successor(bench_.realm.first, [&](policy::Policy& next) {
    next.registries[0].writer = policy::testing::machine_key("new writer land").public_key();
    next.registries[1].writer = bench_.realm.writer().public_key();
  });
  EventfulSource source(sealed, [&] { must(site().put_act(as_bytes(moving.document))); });
  const wire::Caller caller{bench_.realm.writer().public_key()};
  EXPECT_TRUE(failed_with(bench_.vault().put(caller, entry, source), Code::Denied));
  EXPECT_EQ(must(site().heads(bench_.realm.land()))[0].entries, 0U);
}

TEST_F(VaultTest, a_registry_that_had_room_again_is_reported_when_it_is_full_again) {
  const auto alarms = [&] {
    std::size_t count = 0;
    for (const auto& line : lux().log()) count += line.message.find("registry land: quota") == 0 ? 1U : 0U;
    return count;
  };
  policy::SignedPolicy current = bench_.realm.first;
  std::uint64_t fill = 1;
  for (const std::uint64_t quota : {1'000'000U, 3'000'000U}) {
    current = bench_.realm.successor(current, [&](policy::Policy& next) { next.registries[0].quota_bytes = quota; });
    must(site().put_act(as_bytes(current.document)));
    for (int i = 0; i < 20; ++i) {
      WriterStream copy = stream_;
      const Bytes sealed = object(fill++);
      if (writer().put(copy.next(format::name_of(sealed)), sealed).ok()) stream_.next(format::name_of(sealed));
    }
  }
  EXPECT_EQ(alarms(), 2U);
}

TEST_F(VaultTest, the_same_entry_on_two_connections_is_received_once) {
  const Bytes sealed = object(1);
  const auto entry = stream_.next(format::name_of(sealed));
  EventfulSource source(sealed, [&] { EXPECT_TRUE(failed_with(writer().put(entry, sealed), Code::Unavailable)); });
  const wire::Caller caller{bench_.realm.writer().public_key()};
  EXPECT_TRUE(is_ok(bench_.vault().put(caller, entry, source)));
  EXPECT_TRUE(must(writer().put(entry, {})).has_value());
}

TEST_F(VaultTest, fork_evidence_is_kept_once_per_stream_and_logged_once) {
  const Bytes first = object(1);
  const Bytes other = object(2);
  WriterStream forked = stream_;
  const auto held = stream_.next(format::name_of(first));
  const auto rival = forked.next(format::name_of(other));
  must(writer().put(held, first));
  EXPECT_TRUE(failed_with(writer().put(rival, other), Code::Conflict));
  EXPECT_TRUE(failed_with(writer().put(rival, other), Code::Conflict));
  std::size_t logged = 0;
  for (const auto& line : lux().log()) logged += line.message.find("fork:") != std::string::npos ? 1U : 0U;
  EXPECT_EQ(logged, 1U);
  writer_.reset();
  bench_.close();
  const auto table = must(table::open_log_table(lux().env().files, lux().env().threads, "/srv/vault/table"));
  const auto evidence = must(Records(*table).fork(stream_.id()));
  ASSERT_TRUE(evidence.has_value());
  EXPECT_EQ(evidence->first, held.document());
  EXPECT_EQ(evidence->second, rival.document());
}

TEST_F(VaultTest, a_file_of_acts_that_was_altered_is_reported_and_not_served) {
  const crypto::Hash256 hash = bench_.realm.era.hash;
  must(lux().disk().flip_bit("/srv/vault/acts/" + hash.hex(), 40));
  EXPECT_TRUE(failed_with(site().act(hash), Code::Corrupt));
}

TEST_F(VaultTest, heads_of_more_streams_than_a_page_holds_come_complete_and_in_order) {
  for (std::size_t i = 0; i < wire::kHeadsPerPage + 1; ++i) {
    const WriterStream more(bench_.realm, bench_.realm.writer(), bench_.realm.land(), "more " + std::to_string(i));
    must(writer().open_stream(more.stream()));
  }
  const auto heads = must(site().heads(bench_.realm.land()));
  ASSERT_EQ(heads.size(), wire::kHeadsPerPage + 2);
  for (std::size_t i = 1; i < heads.size(); ++i) {
    EXPECT_LT(heads[i - 1].stream.descriptor.id(), heads[i].stream.descriptor.id());
  }
}

TEST_F(VaultTest, a_directory_belongs_to_one_open_vault) {
  const auto second = Vault::open(bench_.vault_world(), "/srv/vault", policy::testing::machine_key("lux receipt"),
                                  bench_.open_table(), {.program = "", .store = {}});
  EXPECT_TRUE(failed_with(second, Code::Conflict));
}

// A table after a write whose sync failed: it reads what the kernel's cache alone may hold.
class DoubtfulTable final : public table::Table {
 public:
  DoubtfulTable(std::unique_ptr<table::Table> inner, const bool& is_in_doubt)
      : inner_(std::move(inner)), is_in_doubt_(is_in_doubt) {}
  Result<std::optional<Bytes>> get(ByteView key) const override { return inner_->get(key); }
  Status write(const table::Batch& batch, table::Durability durability) override {
    TRY(settled());
    return inner_->write(batch, durability);
  }
  std::uint64_t generation() const override { return inner_->generation(); }
  Status settled() const override {
    if (is_in_doubt_) return Error(Code::Unavailable, "Read-only file system");
    return {};
  }
  Status flush() override { return inner_->flush(); }
  Status scan(const table::KeyRange& range, const Visitor& visitor) const override {
    return inner_->scan(range, visitor);
  }

 private:
  const std::unique_ptr<table::Table> inner_;
  const bool& is_in_doubt_;
};

// Found by review: what came back from the kernel's cache after a failed sync was signed for.
TEST_F(VaultTest, H7_nothing_is_signed_for_that_the_table_may_hold_in_memory_alone) {
  const Bytes sealed = object(1);
  const auto entry = stream_.next(format::name_of(sealed));
  must(writer().put(entry, sealed));
  bench_.close();
  bool is_in_doubt = false;
  const auto open_table = [&](const std::string& path) -> Result<std::unique_ptr<table::Table>> {
    return std::unique_ptr<table::Table>(std::make_unique<DoubtfulTable>(TRY(bench_.open_table()(path)), is_in_doubt));
  };
  const auto vault = must(
      Vault::open(bench_.vault_world(), "/srv/vault", policy::testing::machine_key("lux receipt"), open_table, {}));
  EmbeddedVault door(*vault, wire::Caller{bench_.realm.writer().public_key()}, bench_.realm.policy().vaults.front(),
                     bench_.realm.policy().realm);
  EXPECT_TRUE(must(door.put(entry, {})).has_value());
  is_in_doubt = true;
  EXPECT_TRUE(failed_with(door.put(entry, {}), Code::Unavailable));
  const auto shown = must(door.heads(bench_.realm.land()));
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown[0].entries, 1U) << "who restores is shown what there is";
  EXPECT_FALSE(shown[0].receipt.has_value());
  is_in_doubt = false;
  EXPECT_TRUE(must(door.heads(bench_.realm.land()))[0].receipt.has_value());
}

TEST_F(VaultTest, opening_needs_a_vault_and_the_receipt_key_of_some_policy) {
  bench_.close();
  const auto open = [&](const std::string& path, std::string_view key) {
    return Vault::open(bench_.vault_world(), path, policy::testing::machine_key(key), bench_.open_table(), {});
  };
  EXPECT_TRUE(failed_with(open("/srv/nothing", "lux receipt"), Code::NotFound));
  EXPECT_TRUE(failed_with(open("/srv/vault", "another key"), Code::Precondition));
  EXPECT_TRUE(is_ok(open("/srv/vault", "lux receipt")));
}

TEST_F(VaultTest, a_table_older_than_its_objects_is_reported_at_start) {
  const auto lie_there = [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto name = seeded_id<format::ObjectName>("lost " + std::to_string(i));
      ignore(env::create_file_durably(lux().env().files, path_of(name), {}, 0400), "it may lie there already");
    }
  };
  const auto unlisted = [&] {
    restart();
    return must(bench_.as(bench_.realm.site())->status()).unlisted_objects;
  };
  const Bytes sealed = object(1);
  must(writer().put(stream_.next(format::name_of(sealed)), sealed));
  lie_there(kMostCutOff);
  EXPECT_EQ(unlisted(), 0U) << "so many can be what a crash has cut off";
  lie_there(kMostCutOff + 1);
  EXPECT_EQ(unlisted(), kMostCutOff + 1);
  EXPECT_TRUE(lux().has_logged("it is older than what was promised on it"));
}

TEST_F(VaultTest, a_vault_whose_table_is_gone_is_neither_opened_nor_created_as_an_empty_one) {
  const Bytes sealed = object(1);
  must(writer().put(stream_.next(format::name_of(sealed)), sealed));
  bench_.close();
  env::FileSystem& files = lux().env().files;
  const auto open = [&] {
    return Vault::open(bench_.vault_world(), "/srv/vault", policy::testing::machine_key("lux receipt"),
                       bench_.open_table(), {});
  };
  const auto create_again = [&] {
    return create(bench_.vault_world(), "/srv/vault", {to_bytes(bench_.realm.first.document)}, bench_.open_table());
  };
  const auto expect_refused = [&] {
    for (int start = 0; start < 2; ++start) {
      EXPECT_TRUE(failed_with(create_again(), Code::Corrupt));
      EXPECT_TRUE(failed_with(open(), Code::Corrupt));
    }
  };
  must(files.remove_file("/srv/vault/table/table.log"));
  expect_refused();
  for (const std::string& name : must(files.list("/srv/vault/table")))
    must(files.remove_file("/srv/vault/table/" + name));
  expect_refused();
  must(bench_.open_table()("/srv/vault/table"));  // somebody made one by hand
  expect_refused();
}

TEST_F(VaultTest, creating_checks_the_acts_and_happens_once) {
  const auto create_from = [&](const std::string& path, const std::vector<std::string>& documents) {
    std::vector<Bytes> acts;
    for (const std::string& document : documents) acts.push_back(to_bytes(document));
    return create(bench_.vault_world(), path, acts, bench_.open_table());
  };
  const auto& realm = bench_.realm;
  const auto second = realm.successor(realm.first, [](policy::Policy& next) { next.expires_seconds += 1; });
  const auto forged = policy::SignedEra::sign(realm.era_document(realm.land(), 1), realm.stranger);
  EXPECT_TRUE(failed_with(create_from("/srv/a", {}), Code::InvalidInput));
  EXPECT_TRUE(failed_with(create_from("/srv/a", {"nonsense"}), Code::InvalidInput));
  EXPECT_FALSE(create_from("/srv/a", {second.document}).ok()) << "the chain begins with version 1";
  EXPECT_TRUE(failed_with(create_from("/srv/a", {realm.first.document, forged.document}), Code::Denied));
  auto rival = realm.era_document(realm.land(), 1);
  rival.starts_seconds += 1;
  const auto second_era = policy::SignedEra::sign(rival, realm.realm.ceremony);
  EXPECT_TRUE(failed_with(create_from("/srv/a", {realm.first.document, realm.era.document, second_era.document}),
                          Code::Conflict));
  bench_.close();
  EXPECT_TRUE(failed_with(create_from("/srv/vault", {realm.first.document}), Code::AlreadyExists));
  EXPECT_TRUE(is_ok(create_from("/srv/a", {realm.era.document, second.document, realm.first.document})));
  const auto vault = must(Vault::open(bench_.vault_world(), "/srv/a", policy::testing::machine_key("lux receipt"),
                                      bench_.open_table(), {}));
  EXPECT_EQ(vault->policy().policy.version, format::PolicyVersion(2));
  EXPECT_EQ(must(vault->acts({realm.site().public_key()})).size(), 3U);
}

TEST(Claims, a_place_and_an_object_are_held_by_one_put_at_a_time) {
  Claims claims;
  const auto land = seeded_id<format::RegistryId>("land");
  const auto stream = seeded_id<format::StreamId>("stream");
  const auto object = seeded_id<format::ObjectName>("object");
  const auto other = seeded_id<format::ObjectName>("other");
  {
    const auto claim = must(claims.take(land, stream, format::EntryIndex(1), object));
    EXPECT_TRUE(failed_with(claims.take(land, stream, format::EntryIndex(1), other), Code::Unavailable));
    EXPECT_TRUE(failed_with(claims.take(land, stream, format::EntryIndex(2), object), Code::Unavailable));
    EXPECT_TRUE(is_ok(claims.take(land, stream, format::EntryIndex(2), other))) << "a refused claim holds nothing";
    EXPECT_TRUE(is_ok(claims.take(seeded_id<format::RegistryId>("people"), seeded_id<format::StreamId>("another"),
                                  format::EntryIndex(1), object)))
        << "nobody keeps another registry's object waiting by naming it";
  }
  EXPECT_TRUE(is_ok(claims.take(land, stream, format::EntryIndex(1), object)));
}

TEST(Claims, bytes_on_their_way_count_against_the_quota_until_they_are_given_back) {
  Claims claims;
  const auto stream = seeded_id<format::StreamId>("stream");
  const auto land = seeded_id<format::RegistryId>("land");
  auto first = must(claims.take(land, stream, format::EntryIndex(1), seeded_id<format::ObjectName>("1")));
  auto second = must(claims.take(land, stream, format::EntryIndex(2), seeded_id<format::ObjectName>("2")));
  {
    const auto moved = std::move(first);
    must(second.reserve(60, 0, 100));
  }
  auto third = must(claims.take(land, stream, format::EntryIndex(1), seeded_id<format::ObjectName>("1")));
  EXPECT_TRUE(failed_with(third.reserve(41, 0, 100), Code::Exhausted));
  EXPECT_TRUE(failed_with(third.reserve(31, 10, 100), Code::Exhausted));
  EXPECT_TRUE(failed_with(third.reserve(1, 101, 100), Code::Exhausted));
  EXPECT_TRUE(is_ok(third.reserve(30, 10, 100)));
  auto fourth = must(claims.take(seeded_id<format::RegistryId>("people"), stream, format::EntryIndex(4),
                                 seeded_id<format::ObjectName>("4")));
  EXPECT_TRUE(is_ok(fourth.reserve(100, 0, 100))) << "each registry by itself";
}

}  // namespace
}  // namespace exclave::vault
