#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/universe.h"
#include "spread/copies_reader.h"
#include "spread/stream_writer.h"
#include "spread/testing/fake_vault.h"

namespace exclave::spread {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeVault;

class Spread : public ::testing::Test {
 protected:
  Spread() {
    for (const std::string name : {"lux", "est", "che"}) {
      vaults_.push_back(std::make_unique<FakeVault>(name, env_.clock));
    }
  }
  // Runs as an actor, so that virtual time passes.
  void run(const std::function<void()>& body) {
    machine_.run(body);
    universe_.run();
  }
  std::vector<store::VaultApi*> all() {
    std::vector<store::VaultApi*> pointers;
    for (const auto& vault : vaults_) pointers.push_back(vault.get());
    return pointers;
  }
  Result<std::unique_ptr<StreamWriter>> open(std::uint32_t k = 2, Behind behind = Behind::GracePeriod) {
    format::StreamDescriptor descriptor;
    descriptor.writer = key_.public_key();
    descriptor.era = format::EraNumber(1);
    return StreamWriter::open(env_.threads, env_.clock, all(), k, format::SignedStream::sign(descriptor, key_), key_,
                              behind);
  }
  static store::SealedObject object(std::uint64_t number) {
    format::ObjectName name;
    store_u64(name.mutable_view(), number);
    return {name, 18, std::make_shared<const Bytes>(format::object_bytes(18))};
  }
  static void push(StreamWriter& writer, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto pushed = writer.push(object(i), std::nullopt);
      ASSERT_TRUE(pushed.ok()) << pushed.error().message();
      EXPECT_EQ(pushed.value().value(), i);
    }
  }
  static VaultProgress of(const StreamWriter& writer, std::string_view name) {
    for (VaultProgress& each : writer.progress()) {
      if (each.vault == name) return each;
    }
    ADD_FAILURE() << "no vault " << name;
    return {};
  }

  sim::Universe universe_{3};
  sim::Machine& machine_ = universe_.machine("home");
  env::Env env_ = machine_.env();
  crypto::Ed25519SigningKey key_ = crypto::Ed25519SigningKey::from_seed(crypto::Secret<32>::from_view(Bytes(32, 9)));
  std::vector<std::unique_ptr<FakeVault>> vaults_;
};

TEST_F(Spread, every_vault_gets_every_entry_in_order) {
  run([&] {
    const auto writer = open().take();
    push(*writer, 10);
    EXPECT_TRUE(writer->wait_durable(10).ok());
    writer->finish(std::nullopt);
    EXPECT_EQ(writer->durable_count(), 10U);
    for (const auto& vault : vaults_) {
      EXPECT_EQ(vault->received(), (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
      EXPECT_EQ(of(*writer, vault->name()).head, 10U);
      EXPECT_EQ(of(*writer, vault->name()).receipt->receipt.index, format::EntryIndex(9));
    }
  });
}

TEST_F(Spread, durable_is_the_kth_highest_head) {
  run([&] {
    vaults_[1]->takes = seconds(10);
    vaults_[2]->takes = seconds(1000);
    for (const std::uint32_t k : {1U, 2U, 3U}) {
      const auto writer = open(k).take();
      const env::Instant start = env_.clock.monotonic();
      push(*writer, 1);
      EXPECT_TRUE(writer->wait_durable(1).ok());
      const auto took = env_.clock.monotonic() - start;
      EXPECT_GE(took, k == 1 ? seconds(0) : k == 2 ? seconds(10) : seconds(1000));
      EXPECT_LT(took, k == 1 ? seconds(1) : k == 2 ? seconds(11) : seconds(1001));
      writer->finish(std::nullopt);
    }
  });
}

TEST_F(Spread, a_slow_vault_slows_the_capture_and_bounds_its_memory) {
  run([&] {
    vaults_[2]->takes = seconds(10);
    const auto writer = open().take();
    const env::Instant start = env_.clock.monotonic();
    push(*writer, kQueueDepth + 3);
    EXPECT_GE(env_.clock.monotonic() - start, seconds(30)) << "three had to be taken before the last one fitted";
    EXPECT_TRUE(writer->wait_durable(kQueueDepth + 3).ok());
    writer->finish(env_.clock.monotonic() + seconds(1));
    EXPECT_LT(of(*writer, "che").head, kQueueDepth + 3) << "nobody waited for it";
  });
}

TEST_F(Spread, H9_a_vault_that_takes_each_object_just_in_time_does_not_hold_up_a_capture_for_days) {
  run([&] {
    vaults_[0]->takes = milliseconds(100);
    vaults_[1]->takes = milliseconds(100);
    vaults_[2]->takes = seconds(25);
    const auto writer = open().take();
    const env::Instant start = env_.clock.monotonic();
    push(*writer, 1000);
    EXPECT_TRUE(writer->wait_durable(1000).ok());
    EXPECT_LT(env_.clock.monotonic() - start, seconds(180)) << "100 without it, with it 25,000";
    writer->finish(std::nullopt);
    EXPECT_EQ(of(*writer, "che").failure->code(), Code::Unavailable);
    EXPECT_THAT(of(*writer, "che").failure->message(), ::testing::HasSubstr("left behind"));
    EXPECT_GE(of(*writer, "che").head, 2U) << "a minute is waited for";
  });
}

TEST_F(Spread, H9_vaults_that_take_turns_in_that_are_left_behind_too) {
  run([&] {
    for (const std::string name : {"fra", "ger"}) vaults_.push_back(std::make_unique<FakeVault>(name, env_.clock));
    for (const auto& vault : vaults_) vault->takes = milliseconds(100);
    vaults_[0]->takes = vaults_[4]->takes = seconds(25);
    const auto writer = open(3).take();
    const env::Instant start = env_.clock.monotonic();
    push(*writer, 1000);
    EXPECT_TRUE(writer->wait_durable(1000).ok());
    EXPECT_LT(env_.clock.monotonic() - start, seconds(300)) << "100 without them, with them 25,000";
    writer->finish(std::nullopt);
    for (const std::string_view name : {"lux", "ger"}) EXPECT_TRUE(of(*writer, name).failure.has_value()) << name;
  });
}

TEST_F(Spread, a_vault_that_is_slower_by_a_little_or_that_is_wanted_or_needed_is_waited_for) {
  struct Case {
    std::uint32_t k;
    Behind behind;
    seconds takes;
  };
  run([&] {
    for (const Case& each : {Case{2, Behind::GracePeriod, seconds(1)}, Case{2, Behind::WaitForAll, seconds(25)},
                             Case{3, Behind::GracePeriod, seconds(25)}}) {
      vaults_[0]->takes = milliseconds(100);
      vaults_[1]->takes = milliseconds(100);
      vaults_[2]->takes = each.takes;
      const auto writer = open(each.k, each.behind).take();
      push(*writer, 100);
      EXPECT_TRUE(writer->wait_durable(100).ok());
      writer->finish(std::nullopt);
      EXPECT_EQ(of(*writer, "che").head, 100U);
    }
  });
}

TEST_F(Spread, a_vault_that_fails_is_named_and_gets_nothing_more) {
  run([&] {
    vaults_[1]->fails_put_from = 2;
    const auto writer = open().take();
    push(*writer, 6);
    EXPECT_TRUE(writer->wait_durable(6).ok());
    writer->finish(std::nullopt);
    EXPECT_EQ(vaults_[1]->received().size(), 2U);
    EXPECT_EQ(of(*writer, "est").head, 2U);
    EXPECT_EQ(of(*writer, "est").failure->code(), Code::Unavailable);
    EXPECT_EQ(of(*writer, "che").head, 6U);
  });
}

TEST_F(Spread, what_two_vaults_held_before_they_failed_stays_durable_and_the_rest_fails) {
  run([&] {
    vaults_[0]->fails_put_from = 2;
    vaults_[1]->fails_put_from = 2;
    const auto writer = open().take();
    std::uint64_t pushed = 0;
    std::optional<Error> error;
    for (; pushed < 10 && !error.has_value(); ++pushed) {
      auto result = writer->push(object(pushed), std::nullopt);
      if (!result.ok()) error = result.take_error();
    }
    if (!error.has_value()) {
      Status waited = writer->wait_durable(10);
      ASSERT_FALSE(waited.ok());
      error = waited.take_error();
    }
    EXPECT_EQ(error->code(), Code::Unavailable);
    EXPECT_THAT(error->message(), ::testing::AllOf(::testing::HasSubstr("lux"), ::testing::HasSubstr("est")));
    EXPECT_TRUE(writer->wait_durable(2).ok());
    EXPECT_EQ(writer->durable_count(), 2U);
  });
}

TEST_F(Spread, a_stream_that_too_few_accept_is_not_opened) {
  run([&] {
    vaults_[0]->refuses_stream = Error(Code::Denied, "not my writer");
    EXPECT_TRUE(open().ok());
    vaults_[2]->refuses_stream = Error(Code::Denied, "nor mine");
    const auto writer = open();
    ASSERT_FALSE(writer.ok());
    EXPECT_EQ(writer.error().code(), Code::Denied);
    EXPECT_THAT(writer.error().message(), ::testing::HasSubstr("not my writer"));
  });
}

TEST_F(Spread, a_receipt_for_something_else_drops_the_vault_as_corrupt) {
  run([&] {
    const std::vector<std::function<void(format::Receipt&)>> lies = {
        [](format::Receipt& receipt) { receipt.index = format::EntryIndex(1000); },
        [](format::Receipt& receipt) { receipt.chain.mutable_view()[0] ^= 1; },
        [](format::Receipt& receipt) { receipt.stream.mutable_view()[0] ^= 1; },
    };
    for (const auto& lie : lies) {
      vaults_[0]->lies = lie;
      const auto writer = open().take();
      push(*writer, 3);
      EXPECT_TRUE(writer->wait_durable(3).ok()) << "the other two are enough";
      writer->finish(std::nullopt);
      EXPECT_EQ(of(*writer, "lux").head, 0U);
      EXPECT_EQ(of(*writer, "lux").failure->code(), Code::Corrupt);
    }
  });
}

TEST_F(Spread, an_entry_without_a_receipt_moves_no_head) {
  run([&] {
    vaults_[0]->gives_no_receipt_for = 1;
    vaults_[1]->gives_no_receipt_for = 1;
    const auto writer = open().take();
    push(*writer, 2);
    EXPECT_EQ(writer->wait_durable(2).error().code(), Code::Unavailable);
    EXPECT_EQ(writer->durable_count(), 1U);
    writer->finish(std::nullopt);
  });
}

TEST_F(Spread, an_abandoned_writer_ends_at_once) {
  run([&] {
    vaults_[0]->takes = seconds(5);
    const env::Instant start = env_.clock.monotonic();
    {
      const auto writer = open().take();
      push(*writer, 2);
    }
    EXPECT_LT(env_.clock.monotonic() - start, seconds(11)) << "one put each was under way, no more";
    EXPECT_LE(vaults_[0]->received().size(), 1U);
  });
}

// --- reading ---

class Copies : public Spread {
 protected:
  Copies() {
    store_u64(name_.mutable_view(), 1);
    bytes_ = Bytes(1000);
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<Byte>(i);
    for (const auto& vault : vaults_) vault->objects[name_] = bytes_;
  }
  Status check(ByteView found) const {
    if (equal(found, bytes_)) return {};
    return Error(Code::Corrupt, "bytes are wrong");
  }
  Status read(CopiesReader& reader) {
    Bytes out(bytes_.size());
    TRY(reader.read_checked(name_, 0, out, [&](ByteView found) { return check(found); }));
    return check(out);
  }

  format::ObjectName name_;
  Bytes bytes_;
};

TEST_F(Copies, the_fastest_vault_does_most_of_the_reading) {
  run([&] {
    vaults_[0]->takes = milliseconds(100);
    vaults_[1]->takes = milliseconds(5);
    vaults_[2]->takes = milliseconds(100);
    CopiesReader reader(env_.threads, env_.clock, all());
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(read(reader).ok());
    EXPECT_GE(vaults_[1]->received().size(), 45U);
    EXPECT_GE(vaults_[0]->received().size(), 1U) << "each is tried once";
    EXPECT_TRUE(reader.incidents().empty());
    EXPECT_EQ(reader.statistics()[1].bytes, reader.statistics()[1].reads * 1000);
  });
}

TEST_F(Copies, a_bad_copy_is_an_incident_and_the_next_one_is_used) {
  run([&] {
    vaults_[0]->objects[name_][500] ^= 1;
    vaults_[2]->objects.clear();
    CopiesReader reader(env_.threads, env_.clock, all());
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(read(reader).ok());
    ASSERT_FALSE(reader.incidents().empty());
    for (const ReadIncident& incident : reader.incidents()) {
      EXPECT_EQ(incident.object, name_);
      EXPECT_EQ(incident.error.code(), incident.vault == "lux" ? Code::Corrupt : Code::NotFound);
      EXPECT_NE(incident.vault, "est");
    }
  });
}

TEST_F(Copies, a_whole_object_is_read_whatever_another_vault_says_of_its_size) {
  run([&] {
    vaults_[0]->objects[name_].resize(600);
    vaults_[1]->objects[name_].resize(5000);
    vaults_[2]->takes = milliseconds(50);
    CopiesReader reader(env_.threads, env_.clock, all());
    const auto whole = reader.read_whole(name_, 2000, [&](ByteView found) { return check(found); });
    ASSERT_TRUE(whole.ok()) << whole.error().message();
    EXPECT_EQ(whole.value(), bytes_);
    ASSERT_EQ(reader.incidents().size(), 2U);
    EXPECT_THAT(reader.incidents()[1].error.message(), ::testing::HasSubstr("5000 bytes")) << "more than is allowed";
    EXPECT_EQ(reader.statistics()[2].bytes, bytes_.size());
  });
}

TEST_F(Copies, no_good_copy_is_corrupt_even_if_others_are_merely_missing) {
  run([&] {
    vaults_[0]->objects[name_][500] ^= 1;
    vaults_[1]->objects.clear();
    vaults_[2]->refuses_reads = Error(Code::Unavailable, "no route");
    CopiesReader reader(env_.threads, env_.clock, all());
    const Status result = read(reader);
    EXPECT_EQ(result.error().code(), Code::Corrupt);
    EXPECT_THAT(result.error().message(), ::testing::AllOf(::testing::HasSubstr("lux"), ::testing::HasSubstr("est"),
                                                           ::testing::HasSubstr("no route")));
  });
}

TEST_F(Copies, whatever_else_a_vault_answers_it_has_no_good_copy_and_no_more) {
  for (const Code code : {Code::Exhausted, Code::Denied, Code::Conflict, Code::Precondition, Code::Unsupported}) {
    run([&] {
      vaults_[0]->refuses_reads = Error(code, "an odd answer");
      CopiesReader reader(env_.threads, env_.clock, all());
      EXPECT_TRUE(read(reader).ok()) << "another vault has one";
      vaults_[1]->objects.erase(name_);
      vaults_[2]->objects.erase(name_);
      const Status result = read(reader);
      EXPECT_EQ(result.error().code(), Code::Corrupt) << name_of(code);
      EXPECT_THAT(result.error().message(), ::testing::HasSubstr("an odd answer"));
      for (const auto& vault : vaults_) vault->objects[name_] = bytes_;
    });
  }
}

TEST_F(Copies, missing_everywhere_is_not_found_but_away_is_unavailable) {
  run([&] {
    for (const auto& vault : vaults_) vault->objects.clear();
    CopiesReader reader(env_.threads, env_.clock, all());
    EXPECT_EQ(read(reader).error().code(), Code::NotFound);
    EXPECT_EQ(reader.size_of(name_).error().code(), Code::NotFound);
    vaults_[1]->refuses_reads = Error(Code::Unavailable, "no route");
    EXPECT_EQ(read(reader).error().code(), Code::Unavailable) << "it may hold it";
  });
}

TEST_F(Copies, a_vault_that_was_away_rests_and_is_tried_again) {
  run([&] {
    vaults_[1]->takes = vaults_[2]->takes = milliseconds(50);
    vaults_[0]->refuses_reads = Error(Code::Unavailable, "no route");
    CopiesReader reader(env_.threads, env_.clock, all());
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(read(reader).ok());
    EXPECT_EQ(vaults_[0]->received().size(), 1U) << "it rests";
    vaults_[0]->refuses_reads.reset();
    ignore(env_.clock.sleep_until(env_.clock.monotonic() + seconds(kRestSeconds)), "alive");
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(read(reader).ok());
    EXPECT_EQ(vaults_[0]->received().size(), 4U) << "and is the fastest again";
  });
}

// It cost nothing, so it came first at each read.
TEST_F(Copies, H9_a_vault_that_refuses_every_read_is_not_asked_first_for_ever) {
  run([&] {
    vaults_[1]->takes = vaults_[2]->takes = milliseconds(50);
    vaults_[0]->refuses_reads = Error(Code::Denied, "who are you?");
    CopiesReader reader(env_.threads, env_.clock, all());
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(read(reader).ok());
    EXPECT_EQ(vaults_[0]->received().size(), 1U) << "it rests";
  });
}

TEST_F(Copies, a_vault_that_gives_nothing_right_is_asked_ever_less) {
  run([&] {
    vaults_[0]->objects[name_][500] ^= 1;
    vaults_[1]->takes = vaults_[2]->takes = milliseconds(50);
    CopiesReader reader(env_.threads, env_.clock, all());
    const auto asked_in_an_hour = [&] {
      const std::size_t before = vaults_[0]->received().size();
      for (int second = 0; second < 3600; ++second) {
        EXPECT_TRUE(read(reader).ok());
        ignore(env_.clock.sleep_until(env_.clock.monotonic() + seconds(1)), "alive");
      }
      return vaults_[0]->received().size() - before;
    };
    const std::size_t first = asked_in_an_hour();
    EXPECT_LE(first, 12U) << "10, 20, 40, ... 640 seconds";
    EXPECT_GE(first, 7U);
    const std::size_t second = asked_in_an_hour();
    EXPECT_LE(second, 6U) << "every ten minutes";
    EXPECT_GE(second, 5U);
    vaults_[0]->objects[name_][500] ^= 1;
    ignore(env_.clock.sleep_until(env_.clock.monotonic() + seconds(kLongestRestSeconds)), "alive");
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(read(reader).ok());
    EXPECT_EQ(vaults_[0]->received().size(), first + second + 5) << "it is the fastest, now that it is honest";
  });
}

TEST_F(Copies, a_vault_that_lacks_one_object_is_asked_for_others) {
  run([&] {
    vaults_[1]->takes = vaults_[2]->takes = milliseconds(50);
    format::ObjectName lacked = name_;
    lacked.mutable_view()[0] ^= 1;
    for (const std::size_t i : {1U, 2U}) vaults_[i]->objects[lacked] = vaults_[i]->objects[name_];
    CopiesReader reader(env_.threads, env_.clock, all());
    Bytes out(1000);
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(reader.read(lacked, 0, out).ok());
      EXPECT_TRUE(read(reader).ok());
    }
    EXPECT_EQ(vaults_[0]->received().size(), 10U);
  });
}

}  // namespace
}  // namespace exclave::spread
