// The conformance suite of store::VaultApi, second part: who may do what, and how the realm's acts change it.
// See vault/detail/access.h for the table that this spells out.
#pragma once

#include "tests/conformance/vault_bench.h"

namespace exclave::conformance {

class VaultRolesConformance : public ::testing::TestWithParam<VaultKind> {
 protected:
  void run(const std::function<void(VaultBench&)>& body) { with_vault(GetParam(), body); }
  // An object of "land" that is held, so that refusals are not about its absence.
  static format::ObjectName deposit(VaultBench& bench, WriterStream& stream) {
    const auto writer = bench.as(bench.realm.writer());
    must(writer->open_stream(stream.stream()));
    const Bytes sealed = sealed_object({.registry = bench.realm.land()});
    must(writer->put(stream.next(format::name_of(sealed)), sealed));
    return format::name_of(sealed);
  }
  // Everything that a reader may do and a writer may not.
  static void expect_no_reading(store::VaultApi& api, const format::ObjectName& name, const format::StreamId& stream) {
    Bytes out(16);
    EXPECT_TRUE(failed_with(api.read(name, 0, out), Code::Denied));
    EXPECT_TRUE(failed_with(api.entries(stream, {}, 1), Code::Denied));
  }
  static void expect_no_writing(VaultBench& bench, store::VaultApi& api, WriterStream stream) {
    EXPECT_TRUE(failed_with(api.open_stream(stream.stream()), Code::Denied));
    const Bytes sealed = sealed_object({.registry = bench.realm.land(), .fill = 77});
    EXPECT_TRUE(failed_with(api.put(stream.next(format::name_of(sealed)), sealed), Code::Denied));
    EXPECT_TRUE(failed_with(api.quota(bench.realm.land()), Code::Denied));
  }
  static policy::SignedPolicy without_writer(const VaultBench& bench) {
    return bench.realm.successor(bench.realm.first, [](policy::Policy& next) {
      next.registries[0].writer = machine_key("new writer land").public_key();
    });
  }
};

TEST_P(VaultRolesConformance, writer_reads_neither_objects_nor_entries_not_even_its_own) {
  run([](VaultBench& bench) {
    WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
    const auto name = deposit(bench, stream);
    const auto writer = bench.as(bench.realm.writer());
    expect_no_reading(*writer, name, stream.id());
    EXPECT_TRUE(must(writer->has(name)));
    EXPECT_EQ(must(writer->heads(bench.realm.land())).size(), 1U);
    EXPECT_TRUE(is_ok(writer->status()));
  });
}

TEST_P(VaultRolesConformance, writer_learns_nothing_about_another_registry) {
  run([](VaultBench& bench) {
    WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
    const auto name = deposit(bench, stream);
    const auto other = bench.as(bench.realm.other_writer);
    EXPECT_FALSE(must(other->has(name))) << "held, but for a registry that is not its own";
    EXPECT_TRUE(failed_with(other->heads(bench.realm.land()), Code::Denied));
    EXPECT_TRUE(failed_with(other->quota(bench.realm.land()), Code::Denied));
    EXPECT_TRUE(is_ok(other->quota(bench.realm.people())));
    expect_no_reading(*other, name, stream.id());
  });
}

TEST_P(VaultRolesConformance, writer_cannot_write_into_another_registry) {
  run([](VaultBench& bench) {
    WriterStream lands(bench.realm, bench.realm.writer(), bench.realm.land());
    deposit(bench, lands);
    const auto other = bench.as(bench.realm.other_writer);
    EXPECT_TRUE(failed_with(other->open_stream(lands.stream()), Code::Denied)) << "another writer's stream";
    const WriterStream foreign(bench.realm, bench.realm.other_writer, bench.realm.land(), "foreign");
    EXPECT_TRUE(failed_with(other->open_stream(foreign.stream()), Code::Denied)) << "its own key, another registry";
    const Bytes sealed = sealed_object({.registry = bench.realm.land(), .fill = 5});
    EXPECT_TRUE(failed_with(other->put(lands.next(format::name_of(sealed)), sealed), Code::NotFound));
  });
}

TEST_P(VaultRolesConformance, stream_of_another_realm_or_with_a_wrong_signature_is_denied) {
  run([](VaultBench& bench) {
    const auto writer = bench.as(bench.realm.writer());
    const WriterStream good(bench.realm, bench.realm.writer(), bench.realm.land());
    format::StreamDescriptor elsewhere = good.stream().descriptor;
    elsewhere.realm = seeded_id<format::RealmId>("another realm");
    EXPECT_TRUE(
        failed_with(writer->open_stream(format::SignedStream::sign(elsewhere, bench.realm.writer())), Code::Denied));
    format::SignedStream forged = format::SignedStream::sign(good.stream().descriptor, bench.realm.stranger);
    EXPECT_TRUE(failed_with(writer->open_stream(forged), Code::Denied));
    EXPECT_TRUE(must(writer->heads(bench.realm.land())).empty());
  });
}

TEST_P(VaultRolesConformance, site_reads_everything_and_writes_nothing) {
  run([](VaultBench& bench) {
    WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
    const auto name = deposit(bench, stream);
    const auto site = bench.as(bench.realm.site());
    expect_no_writing(bench, *site, stream);
    Bytes out(16);
    EXPECT_TRUE(is_ok(site->read(name, 0, out)));
    EXPECT_TRUE(must(site->has(name)));
    EXPECT_EQ(must(site->entries(stream.id(), {}, 1)).size(), 1U);
    EXPECT_TRUE(must(site->heads(bench.realm.people())).empty());
  });
}

TEST_P(VaultRolesConformance, another_vault_sees_what_is_held_and_reads_what_it_announces) {
  run([](VaultBench& bench) {
    WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
    const auto name = deposit(bench, stream);
    const auto vault = bench.as(bench.realm.other_vault);
    expect_no_writing(bench, *vault, stream);
    EXPECT_TRUE(must(vault->has(name)));
    EXPECT_EQ(must(vault->entries(stream.id(), {}, 10)).size(), 1U);
    Bytes object(static_cast<std::size_t>(must(vault->size_of(name))));
    EXPECT_TRUE(failed_with(vault->read(name, 0, object), Code::Denied));
    EXPECT_EQ(must(vault->heads(bench.realm.land())).size(), 1U);
    EXPECT_EQ(must(vault->acts()).size(), 2U);
  });
}

TEST_P(VaultRolesConformance, an_unknown_key_is_denied_everything) {
  run([](VaultBench& bench) {
    WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
    const auto name = deposit(bench, stream);
    const auto stranger = bench.as(bench.realm.stranger);
    expect_no_writing(bench, *stranger, stream);
    expect_no_reading(*stranger, name, stream.id());
    EXPECT_TRUE(failed_with(stranger->status(), Code::Denied));
    EXPECT_TRUE(failed_with(stranger->has(name), Code::Denied));
    EXPECT_TRUE(failed_with(stranger->heads(bench.realm.land()), Code::Denied));
    EXPECT_TRUE(failed_with(stranger->acts(), Code::Denied));
    EXPECT_TRUE(failed_with(stranger->act(bench.realm.era.hash), Code::Denied));
    EXPECT_TRUE(failed_with(stranger->put_act(as_bytes(bench.realm.era.document)), Code::Denied));
  });
}

TEST_P(VaultRolesConformance, acts_are_listed_in_order_and_served_byte_for_byte) {
  run([](VaultBench& bench) {
    const auto site = bench.as(bench.realm.site());
    const auto acts = must(site->acts());
    ASSERT_EQ(acts.size(), 2U);
    EXPECT_EQ(acts[0].kind, "policy");
    EXPECT_EQ(as_text(must(site->act(acts[0].hash))), bench.realm.first.document);
    EXPECT_EQ(acts[1].kind, "era");
    EXPECT_EQ(acts[1].hash, bench.realm.era.hash);
    EXPECT_EQ(as_text(must(site->act(acts[1].hash))), bench.realm.era.document);
    EXPECT_TRUE(failed_with(site->act(seeded_id<crypto::Hash256>("none")), Code::NotFound));
  });
}

TEST_P(VaultRolesConformance, only_acts_that_authenticate_themselves_are_kept) {
  run([](VaultBench& bench) {
    const auto site = bench.as(bench.realm.site());
    const auto put = [&](const std::string& document) { return site->put_act(as_bytes(document)); };
    EXPECT_TRUE(is_ok(put(bench.realm.era.document))) << "held already";
    EXPECT_TRUE(is_ok(put(bench.realm.first.document))) << "held already";
    EXPECT_TRUE(failed_with(put("exclave/recipe/v1\nname x\n"), Code::Denied));
    EXPECT_TRUE(failed_with(put("anything"), Code::Denied));

    const auto land = bench.realm.land();
    const auto forged = policy::SignedEra::sign(bench.realm.era_document(land, 2), bench.realm.stranger);
    EXPECT_TRUE(failed_with(put(forged.document), Code::Denied));
    auto foreign = bench.realm.era_document(land, 2);
    foreign.realm = seeded_id<format::RealmId>("another realm");
    EXPECT_FALSE(put(policy::SignedEra::sign(foreign, bench.realm.realm.ceremony).document).ok());
    auto rival = bench.realm.era_document(land, 1);
    rival.starts_seconds += 1;
    EXPECT_TRUE(failed_with(put(policy::SignedEra::sign(rival, bench.realm.realm.ceremony).document), Code::Conflict));
    auto orphan = bench.realm.era_document(land, 2);
    orphan.previous = seeded_id<crypto::Hash256>("another predecessor");
    EXPECT_TRUE(failed_with(put(policy::SignedEra::sign(orphan, bench.realm.realm.ceremony).document), Code::Conflict));
    EXPECT_EQ(must(site->acts()).size(), 2U);

    auto second = bench.realm.era_document(land, 2);
    second.previous = bench.realm.era.hash;
    EXPECT_TRUE(is_ok(put(policy::SignedEra::sign(second, bench.realm.realm.ceremony).document)));
    EXPECT_EQ(must(site->acts()).size(), 3U);
  });
}

TEST_P(VaultRolesConformance, a_new_policy_rules_at_once_and_after_a_restart) {
  run([](VaultBench& bench) {
    const auto next = without_writer(bench);
    {
      WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
      deposit(bench, stream);
      const auto writer = bench.as(bench.realm.writer());
      const auto site = bench.as(bench.realm.site());
      EXPECT_TRUE(is_ok(writer->status()));
      must(site->put_act(as_bytes(next.document)));
      EXPECT_EQ(must(site->status()).policy, format::PolicyVersion(2));
      expect_no_writing(bench, *writer, stream);
      EXPECT_TRUE(failed_with(writer->status(), Code::Denied)) << "on a connection from before";

      const crypto::Ed25519SigningKey new_key = machine_key("new writer land");
      const auto new_writer = bench.as(new_key);
      const Bytes sealed = sealed_object({.registry = bench.realm.land(), .fill = 9});
      EXPECT_TRUE(failed_with(new_writer->put(stream.next(format::name_of(sealed)), sealed), Code::Denied))
          << "the stream is its predecessor's";
      WriterStream fresh(bench.realm, new_key, bench.realm.land());
      must(new_writer->open_stream(fresh.stream()));
      const auto receipt = must(new_writer->put(fresh.next(format::name_of(sealed)), sealed));
      ASSERT_TRUE(receipt.has_value());
      EXPECT_EQ(receipt->receipt.policy, format::PolicyVersion(2));
    }
    bench.restart();
    EXPECT_EQ(must(bench.as(bench.realm.site())->status()).policy, format::PolicyVersion(2));
    EXPECT_TRUE(failed_with(bench.as(bench.realm.writer())->status(), Code::Denied));
  });
}

TEST_P(VaultRolesConformance, policies_that_are_no_successor_are_refused) {
  run([](VaultBench& bench) {
    const auto site = bench.as(bench.realm.site());
    const auto second = without_writer(bench);
    const auto rival =
        bench.realm.successor(bench.realm.first, [](policy::Policy& next) { next.expires_seconds += 1; });
    const auto third = bench.realm.successor(second, [](policy::Policy&) {});
    EXPECT_FALSE(site->put_act(as_bytes(third.document)).ok()) << "it leaves one out";
    policy::Policy too_few = second.policy;
    const auto alone = bench.realm.realm.signed_by(too_few, {"alice"});
    EXPECT_TRUE(failed_with(site->put_act(as_bytes(alone.document)), Code::Denied));
    must(site->put_act(as_bytes(second.document)));
    EXPECT_FALSE(site->put_act(as_bytes(rival.document)).ok()) << "a second version 2";
    EXPECT_TRUE(is_ok(site->put_act(as_bytes(bench.realm.first.document)))) << "held, but no longer in force";
    EXPECT_EQ(must(site->status()).policy, format::PolicyVersion(2));
    EXPECT_EQ(must(site->acts()).size(), 3U);
  });
}

TEST_P(VaultRolesConformance, a_vault_whose_receipt_key_was_replaced_serves_but_takes_nothing_in) {
  run([](VaultBench& bench) {
    WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
    const auto name = deposit(bench, stream);
    const auto site = bench.as(bench.realm.site());
    const auto next = bench.realm.successor(bench.realm.first, [](policy::Policy& policy) {
      for (policy::VaultEntry& vault : policy.vaults) {
        if (vault.name == "lux") vault.receipt = machine_key("new lux receipt").public_key();
      }
    });
    must(site->put_act(as_bytes(next.document)));
    const auto writer = bench.as(bench.realm.writer());
    EXPECT_TRUE(failed_with(writer->open_stream(stream.stream()), Code::Denied));
    const Bytes sealed = sealed_object({.registry = bench.realm.land(), .fill = 77});
    EXPECT_TRUE(failed_with(writer->put(stream.next(format::name_of(sealed)), sealed), Code::Denied));
    Bytes out(16);
    EXPECT_TRUE(is_ok(site->read(name, 0, out)));
    bench.restart();
    EXPECT_TRUE(is_ok(bench.as(bench.realm.site())->read(name, 0, out))) << "under its old name, with its old key";
  });
}

}  // namespace exclave::conformance
