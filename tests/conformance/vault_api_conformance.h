// The conformance suite of store::VaultApi, for writers and sites: what comes in, what is promised, what comes out.
// Also shows what vault_api.h means. Who may do what is in vault_roles_conformance.h.
#pragma once

#include <array>
#include <atomic>
#include <set>

#include "tests/conformance/vault_bench.h"

namespace exclave::conformance {

class VaultApiConformance : public ::testing::TestWithParam<VaultKind> {
 protected:
  // A vault on which the writer of "land" has opened a stream.
  struct Deposit {
    explicit Deposit(VaultBench& bench)
        : writer(bench.as(bench.realm.writer())),
          site(bench.as(bench.realm.site())),
          stream(bench.realm, bench.realm.writer(), bench.realm.land()) {
      must(writer->open_stream(stream.stream()));
    }
    std::unique_ptr<store::VaultApi> writer;
    std::unique_ptr<store::VaultApi> site;
    WriterStream stream;
  };

  void run(const std::function<void(VaultBench&)>& body) { with_vault(GetParam(), body); }
  void run(const std::function<void(VaultBench&, Deposit&)>& body) {
    with_vault(GetParam(), [&](VaultBench& bench) {
      Deposit deposit(bench);
      body(bench, deposit);
    });
  }
  static Bytes object(const VaultBench& bench, std::uint64_t fill, std::uint8_t size_class = 18) {
    return sealed_object({.registry = bench.realm.land(), .size_class = size_class, .fill = fill});
  }
};

TEST_P(VaultApiConformance, what_was_put_comes_back_through_heads_entries_and_read) {
  run([](VaultBench& bench, Deposit& deposit) {
    std::vector<Bytes> objects;
    std::vector<format::SignedEntry> entries;
    for (std::uint64_t i = 0; i < 3; ++i) {
      objects.push_back(object(bench, i, i == 1 ? 20 : 18));
      const auto snapshot = i == 2 ? std::optional(format::PeriodNumber(0)) : std::nullopt;
      entries.push_back(deposit.stream.next(format::name_of(objects.back()), snapshot));
      const auto receipt = must(deposit.writer->put(entries.back(), objects.back()));
      ASSERT_TRUE(receipt.has_value());
      EXPECT_EQ(receipt->receipt.index, entries.back().entry.index);
      EXPECT_EQ(receipt->receipt.chain, entries.back().entry.chain);
      EXPECT_EQ(receipt->receipt.policy, format::PolicyVersion(1));
      EXPECT_TRUE(is_ok(receipt->check_signature()));
    }
    const auto heads = must(deposit.site->heads(bench.realm.land()));
    ASSERT_EQ(heads.size(), 1U);
    EXPECT_EQ(heads[0].stream.document(), deposit.stream.stream().document());
    EXPECT_EQ(heads[0].entries, 3U);
    ASSERT_TRUE(heads[0].receipt.has_value());
    EXPECT_EQ(heads[0].receipt->receipt.chain, deposit.stream.chain());

    const auto held = must(deposit.site->entries(deposit.stream.id(), format::EntryIndex(0), 100));
    ASSERT_EQ(held.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(held[i].entry.document(), entries[i].document());
      EXPECT_EQ(held[i].object_bytes, objects[i].size());
      EXPECT_EQ(held[i].period, must(format::decode_header(objects[i])).key.period);
      const format::ObjectName& name = held[i].entry.entry.object;
      EXPECT_EQ(must(deposit.site->size_of(name)), objects[i].size());
      EXPECT_EQ(must(store::read_object(*deposit.site, name, objects[i].size())), objects[i]);
    }
  });
}

TEST_P(VaultApiConformance, putting_the_same_again_gives_the_current_receipt) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes first = object(bench, 1);
    const Bytes second = object(bench, 2);
    const auto entry = deposit.stream.next(format::name_of(first));
    must(deposit.writer->put(entry, first));
    must(deposit.writer->put(deposit.stream.next(format::name_of(second)), second));
    const std::uint64_t used = must(deposit.writer->quota(bench.realm.land())).used_bytes;
    const auto again = must(deposit.writer->put(entry, first));
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->receipt.index, format::EntryIndex(1)) << "receipts are cumulative";
    EXPECT_EQ(again->receipt.chain, deposit.stream.chain());
    EXPECT_EQ(must(deposit.writer->quota(bench.realm.land())).used_bytes, used);
    EXPECT_EQ(must(deposit.site->heads(bench.realm.land()))[0].entries, 2U);
  });
}

TEST_P(VaultApiConformance, entries_may_come_early_and_the_head_waits_for_the_missing_one) {
  run([](VaultBench& bench, Deposit& deposit) {
    std::vector<Bytes> objects;
    std::vector<format::SignedEntry> entries;
    for (std::uint64_t i = 0; i < 5; ++i) {
      objects.push_back(object(bench, i));
      entries.push_back(deposit.stream.next(format::name_of(objects[i])));
    }
    EXPECT_EQ(must(deposit.writer->put(entries[3], objects[3])), std::nullopt);
    EXPECT_EQ(must(deposit.writer->put(entries[1], objects[1])), std::nullopt);
    EXPECT_EQ(must(deposit.site->heads(bench.realm.land()))[0].receipt, std::nullopt);
    EXPECT_EQ(must(deposit.site->heads(bench.realm.land()))[0].entries, 2U);
    EXPECT_EQ(must(deposit.writer->put(entries[0], objects[0]))->receipt.index, format::EntryIndex(1));
    EXPECT_EQ(must(deposit.writer->put(entries[4], objects[4])), std::nullopt);
    EXPECT_EQ(must(deposit.writer->put(entries[3], objects[3])), std::nullopt) << "held, but not reached";
    const auto receipt = must(deposit.writer->put(entries[2], objects[2]));
    ASSERT_TRUE(receipt.has_value());
    EXPECT_EQ(receipt->receipt.index, format::EntryIndex(4));
    EXPECT_EQ(receipt->receipt.chain, entries[4].entry.chain);
  });
}

TEST_P(VaultApiConformance, an_object_that_is_held_need_not_be_sent) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = object(bench, 1);
    const auto entry = deposit.stream.next(format::name_of(sealed));
    EXPECT_FALSE(must(deposit.writer->has(format::name_of(sealed))));
    EXPECT_TRUE(failed_with(deposit.writer->put(entry, {}), Code::NotFound));
    must(deposit.writer->put(entry, sealed));
    EXPECT_TRUE(must(deposit.writer->has(format::name_of(sealed))));
    EXPECT_TRUE(must(deposit.writer->put(entry, {})).has_value()) << "a held entry";

    WriterStream second(bench.realm, bench.realm.writer(), bench.realm.land(), "second start");
    must(deposit.writer->open_stream(second.stream()));
    EXPECT_TRUE(must(deposit.writer->put(second.next(format::name_of(sealed)), {})).has_value()) << "a held object";
  });
}

TEST_P(VaultApiConformance, an_object_counts_once_against_the_quota) {
  run([](VaultBench& bench, Deposit& deposit) {
    const std::uint64_t before = must(deposit.writer->quota(bench.realm.land())).used_bytes;
    const Bytes sealed = object(bench, 1);
    must(deposit.writer->put(deposit.stream.next(format::name_of(sealed)), sealed));
    must(deposit.writer->put(deposit.stream.next(format::name_of(sealed)), sealed));
    const auto quota = must(deposit.writer->quota(bench.realm.land()));
    EXPECT_EQ(quota.used_bytes - before, sealed.size() + 2 * vault::kEntryCharge);
    EXPECT_EQ(quota.quota_bytes, bench.realm.policy().registries[0].quota_bytes);
  });
}

TEST_P(VaultApiConformance, an_object_of_another_name_is_refused_and_nothing_stays) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes promised = object(bench, 1, 20);
    Bytes sent = promised;
    sent.back() ^= 1;
    const auto entry = deposit.stream.next(format::name_of(promised));
    const auto quota = must(deposit.writer->quota(bench.realm.land())).used_bytes;
    EXPECT_TRUE(failed_with(deposit.writer->put(entry, sent), Code::InvalidInput));
    EXPECT_FALSE(must(deposit.writer->has(format::name_of(promised))));
    EXPECT_FALSE(must(deposit.writer->has(format::name_of(sent))));
    EXPECT_EQ(must(deposit.writer->quota(bench.realm.land())).used_bytes, quota);
    EXPECT_EQ(must(deposit.site->heads(bench.realm.land()))[0].entries, 0U);
    EXPECT_TRUE(is_ok(deposit.writer->put(entry, promised))) << "the name is not squatted";
  });
}

// H3, C7: whoever reaches a vault over a connection is believed nothing.
TEST_P(VaultApiConformance, the_name_of_a_sealed_object_is_relied_upon_in_the_same_process_alone) {
  run([](VaultBench& bench, Deposit& deposit) {
    const auto put_named = [&](const format::SignedEntry& entry, const format::ObjectName& name, const Bytes& bytes) {
      return deposit.writer->put_sealed(entry, {name, 20, std::make_shared<const Bytes>(bytes)});
    };
    const Bytes promised = object(bench, 1, 20);
    const Bytes other = object(bench, 2, 20);
    const auto entry = deposit.stream.next(format::name_of(promised));
    EXPECT_TRUE(failed_with(put_named(entry, format::name_of(other), other), Code::InvalidInput));
    EXPECT_FALSE(must(deposit.writer->has(format::name_of(other))));
    if (GetParam().door != Door::Embedded) {
      EXPECT_TRUE(failed_with(put_named(entry, format::name_of(promised), other), Code::InvalidInput));
      EXPECT_FALSE(must(deposit.writer->has(format::name_of(promised))));
    }
    EXPECT_TRUE(is_ok(put_named(entry, format::name_of(promised), promised)));
    EXPECT_EQ(must(store::read_object(*deposit.site, format::name_of(promised), promised.size())), promised);
  });
}

TEST_P(VaultApiConformance, objects_of_a_wrong_form_are_refused) {
  run([](VaultBench& bench, Deposit& deposit) {
    const auto refusal = [&](const Bytes& malformed) {
      WriterStream stream = deposit.stream;
      const auto put = deposit.writer->put(stream.next(format::name_of(malformed)), malformed);
      EXPECT_EQ(must(deposit.writer->has(format::name_of(malformed))), put.ok());
      return put;
    };
    const Bytes good = object(bench, 1);
    EXPECT_TRUE(failed_with(refusal(Bytes(good.begin(), good.end() - 1)), Code::InvalidInput)) << "no class";
    Bytes other_class = good;
    other_class[12] = 20;
    EXPECT_TRUE(failed_with(refusal(other_class), Code::InvalidInput)) << "the class of another size";
    Bytes no_magic = good;
    no_magic[0] = 'e';
    EXPECT_TRUE(failed_with(refusal(no_magic), Code::InvalidInput));
    Bytes reserved = good;
    reserved[47] = 1;
    EXPECT_TRUE(failed_with(refusal(reserved), Code::InvalidInput));
    EXPECT_TRUE(is_ok(refusal(good))) << "the test's object itself is fine";
  });
}

TEST_P(VaultApiConformance, a_second_history_is_a_conflict_and_the_first_one_stays) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes first = object(bench, 1);
    const Bytes second = object(bench, 2);
    const Bytes other = object(bench, 3);
    WriterStream forked = deposit.stream;
    must(deposit.writer->put(deposit.stream.next(format::name_of(first)), first));
    must(deposit.writer->put(deposit.stream.next(format::name_of(second)), second));
    EXPECT_TRUE(failed_with(deposit.writer->put(forked.next(format::name_of(other)), other), Code::Conflict));
    EXPECT_TRUE(failed_with(deposit.writer->put(forked.next(format::name_of(second)), second), Code::Conflict));
    EXPECT_TRUE(failed_with(deposit.writer->put(forked.next(format::name_of(other)), other), Code::Conflict))
        << "it does not follow the held entry before it";
    EXPECT_FALSE(must(deposit.writer->has(format::name_of(other))));
    EXPECT_EQ(must(deposit.site->heads(bench.realm.land()))[0].receipt->receipt.chain, deposit.stream.chain());
  });
}

TEST_P(VaultApiConformance, an_entry_that_its_held_successor_does_not_follow_is_a_conflict) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes early = object(bench, 1);
    const Bytes other = object(bench, 2);
    WriterStream forked = deposit.stream;
    deposit.stream.next(format::name_of(object(bench, 3)));
    EXPECT_EQ(must(deposit.writer->put(deposit.stream.next(format::name_of(early)), early)), std::nullopt);
    EXPECT_TRUE(failed_with(deposit.writer->put(forked.next(format::name_of(other)), other), Code::Conflict));
  });
}

TEST_P(VaultApiConformance, an_entry_must_chain_from_the_streams_start_and_stay_near_the_head) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = object(bench, 1);
    const format::ObjectName name = format::name_of(sealed);
    const auto chain = format::next_chain(deposit.stream.chain(), name, {});
    const auto entry = [&](std::uint64_t index, const format::ChainHash& hash) {
      return deposit.stream.sign({deposit.stream.id(), format::EntryIndex(index), name, hash, {}});
    };
    const format::ChainHash wrong = seeded_id<format::ChainHash>("wrong");
    EXPECT_TRUE(failed_with(deposit.writer->put(entry(0, wrong), sealed), Code::InvalidInput));
    EXPECT_TRUE(failed_with(deposit.writer->put(entry(65'537, chain), sealed), Code::InvalidInput));
    EXPECT_TRUE(failed_with(deposit.writer->put(entry(~std::uint64_t{0}, chain), sealed), Code::InvalidInput));
    EXPECT_EQ(must(deposit.writer->put(entry(65'536, chain), sealed)), std::nullopt);
  });
}

TEST_P(VaultApiConformance, a_snapshot_cannot_need_periods_after_its_own) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = sealed_object({.registry = bench.realm.land(), .period = 1, .fill = 1});
    WriterStream copy = deposit.stream;
    const auto later = copy.next(format::name_of(sealed), format::PeriodNumber(2));
    EXPECT_TRUE(failed_with(deposit.writer->put(later, sealed), Code::InvalidInput));
    const auto own = deposit.stream.next(format::name_of(sealed), format::PeriodNumber(1));
    EXPECT_TRUE(is_ok(deposit.writer->put(own, sealed)));
  });
}

TEST_P(VaultApiConformance, a_stream_must_be_open_and_its_entries_signed_by_its_writer) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = object(bench, 1);
    WriterStream unopened(bench.realm, bench.realm.writer(), bench.realm.land(), "unopened");
    EXPECT_TRUE(failed_with(deposit.writer->put(unopened.next(format::name_of(sealed)), sealed), Code::NotFound));
    WriterStream copy = deposit.stream;
    auto forged = copy.next(format::name_of(sealed));
    forged.signature = bench.realm.stranger.sign(as_bytes(forged.entry.text()));
    EXPECT_TRUE(failed_with(deposit.writer->put(forged, sealed), Code::Denied));
    EXPECT_FALSE(must(deposit.writer->has(format::name_of(sealed))));
  });
}

TEST_P(VaultApiConformance, opening_a_stream_again_changes_nothing) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = object(bench, 1);
    must(deposit.writer->put(deposit.stream.next(format::name_of(sealed)), sealed));
    const auto used = must(deposit.writer->quota(bench.realm.land())).used_bytes;
    must(deposit.writer->open_stream(deposit.stream.stream()));
    EXPECT_EQ(must(deposit.writer->quota(bench.realm.land())).used_bytes, used);
    EXPECT_TRUE(must(deposit.site->heads(bench.realm.land()))[0].receipt.has_value());
  });
}

TEST_P(VaultApiConformance, a_stream_needs_its_eras_document) {
  run([](VaultBench& bench) {
    const auto writer = bench.as(bench.realm.other_writer);
    WriterStream stream(bench.realm, bench.realm.other_writer, bench.realm.people());
    EXPECT_TRUE(failed_with(writer->open_stream(stream.stream()), Code::Precondition));
    const auto era =
        policy::SignedEra::sign(bench.realm.era_document(bench.realm.people(), 1), bench.realm.realm.ceremony);
    must(writer->put_act(as_bytes(era.document)));
    EXPECT_TRUE(is_ok(writer->open_stream(stream.stream())));
  });
}

TEST_P(VaultApiConformance, ranges_are_read_exactly_or_refused) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = object(bench, 7, 20);
    const format::ObjectName name = format::name_of(sealed);
    must(deposit.writer->put(deposit.stream.next(name), sealed));
    using Range = std::pair<std::uint64_t, std::size_t>;
    const std::size_t end = sealed.size();
    for (const auto& [offset, size] : {Range{0, 1}, Range{4'000, 9}, Range{100, 700'000}, Range{end - 1, 1}}) {
      Bytes out(size);
      must(deposit.site->read(name, offset, out));
      EXPECT_TRUE(equal(out, ByteView(sealed).subspan(offset, size))) << offset;
    }
    Bytes out(2);
    EXPECT_TRUE(failed_with(deposit.site->read(name, end - 1, out), Code::InvalidInput));
    EXPECT_TRUE(failed_with(deposit.site->read(name, end, out), Code::InvalidInput));
    EXPECT_TRUE(failed_with(deposit.site->read(name, ~std::uint64_t{0}, out), Code::InvalidInput));
    EXPECT_TRUE(is_ok(deposit.site->read(name, end, {})));
    EXPECT_TRUE(failed_with(deposit.site->read(seeded_id<format::ObjectName>("none"), 0, out), Code::NotFound));
    EXPECT_TRUE(failed_with(deposit.site->size_of(seeded_id<format::ObjectName>("none")), Code::NotFound));
  });
}

TEST_P(VaultApiConformance, entries_come_in_pages_with_gaps_left_out) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = object(bench, 1);
    for (std::uint64_t i = 0; i < 8; ++i) {
      const auto entry = deposit.stream.next(format::name_of(sealed));
      if (i != 3) must(deposit.writer->put(entry, sealed));
    }
    const auto indexes = [&](std::uint64_t from, std::size_t limit) {
      std::vector<std::uint64_t> found;
      for (const auto& held : must(deposit.site->entries(deposit.stream.id(), format::EntryIndex(from), limit))) {
        found.push_back(held.entry.entry.index.value());
      }
      return found;
    };
    using Indexes = std::vector<std::uint64_t>;
    EXPECT_EQ(indexes(0, 3), (Indexes{0, 1, 2}));
    EXPECT_EQ(indexes(3, 2), (Indexes{4, 5}));
    EXPECT_EQ(indexes(6, 1'000'000), (Indexes{6, 7}));
    EXPECT_EQ(indexes(8, 10), Indexes{});
    EXPECT_EQ(indexes(0, 0), Indexes{});
    EXPECT_TRUE(failed_with(deposit.site->entries(seeded_id<format::StreamId>("none"), {}, 1), Code::NotFound));
  });
}

TEST_P(VaultApiConformance, everything_is_found_again_after_a_restart) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes first = object(bench, 1);
    const Bytes early = object(bench, 3);
    must(deposit.writer->put(deposit.stream.next(format::name_of(first)), first));
    const auto missing = deposit.stream.next(format::name_of(first));
    must(deposit.writer->put(deposit.stream.next(format::name_of(early)), early));
    const auto era =
        policy::SignedEra::sign(bench.realm.era_document(bench.realm.land(), 2), bench.realm.realm.ceremony);
    must(deposit.writer->put_act(as_bytes(era.document)));
    const auto used = must(deposit.writer->quota(bench.realm.land())).used_bytes;
    const auto receipt = must(deposit.site->heads(bench.realm.land()))[0].receipt;
    deposit.writer.reset();
    deposit.site.reset();
    bench.restart();

    const auto writer = bench.as(bench.realm.writer());
    const auto site = bench.as(bench.realm.site());
    EXPECT_EQ(must(site->heads(bench.realm.land()))[0].receipt->document(), receipt->document());
    EXPECT_EQ(must(site->entries(deposit.stream.id(), {}, 10)).size(), 2U);
    EXPECT_EQ(must(store::read_object(*site, format::name_of(early), early.size())), early);
    EXPECT_EQ(must(writer->quota(bench.realm.land())).used_bytes, used);
    EXPECT_EQ(must(site->acts()).size(), 3U);
    EXPECT_EQ(must(writer->put(missing, {}))->receipt.index, format::EntryIndex(2)) << "the head goes on";
  });
}

TEST_P(VaultApiConformance, status_says_how_the_vault_is) {
  run([](VaultBench& bench, Deposit& deposit) {
    const Bytes sealed = object(bench, 1);
    must(deposit.writer->put(deposit.stream.next(format::name_of(sealed)), sealed));
    must(deposit.writer->put(deposit.stream.next(format::name_of(sealed)), sealed));
    const std::int64_t now = bench.env.clock.now().seconds();
    const auto status = must(deposit.writer->status());
    EXPECT_EQ(status.name, "lux");
    EXPECT_EQ(deposit.writer->name(), "lux");
    EXPECT_EQ(status.policy, format::PolicyVersion(1));
    EXPECT_EQ(status.object_count, 1U);
    EXPECT_EQ(status.program, "exclave test");
    EXPECT_GT(status.free_bytes, 0U);
    EXPECT_LE(std::abs(status.now_seconds - now), 60);
  });
}

TEST_P(VaultApiConformance, puts_from_several_threads_end_as_one_chain) {
  run([](VaultBench& bench, Deposit& deposit) {
    constexpr std::size_t kEntries = 12;
    std::vector<Bytes> objects;
    std::vector<format::SignedEntry> entries;
    for (std::size_t i = 0; i < kEntries; ++i) {
      objects.push_back(object(bench, i));
      entries.push_back(deposit.stream.next(format::name_of(objects[i])));
    }
    std::vector<std::unique_ptr<env::Thread>> threads;
    for (std::size_t first = 0; first < 3; ++first) {
      threads.push_back(must(bench.env.threads.start("putter", [&, first] {
        for (std::size_t i = kEntries - 3 + first; i < kEntries; i -= 3) {  // backwards, until it wraps
          EXPECT_TRUE(is_ok(deposit.writer->put(entries[i], objects[i])));
        }
      })));
    }
    for (auto& thread : threads) thread->join();
    const auto heads = must(deposit.site->heads(bench.realm.land()));
    EXPECT_EQ(heads[0].entries, kEntries);
    EXPECT_EQ(heads[0].receipt->receipt.index, format::EntryIndex(kEntries - 1));
    EXPECT_EQ(heads[0].receipt->receipt.chain, deposit.stream.chain());
  });
}

}  // namespace exclave::conformance
