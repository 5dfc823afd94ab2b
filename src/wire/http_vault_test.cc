#include "wire/http_vault.h"

#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "tests/conformance/worlds.h"
#include "wire/documents.h"
#include "wire/testing/plain_transport.h"
#include "wire/testing/scripted_vault.h"

namespace exclave::wire {
namespace {

using conformance::failed_with;
using conformance::is_ok;
using conformance::must;
using policy::testing::machine_key;
using policy::testing::seeded_id;
using testing::PlainTransport;
using testing::ScriptedVault;

const crypto::Ed25519SigningKey& receipt_key() {
  static const crypto::Ed25519SigningKey key = machine_key("lux receipt");
  return key;
}

class HttpVaultTest : public ::testing::Test {
 protected:
  void run(const std::function<void(ScriptedVault&, HttpVault&)>& body) {
    sim::Machine& lux = universe_.machine("lux");
    lux.run([&] {
      try {
        ScriptedVault vault(lux.env(), machine_key("lux identity").public_key());
        policy::VaultEntry entry = policy::testing::make_vault("lux");
        entry.address = vault.address();
        const env::Env env = lux.env();
        // One connection, so that the scripted vault serves one after the other.
        HttpVault client({env.clock, env.random, env.network, env.threads}, transport_, entry, kRealm,
                         {.connections = 1, .attempts = 3, .call_time = std::chrono::minutes(10)});
        body(vault, client);
      } catch (const conformance::BodyAbandoned&) {
        SUCCEED() << "the failure is already recorded";
      }
    });
    universe_.run();
  }

  static format::SignedEntry entry() {
    const format::Entry entry{kStream, format::EntryIndex(5), seeded_id<format::ObjectName>("object"),
                              seeded_id<format::ChainHash>("chain"), std::nullopt};
    return format::SignedEntry::sign(entry, machine_key("writer"));
  }
  static format::Receipt receipt() {
    format::Receipt receipt;
    receipt.vault = receipt_key().public_key();
    receipt.realm = kRealm;
    receipt.stream = kStream;
    receipt.index = format::EntryIndex(5);
    receipt.chain = seeded_id<format::ChainHash>("chain");
    receipt.term = format::Term(1);
    return receipt;
  }
  static std::string signed_document(const format::Receipt& receipt) {
    return format::SignedReceipt::sign(receipt, receipt_key()).document();
  }
  static ScriptedVault::Answer range(std::string body, std::string content_range) {
    return {.status = 206, .body = std::move(body), .headers = {{"Content-Range", std::move(content_range)}}};
  }

  static inline const auto kRealm = seeded_id<format::RealmId>("realm");
  static inline const auto kStream = seeded_id<format::StreamId>("stream");
  static inline const auto kRegistry = seeded_id<format::RegistryId>("land");
  static inline const auto kObject = seeded_id<format::ObjectName>("object");
  sim::Universe universe_{3};
  PlainTransport transport_{machine_key("site lisbon").public_key()};
};

TEST_F(HttpVaultTest, a_credible_receipt_is_returned_and_202_means_not_yet) {
  run([](ScriptedVault& vault, HttpVault& client) {
    vault.will_say(signed_document(receipt()));
    vault.will({.status = 202});
    EXPECT_EQ(must(client.put(entry(), Bytes(100)))->receipt.index, format::EntryIndex(5));
    EXPECT_EQ(must(client.put(entry(), Bytes(100))), std::nullopt);
    EXPECT_EQ(vault.requests.at(0).line, "PUT /v1/streams/" + kStream.hex() + "/5");
  });
}

TEST_F(HttpVaultTest, H9_receipts_that_are_not_credible_are_corrupt_and_not_asked_for_twice) {
  run([](ScriptedVault& vault, HttpVault& client) {
    std::vector<std::string> lies;
    format::Receipt lie = receipt();
    lie.stream = seeded_id<format::StreamId>("another");
    lies.push_back(signed_document(lie));
    lie = receipt();
    lie.index = format::EntryIndex(4);
    lies.push_back(signed_document(lie));
    lie = receipt();
    lie.chain = seeded_id<format::ChainHash>("another");
    lies.push_back(signed_document(lie));
    lies.push_back(format::SignedReceipt::sign(receipt(), machine_key("est receipt")).document());
    lies.emplace_back("thank you\n");
    lies.emplace_back("");
    lies.emplace_back(20'000, 'x');
    for (const std::string& each : lies) {
      vault.will_say(each);
      const auto put = client.put(entry(), Bytes(10));
      EXPECT_TRUE(failed_with(put, Code::Corrupt)) << each.substr(0, 300);
      EXPECT_EQ(put.error().message().rfind("vault lux"), 0U) << "named once, first: " << put.error().message();
    }
    EXPECT_EQ(vault.requests.size(), lies.size());
  });
}

TEST_F(HttpVaultTest, frames_go_out_in_one_attempt_and_the_end_comes_back_in_a_header) {
  run([](ScriptedVault& vault, HttpVault& client) {
    const auto append = [&] { return client.append_frames(kStream, format::EntryIndex(5), 22, 8192, Bytes(4096)); };
    const auto end = [](std::string value) {
      return ScriptedVault::Answer{.status = 200, .body = "", .headers = {{"exclave-end", std::move(value)}}};
    };
    vault.will(end("12288"));
    EXPECT_EQ(must(append()), 12288U);
    EXPECT_EQ(vault.requests.at(0).line, "POST /v1/streams/" + kStream.hex() + "/5/frames?class=22&offset=8192");
    vault.will(end("16384"));
    EXPECT_EQ(must(append()), 16384U) << "it holds more, from an attempt before";
    vault.will({.status = 503});
    EXPECT_TRUE(failed_with(append(), Code::Unavailable));
    EXPECT_EQ(vault.requests.size(), 3U) << "who appends retries by himself";
  });
}

TEST_F(HttpVaultTest, frames_may_be_sent_now_and_answered_later_over_a_connection_that_is_there) {
  run([this](ScriptedVault& vault, HttpVault& client) {
    env::Clock& clock = universe_.machine("lux").env().clock;
    const auto begin = [&] {
      return client.begin_append(kStream, format::EntryIndex(5), 22, 8192, Bytes(4096), nullptr);
    };
    const auto soon = [&] { return clock.monotonic() + std::chrono::seconds(5); };
    const auto end = [](std::string value) {
      return ScriptedVault::Answer{.status = 200, .body = "", .headers = {{"exclave-end", std::move(value)}}};
    };
    EXPECT_EQ(begin(), nullptr) << "connecting would take its time";
    const auto connect = [&] {
      vault.will(end("8192"));
      EXPECT_EQ(must(client.append_frames(kStream, format::EntryIndex(5), 22, 8192, {})), 8192U);
    };
    connect();
    vault.will(end("12288"));
    auto pending = begin();
    ASSERT_NE(pending, nullptr);
    EXPECT_EQ(must(pending->finish(soon())), 12288U);
    pending.reset();
    EXPECT_EQ(vault.requests.back().line, "POST /v1/streams/" + kStream.hex() + "/5/frames?class=22&offset=8192");

    vault.will(end("12287"));
    EXPECT_TRUE(failed_with(begin()->finish(soon()), Code::Corrupt)) << "H9: that cannot be";
    connect();
    vault.will({.status = 409});
    EXPECT_TRUE(failed_with(begin()->finish(soon()), Code::Unavailable)) << "why is append_frames' to hear";
    connect();
    client.shutdown();
    EXPECT_EQ(begin(), nullptr);
  });
}

TEST_F(HttpVaultTest, H9_ends_of_segments_that_cannot_be_are_corrupt) {
  run([](ScriptedVault& vault, HttpVault& client) {
    const std::vector<std::string> lies = {"12287", "0", "-1", "", "4194305", "99999999999999999999", "1e9"};
    for (const std::string& lie : lies) {
      vault.will({.status = 200, .body = "", .headers = {{"exclave-end", lie}}});
      EXPECT_TRUE(
          failed_with(client.append_frames(kStream, format::EntryIndex(5), 22, 8192, Bytes(4096)), Code::Corrupt))
          << lie;
    }
    vault.will_say("thank you\n");
    EXPECT_TRUE(
        failed_with(client.append_frames(kStream, format::EntryIndex(5), 22, 8192, Bytes(4096)), Code::Corrupt));
    vault.will_say("exclave/segments/v1\nregistry " + kRegistry.hex() + "\nstream 00\n");
    EXPECT_TRUE(failed_with(client.open_segments(kRegistry), Code::Corrupt));
    vault.will(range(std::string(10, 'x'), "bytes 4096-4105/*"));
    Bytes out(10);
    EXPECT_TRUE(failed_with(client.read_frames(kStream, format::EntryIndex(5), 0, out), Code::Corrupt))
        << "another range";
  });
}

TEST_F(HttpVaultTest, H10_a_receipt_for_a_mark_is_taken_only_from_the_pinned_key_and_for_that_mark) {
  run([](ScriptedVault& vault, HttpVault& client) {
    const format::Mark mark{
        {kStream, format::EntryIndex(5)}, 8192, 4, seeded_id<crypto::Hash256>("prefix"), 1'800'000'000};
    const auto put = [&] { return client.put_mark(format::SignedMark::sign(mark, machine_key("writer"))); };
    const format::MarkReceipt good = {.vault = receipt_key().public_key(),
                                      .realm = kRealm,
                                      .policy = format::PolicyVersion(1),
                                      .place = mark.place,
                                      .end = mark.end,
                                      .hash = mark.hash,
                                      .term = format::Term(1),
                                      .durable_at_seconds = 1'800'000'001};
    const auto say = [&](const format::MarkReceipt& receipt, const std::string& key = "lux receipt") {
      vault.will_say(format::SignedMarkReceipt::sign(receipt, machine_key(key)).document());
    };
    say(good);
    EXPECT_EQ(must(put()).receipt.end, mark.end);
    EXPECT_EQ(vault.requests.at(0).line, "PUT /v1/streams/" + kStream.hex() + "/5/mark");
    const auto with = [&](const auto& change) {
      format::MarkReceipt receipt = good;
      change(receipt);
      return receipt;
    };
    for (const format::MarkReceipt& lie :
         {with([](auto& receipt) { receipt.end = 12288; }),
          with([](auto& receipt) { receipt.hash = seeded_id<crypto::Hash256>("another"); }),
          with([](auto& receipt) { receipt.place.index = format::EntryIndex(6); }),
          with([](auto& receipt) { receipt.place.stream = seeded_id<format::StreamId>("another"); }),
          with([](auto& receipt) { receipt.realm = seeded_id<format::RealmId>("another"); })}) {
      say(lie);
      EXPECT_TRUE(failed_with(put(), Code::Corrupt)) << lie.text();
    }
    say(good, "est receipt");
    EXPECT_TRUE(failed_with(put(), Code::Corrupt)) << "signed by another key";
    say(with([](auto& receipt) { receipt.vault = machine_key("est receipt").public_key(); }), "est receipt");
    EXPECT_TRUE(failed_with(put(), Code::Corrupt)) << "another vault's";
    vault.will_say("fine\n");
    EXPECT_TRUE(failed_with(put(), Code::Corrupt));
    vault.will({.status = 503});
    EXPECT_TRUE(failed_with(put(), Code::Unavailable));
  });
}

TEST_F(HttpVaultTest, H9_answers_that_are_too_large_or_without_end_are_refused_in_bounded_memory) {
  run([](ScriptedVault& vault, HttpVault& client) {
    vault.will_say(std::string((4U << 20) + 1, 'x'));
    EXPECT_TRUE(failed_with(client.acts(), Code::Corrupt));
    vault.will_say(std::string((4U << 20) + 1, 'x'));
    EXPECT_TRUE(failed_with(client.act(seeded_id<crypto::Hash256>("act")), Code::Corrupt));
    HeadsPage endless;
    endless.next = seeded_id<format::StreamId>("next");
    vault.will_say(heads_document(kRegistry, endless));
    EXPECT_TRUE(failed_with(client.heads(kRegistry), Code::Corrupt));
  });
}

TEST_F(HttpVaultTest, H9_heads_that_turn_in_circles_or_belong_elsewhere_are_refused) {
  run([](ScriptedVault& vault, HttpVault& client) {
    const auto writer = machine_key("writer");
    format::StreamDescriptor descriptor;
    descriptor.realm = kRealm;
    descriptor.writer = writer.public_key();
    descriptor.registry = kRegistry;
    descriptor.era = format::EraNumber(1);
    const auto stream = format::SignedStream::sign(descriptor, writer);
    HeadsPage page;
    page.heads.push_back({stream, 0, std::nullopt});
    page.next = descriptor.id();
    vault.will_say(heads_document(kRegistry, page));
    EXPECT_TRUE(failed_with(client.heads(kRegistry), Code::Corrupt)) << "the next page begins where this one did";

    page.next = seeded_id<format::StreamId>("far behind");
    page.next->mutable_view()[0] = Byte{0xff};
    vault.will_say(heads_document(kRegistry, page));
    EXPECT_TRUE(failed_with(client.heads(kRegistry), Code::Corrupt)) << "a page for each stream would take months";

    page.next.reset();
    page.heads.push_back(page.heads.front());
    vault.will_say(heads_document(kRegistry, page));
    EXPECT_TRUE(failed_with(client.heads(kRegistry), Code::Corrupt)) << "a stream twice";

    page.heads.pop_back();
    format::Receipt forged = receipt();
    forged.stream = descriptor.id();
    page.heads[0].receipt = format::SignedReceipt::sign(forged, machine_key("est receipt"));
    page.heads[0].entries = 6;
    vault.will_say(heads_document(kRegistry, page));
    EXPECT_TRUE(failed_with(client.heads(kRegistry), Code::Corrupt)) << "a forged receipt";

    page.heads[0].receipt = format::SignedReceipt::sign(forged, receipt_key());
    vault.will_say(heads_document(kRegistry, page));
    EXPECT_TRUE(is_ok(client.heads(kRegistry)));
    page.heads[0].entries = 5;
    vault.will_say(heads_document(kRegistry, page));
    EXPECT_TRUE(failed_with(client.heads(kRegistry), Code::Corrupt)) << "a receipt for more than it holds";

    page.heads[0].receipt.reset();
    descriptor.registry = seeded_id<format::RegistryId>("people");
    page.heads[0].stream = format::SignedStream::sign(descriptor, writer);
    vault.will_say(heads_document(kRegistry, page));
    EXPECT_TRUE(failed_with(client.heads(kRegistry), Code::Corrupt)) << "another registry's stream";
  });
}

TEST_F(HttpVaultTest, H9_entries_out_of_order_or_more_than_asked_for_are_refused) {
  run([](ScriptedVault& vault, HttpVault& client) {
    const auto held = [](std::uint64_t index) {
      format::SignedEntry signed_entry = entry();
      signed_entry.entry.index = format::EntryIndex(index);
      return store::HeldEntry{signed_entry, 1, 1, {}};
    };
    const auto ask = [&](const std::vector<store::HeldEntry>& answer) {
      vault.will_say(entries_document(kStream, answer));
      return client.entries(kStream, format::EntryIndex(5), 2);
    };
    EXPECT_EQ(must(ask({held(5), held(9)})).size(), 2U);
    EXPECT_TRUE(failed_with(ask({held(9), held(5)}), Code::Corrupt));
    EXPECT_TRUE(failed_with(ask({held(5), held(5)}), Code::Corrupt));
    EXPECT_TRUE(failed_with(ask({held(4)}), Code::Corrupt));
    EXPECT_TRUE(failed_with(ask({held(5), held(6), held(7)}), Code::Corrupt));
  });
}

TEST_F(HttpVaultTest, H9_another_range_or_another_act_than_asked_for_is_refused) {
  run([](ScriptedVault& vault, HttpVault& client) {
    Bytes out(4);
    vault.will(range("abcd", "bytes 8-11/100"));
    EXPECT_TRUE(is_ok(client.read(kObject, 8, out)));
    EXPECT_EQ(as_text(out), "abcd");
    vault.will(range("abcd", "bytes 0-3/100"));
    EXPECT_TRUE(failed_with(client.read(kObject, 8, out), Code::Corrupt));
    vault.will(range("abcde", "bytes 8-11/100"));
    EXPECT_TRUE(failed_with(client.read(kObject, 8, out), Code::Corrupt)) << "more bytes than the range has";
    vault.will_say("abcd");
    EXPECT_TRUE(failed_with(client.read(kObject, 8, out), Code::Corrupt)) << "the whole object instead";
    vault.will_say("some document");
    EXPECT_TRUE(failed_with(client.act(seeded_id<crypto::Hash256>("act")), Code::Corrupt));
    vault.will_say("some document");
    EXPECT_TRUE(is_ok(client.act(crypto::sha256(as_bytes("some document")))));
  });
}

TEST_F(HttpVaultTest, what_may_pass_is_tried_again_and_what_will_not_is_not) {
  run([](ScriptedVault& vault, HttpVault& client) {
    vault.will({.status = 503});
    vault.will({.status = 503});
    vault.will_say(acts_document({}));
    EXPECT_TRUE(is_ok(client.acts()));
    EXPECT_EQ(vault.requests.size(), 3U);
    for (const int status : {400, 403, 404, 409, 412, 422}) vault.will({.status = status});
    for (const Code code :
         {Code::InvalidInput, Code::Denied, Code::NotFound, Code::Conflict, Code::Precondition, Code::InvalidInput}) {
      EXPECT_TRUE(failed_with(client.acts(), code));
    }
    EXPECT_EQ(vault.requests.size(), 9U);
  });
}

TEST_F(HttpVaultTest, after_an_unknown_outcome_the_bytes_are_not_sent_again_if_they_arrived) {
  run([](ScriptedVault& vault, HttpVault& client) {
    vault.will({.status = 504});
    vault.will_say(signed_document(receipt()));
    EXPECT_TRUE(must(client.put(entry(), Bytes(1'000))).has_value());
    ASSERT_EQ(vault.requests.size(), 2U);
    EXPECT_EQ(vault.requests[0].body_bytes, 1'000U);
    EXPECT_EQ(vault.requests[1].body_bytes, 0U);
    vault.will({.status = 504});
    vault.will({.status = 404});
    vault.will_say(signed_document(receipt()));
    EXPECT_TRUE(must(client.put(entry(), Bytes(1'000))).has_value());
    ASSERT_EQ(vault.requests.size(), 5U);
    EXPECT_EQ(vault.requests[4].body_bytes, 1'000U) << "the vault did not hold them after all";
  });
}

// Whoever asks knows two words for "later" no better than one, and takes the second for a fault of the object.
TEST_F(HttpVaultTest, an_outcome_that_stays_unknown_is_told_as_a_vault_that_does_not_answer) {
  run([](ScriptedVault& vault, HttpVault& client) {
    for (int i = 0; i < 3; ++i) vault.will({.status = 504});
    EXPECT_TRUE(failed_with(client.put(entry(), Bytes(1'000)), Code::Unavailable));
    vault.will({.status = 504});
    EXPECT_TRUE(failed_with(client.acts(), Code::Unavailable));
  });
}

TEST_F(HttpVaultTest, a_connection_that_the_vault_closed_meanwhile_is_replaced_without_a_pause) {
  run([this](ScriptedVault& vault, HttpVault& client) {
    env::Clock& clock = universe_.machine("lux").env().clock;
    vault.will_say(acts_document({}));
    EXPECT_TRUE(is_ok(client.acts()));
    vault.will({.vanishes = true});
    vault.will_say(acts_document({}));
    const env::Instant begin = clock.monotonic();
    EXPECT_TRUE(is_ok(client.acts()));
    EXPECT_LT(clock.monotonic() - begin, std::chrono::milliseconds(100)) << "the first pause alone takes that long";
  });
}

TEST_F(HttpVaultTest, a_vault_out_of_reach_is_given_up_after_its_attempts_and_then_asked_once) {
  run([](ScriptedVault& vault, HttpVault& client) {
    for (int i = 0; i < 5; ++i) vault.will({.status = 503});
    EXPECT_TRUE(failed_with(client.acts(), Code::Unavailable));
    EXPECT_EQ(vault.requests.size(), 3U);
    EXPECT_TRUE(failed_with(client.acts(), Code::Unavailable));
    EXPECT_EQ(vault.requests.size(), 4U);
    EXPECT_TRUE(failed_with(client.acts(), Code::Unavailable));
    vault.will_say(acts_document({}));
    EXPECT_TRUE(is_ok(client.acts()));
    vault.will({.status = 503});
    vault.will_say(acts_document({}));
    EXPECT_TRUE(is_ok(client.acts())) << "it is back, so it gets its attempts again";
  });
}

TEST_F(HttpVaultTest, a_vault_that_hangs_is_given_a_glance_at_each_call_and_the_whole_time_once_a_minute) {
  sim::Machine& lux = universe_.machine("lux");
  lux.run([&] {
    const env::Env env = lux.env();
    const auto listener = must(env.network.listen("127.0.0.1:0"));  // and nobody takes what comes
    policy::VaultEntry entry = policy::testing::make_vault("lux");
    entry.address = listener->address();
    using std::chrono::seconds;
    HttpVault client({env.clock, env.random, env.network, env.threads}, transport_, entry, kRealm,
                     {.attempts = 2, .connect_time = seconds(10), .glance_time = seconds(2)});
    const auto seconds_of_a_call = [&] {
      const env::Instant begin = env.clock.monotonic();
      EXPECT_TRUE(failed_with(client.status(), Code::Unavailable));
      return std::chrono::round<seconds>(env.clock.monotonic() - begin).count();
    };
    EXPECT_EQ(seconds_of_a_call(), 12) << "a whole attempt, and a glance";
    const env::Instant first = env.clock.monotonic();
    while (env.clock.monotonic() - first < seconds(45)) EXPECT_EQ(seconds_of_a_call(), 2);
    EXPECT_TRUE(env.clock.sleep_until(first + seconds(50)).ok());
    EXPECT_EQ(seconds_of_a_call(), 10);
    EXPECT_EQ(seconds_of_a_call(), 2);
    listener->close();
    EXPECT_EQ(seconds_of_a_call(), 0) << "refused at once";
    const auto hangs = must(env.network.listen("127.0.0.1:0"));
    entry.address = hangs->address();
    HttpVault patient({env.clock, env.random, env.network, env.threads}, transport_, entry, kRealm,
                      {.attempts = 6, .glance_time = seconds(2)});
    const env::Instant begin = env.clock.monotonic();
    EXPECT_TRUE(failed_with(patient.status(), Code::Unavailable));
    EXPECT_EQ(std::chrono::round<seconds>(env.clock.monotonic() - begin).count(), 12) << "and not six attempts";
  });
  universe_.run();
}

TEST_F(HttpVaultTest, H9_a_vault_that_says_we_were_told_to_stop_is_one_that_does_not_answer) {
  run([](ScriptedVault& vault, HttpVault& client) {
    vault.will({.status = 503, .headers = {{"error-code", "cancelled"}}});
    vault.will_say(acts_document({}));
    EXPECT_TRUE(is_ok(client.acts())) << "asked again, as after any 503";
  });
}

TEST_F(HttpVaultTest, a_vault_with_another_identity_is_denied) {
  sim::Machine& lux = universe_.machine("lux");
  lux.run([&] {
    ScriptedVault vault(lux.env(), machine_key("lux identity").public_key());
    policy::VaultEntry entry = policy::testing::make_vault("est");
    entry.address = vault.address();
    const env::Env env = lux.env();
    HttpVault client({env.clock, env.random, env.network, env.threads}, transport_, entry, kRealm, {.attempts = 1});
    EXPECT_TRUE(failed_with(client.status(), Code::Denied));
    EXPECT_TRUE(vault.requests.empty());
  });
  universe_.run();
}

}  // namespace
}  // namespace exclave::wire
