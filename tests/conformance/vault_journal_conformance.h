// The conformance suite of store::VaultApi for journals: frames that are appended, segments that are closed, who may.
// Also shows what vault_api.h means by I4.
#pragma once

#include "tests/conformance/vault_bench.h"

namespace exclave::conformance {

class VaultJournalConformance : public ::testing::TestWithParam<VaultKind> {
 protected:
  struct Journal {
    explicit Journal(VaultBench& on)
        : bench(on),
          writer(bench.as(bench.realm.writer())),
          site(bench.as(bench.realm.site())),
          stream(bench.realm, bench.realm.writer(), bench.realm.land(), "journal", format::StreamKind::Journal) {
      must(writer->open_stream(stream.stream()));
    }
    SegmentMaker segment(std::uint64_t index, std::uint64_t first_number = 0, std::uint8_t size_class = 18,
                         const std::string& label = "segment") const {
      return SegmentMaker(
          {bench.realm.land(), stream.id(), index, size_class, 0, first_number, label + std::to_string(index)});
    }
    std::uint64_t used() { return must(writer->quota(bench.realm.land())).used_bytes; }
    Result<std::optional<format::SignedReceipt>> close(const SegmentMaker& made, ByteView object = {}) {
      return writer->put(stream.next(format::name_of(made.whole())), object);
    }
    std::vector<store::OpenSegment> open() { return must(site->open_segments(bench.realm.land())); }

    VaultBench& bench;
    std::unique_ptr<store::VaultApi> writer;
    std::unique_ptr<store::VaultApi> site;
    WriterStream stream;
  };

  void run(const std::function<void(VaultBench&, Journal&)>& body) {
    with_vault(GetParam(), [&](VaultBench& bench) {
      Journal journal(bench);
      body(bench, journal);
    });
  }
};

TEST_P(VaultJournalConformance, frames_are_appended_listed_and_read_back) {
  run([](VaultBench& bench, Journal& journal) {
    SegmentMaker segment = journal.segment(0);
    EXPECT_TRUE(journal.open().empty());
    EXPECT_EQ(must(segment.send(*journal.writer, 0)), 4096U) << "the front alone opens it";
    const std::uint64_t first = segment.end();
    segment.add(100);
    segment.add(20'000);
    EXPECT_EQ(must(segment.send(*journal.writer, first)), segment.end());
    const auto open = journal.open();
    ASSERT_EQ(open.size(), 1U);
    EXPECT_EQ(open[0], (store::OpenSegment{journal.stream.id(), format::EntryIndex(0), 18, segment.end()}));
    EXPECT_EQ(must(journal.writer->open_segments(bench.realm.land())), open);
    Bytes read(static_cast<std::size_t>(segment.end()));
    must(journal.site->read_frames(journal.stream.id(), format::EntryIndex(0), 0, read));
    EXPECT_TRUE(equal(read, segment.from(0)));
    Bytes tail(8192);
    must(journal.site->read_frames(journal.stream.id(), format::EntryIndex(0), 4096, tail));
    EXPECT_TRUE(equal(tail, segment.from(4096).first(8192)));
    EXPECT_TRUE(failed_with(journal.site->read_frames(journal.stream.id(), format::EntryIndex(0), 8192, read),
                            Code::InvalidInput))
        << "beyond the end";
    EXPECT_TRUE(
        failed_with(journal.site->read_frames(journal.stream.id(), format::EntryIndex(1), 0, read), Code::NotFound));
  });
}

TEST_P(VaultJournalConformance, frames_may_be_sent_now_and_heard_of_later) {
  run([](VaultBench& bench, Journal& journal) {
    env::Clock& clock = bench.env.clock;
    const auto waker = bench.env.network.make_waker();
    SegmentMaker segment = journal.segment(0);
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t first = i == 0 ? 0 : segment.end();
      segment.add(100);
      const auto pending =
          journal.writer->begin_append(journal.stream.id(), format::EntryIndex(0), 18, first, segment.from(first),
                                       waker.ok() ? waker.value().get() : nullptr);
      if (pending == nullptr) {
        EXPECT_TRUE(GetParam().door == Door::Embedded) << "the connection is there, and takes these few bytes";
        return;
      }
      const env::Instant began = clock.monotonic();
      const env::Instant until = began + std::chrono::seconds(30);
      while (pending->listen() != store::PendingAppend::Heard::Whole && clock.monotonic() < until) {
        if (waker.ok())
          waker.value()->wait(std::chrono::seconds(30));
        else
          must(clock.sleep_until(clock.monotonic() + std::chrono::milliseconds(1)));
      }
      EXPECT_LT(clock.monotonic(), until) << "the answer wakes who waits for it";
      if (waker.ok()) waker.value()->look();
      EXPECT_FALSE(pending->is_quiet());
      EXPECT_EQ(must(pending->finish(until)), segment.end());
      EXPECT_EQ(journal.open().at(0).end, segment.end());
    }
  });
}

TEST_P(VaultJournalConformance, appending_the_same_again_is_fine_and_other_bytes_are_a_conflict) {
  run([](VaultBench&, Journal& journal) {
    SegmentMaker segment = journal.segment(0);
    segment.add(100);
    const std::uint64_t middle = segment.end();
    EXPECT_EQ(must(segment.send(*journal.writer, 0)), middle);
    EXPECT_EQ(must(segment.send(*journal.writer, 0)), middle);
    segment.add(5000);
    EXPECT_EQ(must(segment.send(*journal.writer, 4096)), segment.end()) << "an overlap, and more behind it";
    EXPECT_EQ(must(journal.writer->append_frames(journal.stream.id(), format::EntryIndex(0), 18, 0, {})), segment.end())
        << "no bytes only ask";

    SegmentMaker other = journal.segment(0);
    other.add(100, "other randomness");
    EXPECT_TRUE(failed_with(other.send(*journal.writer, 4096), Code::Conflict));
    SegmentMaker other_front = journal.segment(0, 0, 18, "other ephemeral");
    EXPECT_TRUE(failed_with(other_front.send(*journal.writer, 0), Code::Conflict));
    EXPECT_EQ(journal.open().at(0).end, segment.end());
  });
}

TEST_P(VaultJournalConformance, an_offset_beyond_the_end_is_refused_and_names_the_end) {
  run([](VaultBench&, Journal& journal) {
    SegmentMaker segment = journal.segment(0);
    segment.add(100);
    const std::uint64_t end = segment.end();
    segment.add(200);
    EXPECT_TRUE(failed_with(segment.send(*journal.writer, end), Code::Precondition)) << "nothing is there yet";
    must(segment.send(*journal.writer, 0));
    const std::uint64_t known = segment.end();
    segment.add(300);
    const std::uint64_t hole = segment.end();
    segment.add(300);
    const auto refused = segment.send(*journal.writer, hole);
    ASSERT_TRUE(failed_with(refused, Code::Precondition));
    EXPECT_NE(refused.error().message().find("ends at " + std::to_string(known)), std::string::npos)
        << refused.error().message();
  });
}

TEST_P(VaultJournalConformance, what_is_no_whole_frame_of_this_segment_is_refused) {
  run([](VaultBench& bench, Journal& journal) {
    SegmentMaker segment = journal.segment(0);
    segment.add(100);
    const auto append = [&](std::uint64_t offset, ByteView bytes, std::uint8_t size_class = 18,
                            std::uint64_t index = 0) {
      return journal.writer->append_frames(journal.stream.id(), format::EntryIndex(index), size_class, offset, bytes);
    };
    Bytes torn = to_bytes(segment.from(0));
    torn[4096 + 60] ^= 1;
    EXPECT_TRUE(failed_with(append(0, torn), Code::InvalidInput)) << "the checksum";
    EXPECT_TRUE(failed_with(append(0, segment.from(0).first(5000)), Code::InvalidInput)) << "no multiple of 4,096";
    EXPECT_TRUE(failed_with(append(0, segment.from(4096)), Code::InvalidInput)) << "no front";
    EXPECT_TRUE(failed_with(append(0, segment.from(0), 20), Code::InvalidInput)) << "another class than the front's";
    EXPECT_TRUE(failed_with(append(0, segment.from(0), 19), Code::InvalidInput)) << "no class";
    EXPECT_TRUE(failed_with(append(0, segment.from(0), 18, 1), Code::InvalidInput)) << "another place";
    const Bytes object = sealed_object({.registry = bench.realm.land()});
    EXPECT_TRUE(failed_with(append(0, ByteView(object).first(4096)), Code::Unsupported)) << "another suite";

    must(segment.send(*journal.writer, 0));
    const std::uint64_t end = segment.end();
    EXPECT_TRUE(failed_with(append(end, Bytes(4096)), Code::InvalidInput)) << "zeros are no frame";
    EXPECT_TRUE(failed_with(append(end, segment.from(4096)), Code::InvalidInput)) << "a frame's number must follow";
    SegmentMaker large({bench.realm.land(), journal.stream.id(), 0, 20, 0, 1, "large"});
    large.add(300'000);
    EXPECT_TRUE(failed_with(append(end, large.from(4096)), Code::InvalidInput)) << "more than the class holds";
    EXPECT_EQ(journal.open().at(0).end, end);
  });
}

TEST_P(VaultJournalConformance, a_mark_is_kept_and_shown_and_the_vault_signs_that_it_holds_so_much) {
  run([](VaultBench& bench, Journal& journal) {
    SegmentMaker segment = journal.segment(0, 7);
    segment.add(100);
    must(segment.send(*journal.writer, 0));
    EXPECT_FALSE(journal.open().at(0).mark.has_value());
    const auto put = [&] {
      const auto mark = format::SignedMark::sign(segment.mark(), bench.realm.writer());
      const auto receipt = must(journal.writer->put_mark(mark));
      EXPECT_EQ(receipt.receipt.place, segment.place());
      EXPECT_EQ(receipt.receipt.end, segment.end());
      EXPECT_EQ(receipt.receipt.policy, bench.realm.policy().version);
      EXPECT_EQ(journal.open().at(0).mark, mark);
      return mark;
    };
    put();
    const auto mark = put();  // may be repeated
    const std::uint64_t end = segment.end();
    segment.add(150'000);
    must(segment.send(*journal.writer, end));
    EXPECT_EQ(journal.open().at(0).mark, mark) << "it stays where it is";
    EXPECT_NE(put(), mark);
    must(journal.close(segment));
    EXPECT_TRUE(journal.open().empty());
  });
}

TEST_P(VaultJournalConformance, a_mark_that_is_not_of_what_the_vault_holds_is_refused) {
  run([](VaultBench& bench, Journal& journal) {
    SegmentMaker segment = journal.segment(0);
    segment.add(100);
    const auto put = [&](const format::Mark& mark) {
      return journal.writer->put_mark(format::SignedMark::sign(mark, bench.realm.writer()));
    };
    EXPECT_TRUE(failed_with(put(segment.mark()), Code::NotFound)) << "nothing is open";
    must(segment.send(*journal.writer, 0));
    format::Mark mark = segment.mark();
    mark.end += format::kFrameStep;
    EXPECT_TRUE(failed_with(put(mark), Code::Precondition)) << "beyond the end";
    mark = segment.mark();
    mark.frames = 2;
    EXPECT_TRUE(failed_with(put(mark), Code::InvalidInput)) << "another number of frames";
    EXPECT_TRUE(
        failed_with(journal.site->put_mark(format::SignedMark::sign(segment.mark(), bench.realm.site())), Code::Denied))
        << "no writer";
    EXPECT_TRUE(failed_with(journal.writer->put_mark(format::SignedMark::sign(segment.mark(), bench.realm.site())),
                            Code::Denied))
        << "signed by somebody else";
    EXPECT_FALSE(journal.open().at(0).mark.has_value());

    mark = segment.mark();
    mark.hash = crypto::sha256(as_bytes("other bytes"));
    EXPECT_TRUE(failed_with(put(mark), Code::Conflict));
    const std::uint64_t end = segment.end();
    segment.add(100);
    EXPECT_TRUE(failed_with(segment.send(*journal.writer, end), Code::Precondition))
        << "whoever reads other bytes than it was sent builds nothing on them";
    EXPECT_TRUE(must(journal.close(segment, segment.whole())).has_value());
  });
}

TEST_P(VaultJournalConformance, a_segment_closes_with_its_entry_alone_and_is_an_object_then) {
  run([](VaultBench&, Journal& journal) {
    const std::uint64_t before = journal.used();
    SegmentMaker segment = journal.segment(0);
    segment.add(100'000);
    must(segment.send(*journal.writer, 0));
    EXPECT_EQ(journal.used() - before, std::uint64_t{1} << 18) << "the whole class, from the start";
    const auto receipt = must(journal.close(segment));
    ASSERT_TRUE(receipt.has_value());
    EXPECT_EQ(receipt->receipt.index, format::EntryIndex(0));
    EXPECT_EQ(receipt->receipt.chain, journal.stream.chain());
    EXPECT_EQ(journal.used() - before, (std::uint64_t{1} << 18) + vault::kEntryCharge);
    EXPECT_TRUE(journal.open().empty());
    const auto name = format::name_of(segment.whole());
    EXPECT_EQ(must(store::read_object(*journal.site, name, segment.whole().size())), segment.whole());
    EXPECT_TRUE(failed_with(segment.send(*journal.writer, 0), Code::Conflict)) << "it is closed";
    Bytes read(4096);
    EXPECT_TRUE(
        failed_with(journal.site->read_frames(journal.stream.id(), format::EntryIndex(0), 0, read), Code::NotFound));
  });
}

TEST_P(VaultJournalConformance, a_segment_that_lacks_frames_is_closed_by_the_whole_object) {
  run([](VaultBench&, Journal& journal) {
    const std::uint64_t before = journal.used();
    SegmentMaker segment = journal.segment(0);
    segment.add(100);
    must(segment.send(*journal.writer, 0));
    segment.add(200);
    WriterStream copy = journal.stream;
    const auto entry = copy.next(format::name_of(segment.whole()));
    EXPECT_TRUE(failed_with(journal.writer->put(entry, {}), Code::NotFound));
    EXPECT_EQ(journal.open().size(), 1U) << "and it stays open";
    ASSERT_TRUE(must(journal.close(segment, segment.whole())).has_value());
    EXPECT_TRUE(journal.open().empty());
    EXPECT_EQ(journal.used() - before, (std::uint64_t{1} << 18) + vault::kEntryCharge) << "charged once";
    EXPECT_EQ(must(store::read_object(*journal.site, format::name_of(segment.whole()), segment.whole().size())),
              segment.whole());
  });
}

TEST_P(VaultJournalConformance, two_segments_may_be_open_the_head_and_the_next) {
  run([](VaultBench&, Journal& journal) {
    SegmentMaker first = journal.segment(0);
    first.add(100);
    SegmentMaker second = journal.segment(1, first.next_number(), 20);
    SegmentMaker third = journal.segment(2, 5);
    must(first.send(*journal.writer, 0));
    must(second.send(*journal.writer, 0));
    EXPECT_TRUE(failed_with(third.send(*journal.writer, 0), Code::Precondition));
    EXPECT_EQ(journal.open().size(), 2U);
    must(journal.close(first));
    must(third.send(*journal.writer, 0));
    EXPECT_EQ(journal.open().size(), 2U);
    EXPECT_EQ(must(journal.close(second))->receipt.index, format::EntryIndex(1)) << "also without any frame";
  });
}

TEST_P(VaultJournalConformance, segments_survive_a_restart_with_their_charge) {
  run([](VaultBench& bench, Journal& journal) {
    SegmentMaker segment = journal.segment(0);
    segment.add(100);
    must(segment.send(*journal.writer, 0));
    const std::uint64_t used = journal.used();
    const auto open = journal.open();
    bench.restart();
    journal.writer = bench.as(bench.realm.writer());
    journal.site = bench.as(bench.realm.site());
    EXPECT_EQ(journal.open(), open);
    EXPECT_EQ(journal.used(), used);
    const std::uint64_t end = segment.end();
    segment.add(100);
    EXPECT_EQ(must(segment.send(*journal.writer, end)), segment.end()) << "and it goes on";
    EXPECT_TRUE(must(journal.close(segment)).has_value());
  });
}

TEST_P(VaultJournalConformance, a_segment_counts_with_its_class_against_the_quota) {
  run([](VaultBench& bench, Journal& journal) {
    const auto tight = bench.realm.successor(bench.realm.first, [&](policy::Policy& next) {
      next.registries[0].quota_bytes = journal.used() + (1 << 18) + 2 * vault::kEntryCharge;
    });
    must(journal.writer->put_act(as_bytes(tight.document)));
    SegmentMaker large({bench.realm.land(), journal.stream.id(), 0, 20, 0, 0, "large"});
    EXPECT_TRUE(failed_with(large.send(*journal.writer, 0), Code::Exhausted));
    EXPECT_TRUE(journal.open().empty());
    SegmentMaker small = journal.segment(0);
    small.add(100);
    must(small.send(*journal.writer, 0));
    EXPECT_TRUE(failed_with(journal.segment(1, 1).send(*journal.writer, 0), Code::Exhausted));
    EXPECT_TRUE(must(journal.close(small)).has_value()) << "what is open can be closed";
  });
}

TEST_P(VaultJournalConformance, kinds_of_streams_refuse_each_others_operations) {
  run([](VaultBench& bench, Journal& journal) {
    WriterStream objects(bench.realm, bench.realm.writer(), bench.realm.land());
    must(journal.writer->open_stream(objects.stream()));
    SegmentMaker strange({bench.realm.land(), objects.id()});
    EXPECT_TRUE(failed_with(strange.send(*journal.writer, 0), Code::InvalidInput));
    WriterStream copy = objects;
    EXPECT_TRUE(failed_with(journal.writer->put(copy.next(format::name_of(strange.whole())), strange.whole()),
                            Code::InvalidInput));

    const Bytes object = sealed_object({.registry = bench.realm.land()});
    must(journal.writer->put(objects.next(format::name_of(object)), object));
    for (const Bytes& sent : {object, Bytes()}) {
      WriterStream attempt = journal.stream;
      EXPECT_TRUE(failed_with(journal.writer->put(attempt.next(format::name_of(object)), sent), Code::InvalidInput))
          << "held or not";
    }
    WriterStream attempt = journal.stream;
    SegmentMaker elsewhere = journal.segment(1);
    EXPECT_TRUE(failed_with(journal.writer->put(attempt.next(format::name_of(elsewhere.whole())), elsewhere.whole()),
                            Code::InvalidInput))
        << "a segment of another place";
    WriterStream again = journal.stream;
    SegmentMaker segment = journal.segment(0);
    EXPECT_TRUE(failed_with(
        journal.writer->put(again.next(format::name_of(segment.whole()), format::PeriodNumber(0)), segment.whole()),
        Code::InvalidInput))
        << "a journal has no snapshots";
  });
}

TEST_P(VaultJournalConformance, only_the_writer_appends_and_only_a_site_reads) {
  run([](VaultBench& bench, Journal& journal) {
    SegmentMaker segment = journal.segment(0);
    segment.add(100);
    for (const auto* key : {&bench.realm.site(), &bench.realm.other_vault, &bench.realm.stranger}) {
      EXPECT_TRUE(failed_with(segment.send(*bench.as(*key), 0), Code::Denied));
    }
    EXPECT_TRUE(failed_with(segment.send(*bench.as(bench.realm.other_writer), 0), Code::NotFound))
        << "another registry's stream is as good as not there";
    must(segment.send(*journal.writer, 0));

    Bytes read(4096);
    const auto read_as = [&](const crypto::Ed25519SigningKey& key) {
      return bench.as(key)->read_frames(journal.stream.id(), format::EntryIndex(0), 0, read);
    };
    EXPECT_TRUE(is_ok(read_as(bench.realm.site())));
    for (const auto* key :
         {&bench.realm.writer(), &bench.realm.other_writer, &bench.realm.other_vault, &bench.realm.stranger}) {
      EXPECT_TRUE(failed_with(read_as(*key), Code::Denied));
    }
    for (const auto* key : {&bench.realm.other_writer, &bench.realm.other_vault, &bench.realm.stranger}) {
      EXPECT_TRUE(failed_with(bench.as(*key)->open_segments(bench.realm.land()), Code::Denied));
    }
    EXPECT_TRUE(must(bench.as(bench.realm.site())->open_segments(bench.realm.people())).empty());
  });
}

TEST_P(VaultJournalConformance, a_segment_must_be_sealed_for_a_key_of_the_streams_era) {
  run([](VaultBench& bench, Journal& journal) {
    SegmentMaker unlisted({bench.realm.land(), journal.stream.id(), 0, 18, 7});
    EXPECT_TRUE(failed_with(unlisted.send(*journal.writer, 0), Code::Denied));
    SegmentMaker foreign({bench.realm.people(), journal.stream.id()});
    EXPECT_TRUE(failed_with(foreign.send(*journal.writer, 0), Code::Denied));
    SegmentMaker unopened({bench.realm.land(), seeded_id<format::StreamId>("no stream")});
    EXPECT_TRUE(failed_with(unopened.send(*journal.writer, 0), Code::NotFound));
    EXPECT_TRUE(journal.open().empty());
  });
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VaultJournalConformance);

}  // namespace exclave::conformance
