// What a hostile home, a hostile host and an impostor can do to a vault, row by row of docs/threat-model.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "tests/conformance/vault_bench.h"
#include "tests/conformance/worlds.h"
#include "wire/documents.h"
#include "wire/handler.h"
#include "wire/testing/scripted_vault.h"

namespace exclave {
namespace {

using conformance::BenchRealm;
using conformance::Door;
using conformance::failed_with;
using conformance::is_ok;
using conformance::machine_key;
using conformance::must;
using conformance::sealed_object;
using conformance::seeded_id;
using conformance::Tables;
using conformance::VaultBench;
using conformance::VaultKind;
using conformance::with_vault;
using conformance::WriterStream;

// A home that was taken over: it holds the writer's key and does with it what it likes.
class CompromisedHome {
 public:
  explicit CompromisedHome(VaultBench& bench)
      : bench_(bench),
        writer(bench.as(bench.realm.writer())),
        site(bench.as(bench.realm.site())),
        stream(bench.realm, bench.realm.writer(), bench.realm.land()) {
    must(writer->open_stream(stream.stream()));
    must(writer->put(stream.next(format::name_of(good)), good));
  }
  // What was deposited before is there, unchanged and retained as long as before.
  void expect_past_is_safe() {
    const auto held = must(site->entries(stream.id(), {}, 1));
    ASSERT_EQ(held.size(), 1U);
    EXPECT_EQ(held[0].entry.entry.object, format::name_of(good));
    EXPECT_GE(held[0].retain_until_seconds, retained_until);
    EXPECT_EQ(must(store::read_object(*site, format::name_of(good), good.size())), good);
    EXPECT_TRUE(must(site->heads(bench_.realm.land())).at(0).receipt.has_value());
  }
  std::int64_t retention() { return must(site->entries(stream.id(), {}, 1)).at(0).retain_until_seconds; }

 private:
  VaultBench& bench_;

 public:
  std::unique_ptr<store::VaultApi> writer;
  std::unique_ptr<store::VaultApi> site;
  WriterStream stream;
  const Bytes good = sealed_object({.registry = bench_.realm.land(), .fill = 1});
  std::int64_t retained_until = 0;
};

void with_home(Door door, const std::function<void(VaultBench&, CompromisedHome&)>& body) {
  with_vault({"", conformance::sim_world(1), door, Tables::Log}, [&](VaultBench& bench) {
    CompromisedHome home(bench);
    home.retained_until = home.retention();
    body(bench, home);
  });
}

// One request as these bytes, by the writer; the status of the answer, 0 if there is none.
int status_of_bytes(VaultBench& bench, const std::string& request) {
  const env::Instant soon = bench.env.clock.monotonic() + std::chrono::seconds(10);
  wire::testing::PlainTransport transport(bench.realm.writer().public_key());
  auto bare = must(bench.env.network.connect(bench.address(), soon));
  const auto connection = must(transport.connect(std::move(bare), machine_key("lux identity").public_key(), soon));
  must(env::write_all(*connection, as_bytes(request), soon));
  Bytes answer(16);
  std::size_t got = 0;
  while (got < 12) {
    const std::size_t more = must(connection->read_some(MutableByteView(answer).subspan(got), soon));
    if (more == 0) return 0;
    got += more;
  }
  return std::stoi(std::string(as_text(ByteView(answer).subspan(9, 3))));
}
int status_of_request(VaultBench& bench, std::string_view method, const std::string& target) {
  return status_of_bytes(bench,
                         std::string(method) + " " + target + " HTTP/1.1\r\nHost: lux\r\nContent-Length: 0\r\n\r\n");
}

TEST(ThreatsVault, C2_nobody_can_delete_because_no_request_does) {
  with_home(Door::Plain, [](VaultBench& bench, CompromisedHome& home) {
    const std::string stream = "/v1/streams/" + home.stream.id().hex();
    const std::vector<std::string> targets = {"/v1/objects/" + format::name_of(home.good).hex(),
                                              stream,
                                              stream + "/0",
                                              stream + "/entries",
                                              "/v1/acts/" + bench.realm.era.hash.hex(),
                                              "/v1/registries/" + bench.realm.land().hex(),
                                              "/v1/status"};
    for (const std::string& target : targets) {
      for (const std::string_view method : {"DELETE", "POST", "PATCH", "MOVE", "TRUNCATE"}) {
        const int status = status_of_request(bench, method, target);
        EXPECT_TRUE(status == 404 || status == 405) << method << " " << target << " gave " << status;
      }
    }
    EXPECT_EQ(status_of_request(bench, "PUT", targets[0]), 405) << "nor are objects put without an entry";
    home.expect_past_is_safe();
  });
}

TEST(ThreatsVault, C2_nobody_can_overwrite_an_entry_or_an_object) {
  with_home(Door::Plain, [](VaultBench& bench, CompromisedHome& home) {
    const Bytes other = sealed_object({.registry = bench.realm.land(), .fill = 2});
    WriterStream again(bench.realm, bench.realm.writer(), bench.realm.land());
    EXPECT_TRUE(failed_with(home.writer->put(again.next(format::name_of(other)), other), Code::Conflict));
    const auto under_its_name = home.stream.next(format::name_of(home.good));
    EXPECT_TRUE(is_ok(home.writer->put(under_its_name, other))) << "the bytes are not even looked at";
    home.expect_past_is_safe();
  });
}

TEST(ThreatsVault, C2_retention_cannot_be_shortened_by_the_writer) {
  with_home(Door::Embedded, [](VaultBench& bench, CompromisedHome& home) {
    // All a writer can do is refer to the object again, in this stream or in new ones.
    must(home.writer->put(home.stream.next(format::name_of(home.good)), {}));
    WriterStream fresh(bench.realm, bench.realm.writer(), bench.realm.land(), "fresh");
    must(home.writer->open_stream(fresh.stream()));
    must(home.writer->put(fresh.next(format::name_of(home.good)), home.good));
    home.expect_past_is_safe();
    const auto shorter = bench.realm.successor(bench.realm.first,
                                               [](policy::Policy& next) { next.registries[0].retention_seconds = 1; });
    policy::Policy self_made = shorter.policy;
    const auto unsigned_one = bench.realm.realm.signed_by(self_made, {});
    EXPECT_TRUE(failed_with(home.writer->put_act(as_bytes(unsigned_one.document)), Code::Denied));
    home.expect_past_is_safe();
  });
}

TEST(ThreatsVault, C3_flood_is_refused_by_quota_and_alarms_once) {
  conformance::SimWorld world(1);
  world.run([&](env::Env env) {
    VaultBench bench(env, "/srv/vault", Door::Embedded);
    const auto small = bench.realm.successor(bench.realm.first,
                                             [](policy::Policy& next) { next.registries[0].quota_bytes = 3'000'000; });
    must(bench.as(bench.realm.site())->put_act(as_bytes(small.document)));
    CompromisedHome home(bench);
    home.retained_until = home.retention();
    std::uint64_t accepted = 0;
    for (std::uint64_t fill = 2; fill < 40; ++fill) {
      WriterStream next = home.stream;
      const Bytes object = sealed_object({.registry = bench.realm.land(), .fill = fill});
      const auto entry = next.next(format::name_of(object));
      const auto put = home.writer->put(entry, object);
      if (put.ok()) {
        ++accepted;
        home.stream.next(format::name_of(object));
      } else {
        EXPECT_EQ(put.error().code(), Code::Exhausted) << put.error().message();
        EXPECT_FALSE(must(home.writer->has(format::name_of(object)))) << "what is refused takes no room";
      }
    }
    EXPECT_EQ(accepted, 10U);
    const auto quota = must(home.writer->quota(bench.realm.land()));
    EXPECT_LE(quota.used_bytes, quota.quota_bytes);
    home.expect_past_is_safe();

    // Nor can rows be made without end, out of one object or out of nothing.
    Status refused;
    for (int i = 0; i < 10'000 && refused.ok(); ++i) {
      const auto put = home.writer->put(home.stream.next(format::name_of(home.good)), {});
      if (!put.ok()) refused = put.error();
    }
    EXPECT_TRUE(failed_with(refused, Code::Exhausted));
    const WriterStream another(bench.realm, bench.realm.writer(), bench.realm.land(), "another");
    EXPECT_TRUE(failed_with(home.writer->open_stream(another.stream()), Code::Exhausted));
    home.expect_past_is_safe();
  });
  std::size_t alarms = 0;
  for (const sim::LogLine& line : world.machine().log()) {
    if (line.level == env::LogLevel::Error && line.message.find("registry land: quota") == 0) ++alarms;
  }
  EXPECT_EQ(alarms, 1U) << "and the flood does not reach the log";
}

// Each open segment costs a vault descriptors, and who restores is told of all at once.
TEST(ThreatsVault, C3_a_registry_can_open_segments_up_to_a_limit_and_go_on_when_some_are_closed) {
  conformance::SimWorld world(1);
  world.run([&](env::Env env) {
    VaultBench bench(env, "/srv/vault", Door::Embedded);
    const auto roomy = bench.realm.successor(
        bench.realm.first, [](policy::Policy& next) { next.registries[0].quota_bytes = 1'000'000'000; });
    must(bench.as(bench.realm.site())->put_act(as_bytes(roomy.document)));
    const auto writer = bench.as(bench.realm.writer());
    std::vector<WriterStream> journals;
    const auto open_another = [&]() -> Status {
      journals.emplace_back(bench.realm, bench.realm.writer(), bench.realm.land(),
                            "journal " + std::to_string(journals.size()), format::StreamKind::Journal);
      TRY(writer->open_stream(journals.back().stream()));
      conformance::SegmentMaker segment({.registry = bench.realm.land(), .stream = journals.back().id()});
      TRY(segment.send(*writer, 0));
      return {};
    };
    for (std::uint64_t i = 0; i < vault::kMostOpenSegmentsPerRegistry; ++i) must(open_another());
    EXPECT_TRUE(failed_with(open_another(), Code::Exhausted));
    conformance::SegmentMaker first({.registry = bench.realm.land(), .stream = journals.front().id()});
    must(writer->put(journals.front().next(format::name_of(first.whole())), first.whole()));
    EXPECT_TRUE(is_ok(open_another()));
  });
}

TEST(ThreatsVault, C3_many_uploads_at_once_do_not_exceed_the_quota) {
  with_vault({"", conformance::sim_world(1), Door::Plain, Tables::Log}, [](VaultBench& bench) {
    const auto small = bench.realm.successor(bench.realm.first,
                                             [](policy::Policy& next) { next.registries[0].quota_bytes = 1'000'000; });
    must(bench.as(bench.realm.site())->put_act(as_bytes(small.document)));
    CompromisedHome home(bench);
    std::vector<std::unique_ptr<env::Thread>> threads;
    std::vector<std::optional<Error>> refusals(6);
    for (std::uint64_t i = 0; i < refusals.size(); ++i) {
      const Bytes object = sealed_object({.registry = bench.realm.land(), .fill = 10 + i});
      const auto entry = home.stream.next(format::name_of(object));
      threads.push_back(must(bench.env.threads.start("flood", [&, i, object, entry] {
        const auto put = home.writer->put(entry, object);
        if (!put.ok()) refusals[i] = put.error();
      })));
    }
    for (auto& thread : threads) thread->join();
    for (const auto& refused : refusals) {
      EXPECT_TRUE(!refused.has_value() || refused->code() == Code::Exhausted) << refused->message();
    }
    const auto quota = must(home.writer->quota(bench.realm.land()));
    EXPECT_LE(quota.used_bytes, quota.quota_bytes);
    std::uint64_t files = 0;
    for (const std::string& fan_out : must(bench.env.files.list("/srv/test/vault/objects"))) {
      files += must(bench.env.files.list("/srv/test/vault/objects/" + fan_out)).size();
    }
    EXPECT_EQ(files, must(home.site->status()).object_count) << "what is refused was never stored";
    EXPECT_LE(files, 3U);
    EXPECT_GE(files, 2U) << "what there is room for is not refused";
  });
}

// An object on its way in, before whose end something happens.
class InterruptedSource final : public wire::ObjectSource {
 public:
  InterruptedSource(ByteView object, std::function<void()> event) : object_(object), event_(std::move(event)) {}
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

TEST(ThreatsVault, C3_an_object_whose_entry_is_refused_at_the_commit_counts_against_the_quota) {
  with_home(Door::Embedded, [](VaultBench& bench, CompromisedHome& home) {
    const auto used = [&] { return must(home.writer->quota(bench.realm.land())).used_bytes; };
    const std::uint64_t before = used();
    const Bytes flood = sealed_object({.registry = bench.realm.land(), .fill = 7});
    WriterStream rival = home.stream;
    const auto entry = home.stream.next(format::name_of(flood));
    // While the object arrives, an entry that costs nothing makes the place behind it contradict it.
    rival.next(format::name_of(home.good));
    const auto behind = rival.next(format::name_of(home.good));
    InterruptedSource source(flood, [&] { must(home.writer->put(behind, {})); });
    const wire::Caller caller{bench.realm.writer().public_key()};
    EXPECT_TRUE(failed_with(bench.vault().put(caller, entry, source), Code::Conflict));
    EXPECT_EQ(used(), before + vault::kEntryCharge + flood.size());
    EXPECT_EQ(must(home.site->status()).object_count, 2U) << "what lies on the disk is known, and scrubbed";

    WriterStream fresh(bench.realm, bench.realm.writer(), bench.realm.land(), "fresh");
    must(home.writer->open_stream(fresh.stream()));
    const std::uint64_t opened = used();
    must(home.writer->put(fresh.next(format::name_of(flood)), {}));
    EXPECT_EQ(used(), opened + vault::kEntryCharge) << "and paid for once";
    home.expect_past_is_safe();
  });
}

TEST(ThreatsVault, C11_objects_sealed_to_a_foreign_or_unlisted_key_are_refused) {
  with_home(Door::Plain, [](VaultBench& bench, CompromisedHome& home) {
    const auto land = bench.realm.land();
    const auto refused = [&](const conformance::SealedLooks& looks) {
      WriterStream copy = home.stream;
      const Bytes object = sealed_object(looks);
      const auto put = home.writer->put(copy.next(format::name_of(object)), object);
      EXPECT_EQ(must(home.writer->has(format::name_of(object))), put.ok());
      return put;
    };
    EXPECT_TRUE(failed_with(refused({.registry = bench.realm.people(), .fill = 5}), Code::Denied));
    EXPECT_TRUE(failed_with(refused({.registry = seeded_id<format::RegistryId>("x"), .fill = 5}), Code::Denied));
    EXPECT_TRUE(failed_with(refused({.registry = land, .era = 2, .fill = 5}), Code::Denied));
    EXPECT_TRUE(failed_with(refused({.registry = land, .period = 3, .fill = 5}), Code::Denied)) << "three are listed";
    EXPECT_TRUE(is_ok(refused({.registry = land, .period = 2, .fill = 5}))) << "the last listed one is fine";
    home.expect_past_is_safe();
  });
}

TEST(ThreatsVault, C11_a_held_object_of_another_era_cannot_be_claimed_for_this_one) {
  with_home(Door::Embedded, [](VaultBench& bench, CompromisedHome& home) {
    auto second = bench.realm.era_document(bench.realm.land(), 2);
    must(home.site->put_act(as_bytes(policy::SignedEra::sign(second, bench.realm.realm.ceremony).document)));
    format::StreamDescriptor descriptor = home.stream.stream().descriptor;
    descriptor.era = format::EraNumber(2);
    const auto stream = format::SignedStream::sign(descriptor, bench.realm.writer());
    must(home.writer->open_stream(stream));
    const format::StreamId id = descriptor.id();
    const format::ObjectName name = format::name_of(home.good);
    const auto entry = format::SignedEntry::sign(
        {id, format::EntryIndex(0), name, format::next_chain(format::chain_start(id), name, {}), {}},
        bench.realm.writer());
    EXPECT_TRUE(failed_with(home.writer->put(entry, {}), Code::Denied));
  });
}

TEST(ThreatsVault, C1_no_put_tells_whether_another_registry_holds_an_object) {
  with_home(Door::Plain, [](VaultBench& bench, CompromisedHome& home) {
    must(home.site->put_act(
        as_bytes(policy::SignedEra::sign(bench.realm.era_document(bench.realm.people(), 1), bench.realm.realm.ceremony)
                     .document)));
    const auto spy = bench.as(bench.realm.other_writer);
    WriterStream stream(bench.realm, bench.realm.other_writer, bench.realm.people());
    must(spy->open_stream(stream.stream()));
    for (const format::ObjectName& name : {format::name_of(home.good), seeded_id<format::ObjectName>("nobody's")}) {
      WriterStream copy = stream;
      EXPECT_TRUE(failed_with(spy->put(copy.next(name), {}), Code::NotFound));
    }
    WriterStream copy = stream;
    EXPECT_TRUE(failed_with(spy->put(copy.next(format::name_of(home.good)), home.good), Code::Denied));
    home.expect_past_is_safe();
  });
}

TEST(ThreatsVault, H11_an_older_policy_never_comes_back) {
  with_home(Door::Plain, [](VaultBench& bench, CompromisedHome& home) {
    const auto second = bench.realm.successor(bench.realm.first, [](policy::Policy& next) {
      next.registries[0].writer = machine_key("new writer land").public_key();
    });
    must(home.site->put_act(as_bytes(second.document)));
    const auto rival =
        bench.realm.successor(bench.realm.first, [](policy::Policy& next) { next.expires_seconds += 9; });
    EXPECT_TRUE(failed_with(home.site->put_act(as_bytes(rival.document)), Code::Conflict));
    EXPECT_TRUE(is_ok(home.site->put_act(as_bytes(bench.realm.first.document)))) << "held already: nothing changes";
    EXPECT_EQ(must(home.site->status()).policy, format::PolicyVersion(2));
    const auto acts = must(home.site->acts());
    const auto shows = [&](const policy::SignedPolicy& version) {
      return std::any_of(acts.begin(), acts.end(), [&](const auto& act) { return act.hash == version.file_hash; });
    };
    EXPECT_TRUE(shows(bench.realm.first));
    EXPECT_TRUE(shows(second));
    EXPECT_FALSE(shows(rival)) << "it bears the same number";
    EXPECT_TRUE(failed_with(home.writer->status(), Code::Denied)) << "the revoked writer stays out";
  });
}

// A byte flipped in the table's log takes back what was written behind it, policies too.
TEST(ThreatsVault, H11_a_policy_whose_row_was_lost_is_adopted_again_from_its_file) {
  with_home(Door::Embedded, [](VaultBench& bench, CompromisedHome& home) {
    const auto second = bench.realm.successor(bench.realm.first, [](policy::Policy& next) {
      next.registries[0].writer = machine_key("new writer land").public_key();
    });
    const auto third = bench.realm.successor(second, [](policy::Policy& next) { next.expires_seconds += 1; });
    const auto era =
        policy::SignedEra::sign(bench.realm.era_document(bench.realm.land(), 2), bench.realm.realm.ceremony);
    for (const std::string& document : {second.document, third.document, era.document}) {
      must(home.site->put_act(as_bytes(document)));
    }
    bench.close();
    {
      const auto table = must(bench.open_table()("/srv/test/vault/table"));
      table::Batch lost;
      const auto forget = [&](std::string_view prefix, std::uint64_t number, std::size_t width) {
        Bytes key = to_bytes(prefix);
        Bytes digits(8);
        store_u64(digits, number);
        append(key, ByteView(digits).last(width));
        lost.erase(key);
      };
      forget("ap", 2, 8);
      forget("ap", 3, 8);
      forget("ae" + std::string(as_text(bench.realm.land().view())), 2, 4);
      must(table->write(lost, table::Durability::Synced));
    }
    bench.restart();
    const auto site = bench.as(bench.realm.site());
    EXPECT_EQ(must(site->status()).policy, format::PolicyVersion(3));
    EXPECT_EQ(must(site->acts()).size(), 5U);
    EXPECT_TRUE(failed_with(bench.as(bench.realm.writer())->status(), Code::Denied)) << "the revoked writer stays out";
    bench.restart();
    EXPECT_EQ(must(bench.as(bench.realm.site())->acts()).size(), 5U) << "with rows again";
  });
}

TEST(ThreatsVault, H11_objects_of_an_unknown_suite_or_version_are_refused) {
  with_home(Door::Plain, [](VaultBench& bench, CompromisedHome& home) {
    for (const std::size_t at : {8U, 9U, 10U, 11U}) {
      Bytes object = sealed_object({.registry = bench.realm.land(), .fill = 6});
      object[at] ^= 2;
      WriterStream copy = home.stream;
      EXPECT_TRUE(failed_with(home.writer->put(copy.next(format::name_of(object)), object), Code::Unsupported)) << at;
      EXPECT_FALSE(must(home.writer->has(format::name_of(object))));
    }
  });
}

TEST(ThreatsVault, H9_malformed_huge_and_traversing_requests_are_refused_and_the_vault_goes_on) {
  with_home(Door::Plain, [](VaultBench& bench, CompromisedHome& home) {
    const std::string entry = "/v1/streams/" + home.stream.id().hex() + "/1";
    const std::string huge = "PUT " + entry + " HTTP/1.1\r\nHost: lux\r\nContent-Length: ";
    EXPECT_EQ(status_of_bytes(bench, huge + "1000000000000\r\n\r\n"), 413);
    EXPECT_EQ(status_of_bytes(bench, huge + "99999999999999999999999999\r\n\r\n"), 400);
    EXPECT_EQ(status_of_bytes(bench, "PUT " + entry + " HTTP/1.1\r\nHost: lux\r\nContent-Length: 0\r\n\r\n"), 400)
        << "an entry without its headers";
    for (const std::string_view target : {"/v1/objects/../../../../etc/passwd", "/v1/acts/..%2f..%2flock",
                                          "/v1/objects/00", "/v1/acts/lock", "/v1/streams/x/entries"}) {
      const int status = status_of_request(bench, "GET", std::string(target));
      EXPECT_TRUE(status == 400 || status == 404) << target << " gave " << status;
    }
    EXPECT_NE(status_of_bytes(bench, std::string(100'000, 'A') + "\r\n\r\n") / 100, 2);
    home.expect_past_is_safe();
  });
}

TEST(ThreatsVault, H9_a_vault_that_answers_with_lies_or_floods_is_caught_in_bounded_memory) {
  const auto world = conformance::sim_world(1).make();
  world->run([](env::Env env) {
    const auto lux = policy::testing::make_vault("lux");
    wire::testing::ScriptedVault vault(env, lux.identity);
    wire::testing::PlainTransport transport(machine_key("site lisbon").public_key());
    policy::VaultEntry reached = lux;
    reached.address = vault.address();
    const auto realm = seeded_id<format::RealmId>("realm");
    wire::HttpVault client({env.clock, env.random, env.network, env.threads}, transport, reached, realm,
                           {.connections = 1, .attempts = 1});
    format::Receipt receipt;
    receipt.vault = lux.receipt;
    receipt.realm = realm;
    receipt.stream = seeded_id<format::StreamId>("stream");
    receipt.term = format::Term(1);
    const auto forged = format::SignedReceipt::sign(receipt, machine_key("the host's own key"));
    const auto writer = machine_key("writer land");
    const auto entry = format::SignedEntry::sign({receipt.stream, {}, {}, receipt.chain, {}}, writer);
    vault.will_say(forged.document());
    EXPECT_TRUE(failed_with(client.put(entry, Bytes(100)), Code::Corrupt));
    vault.will_say(std::string(5'000'000, 'x'));
    const auto flooded = client.acts();
    ASSERT_TRUE(failed_with(flooded, Code::Corrupt));
    EXPECT_NE(flooded.error().message().find("with more than is allowed"), std::string::npos) << "it was read";
    const auto land = seeded_id<format::RegistryId>("registry land");
    vault.will_say(wire::heads_document(land, {{}, seeded_id<format::StreamId>("more")}));
    EXPECT_TRUE(failed_with(client.heads(land), Code::Corrupt)) << "an empty page, and more";
    vault.will({.status = 206, .body = "shifted", .headers = {{"Content-Range", "bytes 1-7/100"}}});
    Bytes out(7);
    EXPECT_TRUE(failed_with(client.read({}, 0, out), Code::Corrupt));
    vault.will({.body = "a bomb", .headers = {{"Content-Encoding", "gzip"}}});
    EXPECT_TRUE(failed_with(client.acts(), Code::Corrupt)) << "nothing is unpacked on a host's word";
  });
}

// Pages as they should be, full and in order, of streams that nobody opened: who reads them stops at a number.
TEST(ThreatsVault, H9_a_vault_that_lists_streams_without_end_is_given_up_at_a_limit) {
  const auto world = conformance::sim_world(1).make();
  world->run([](env::Env env) {
    const auto lux = policy::testing::make_vault("lux");
    wire::testing::ScriptedVault vault(env, lux.identity);
    wire::testing::PlainTransport transport(machine_key("site lisbon").public_key());
    policy::VaultEntry reached = lux;
    reached.address = vault.address();
    wire::HttpVault client({env.clock, env.random, env.network, env.threads}, transport, reached,
                           seeded_id<format::RealmId>("realm"), {.connections = 1, .attempts = 1});
    const auto land = seeded_id<format::RegistryId>("registry land");
    const std::size_t enough = store::kMostStreams / wire::kHeadsPerPage;
    std::map<format::StreamId, format::StreamDescriptor> streams;  // in the order of pages
    while (streams.size() <= (enough + 1) * wire::kHeadsPerPage) {
      format::StreamDescriptor stream;
      stream.registry = land;
      stream.era = format::EraNumber(1);
      stream.start = seeded_id<format::StreamStart>(std::to_string(streams.size()));
      streams.emplace(stream.id(), stream);
    }
    auto stream = streams.begin();
    for (std::size_t i = 0; i <= enough; ++i) {
      wire::HeadsPage page;
      while (page.heads.size() < wire::kHeadsPerPage) {
        page.heads.emplace_back().stream.descriptor = (stream++)->second;
      }
      page.next = stream->first;
      vault.will_say(wire::heads_document(land, page));
    }
    const auto listed = client.heads(land);
    ASSERT_TRUE(failed_with(listed, Code::Corrupt));
    EXPECT_NE(listed.error().message().find("lists streams without end"), std::string::npos)
        << listed.error().message();
    EXPECT_EQ(vault.requests.size(), enough + 1);
  });
}

// A host's program that sends what it says it will, a byte every five seconds: `prompt` at once, `slow` like that.
TEST(ThreatsVault, H9_a_vault_that_answers_a_byte_at_a_time_is_given_up_at_the_deadline) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
  for (const auto& [prompt, slow] : {std::pair(std::string(), "HTTP/1.1 200 OK\r\n" + std::string(1000, 'x')),
                                     std::pair(head, std::string(1000, 'x'))}) {
    const auto world = conformance::sim_world(1).make();
    world->run([&prompt = prompt, &slow = slow](env::Env env) {
      const auto lux = policy::testing::make_vault("lux");
      const auto listener = must(env.network.listen("127.0.0.1:0"));
      const auto host = must(env.threads.start("host", [&] {
        const auto in = [&](std::chrono::seconds time) { return env.clock.monotonic() + time; };
        wire::testing::PlainTransport transport(lux.identity);
        const auto peer = must(transport.accept(must(listener->accept()), in(std::chrono::seconds(10))));
        Bytes request(1000);
        must(peer.connection->read_some(request, in(std::chrono::seconds(10))));
        must(env::write_all(*peer.connection, as_bytes(prompt), in(std::chrono::seconds(10))));
        Status sent;
        for (std::size_t i = 0; i < slow.size() && sent.ok(); ++i) {
          must(env.clock.sleep_until(in(std::chrono::seconds(5))));
          sent = env::write_all(*peer.connection, as_bytes(slow.substr(i, 1)), in(std::chrono::seconds(10)));
        }
      }));
      wire::testing::PlainTransport transport(machine_key("site lisbon").public_key());
      policy::VaultEntry reached = lux;
      reached.address = listener->address();
      const env::Instant begin = env.clock.monotonic();
      {
        wire::HttpVault client({env.clock, env.random, env.network, env.threads}, transport, reached,
                               seeded_id<format::RealmId>("realm"), {.connections = 1, .attempts = 1});
        EXPECT_TRUE(failed_with(client.acts(), Code::Unavailable));
      }
      EXPECT_LT(env.clock.monotonic() - begin, std::chrono::minutes(2));
      host->join();
    });
  }
}

TEST(ThreatsVault, H9_waiting_for_a_silent_vault_ends_when_it_is_given_up) {
  const auto world = conformance::sim_world(1).make();
  world->run([](env::Env env) {
    const auto lux = policy::testing::make_vault("lux");
    const auto listener = must(env.network.listen("127.0.0.1:0"));
    wire::testing::PlainTransport transport(machine_key("site lisbon").public_key());
    policy::VaultEntry reached = lux;
    reached.address = listener->address();
    wire::HttpVault client({env.clock, env.random, env.network, env.threads}, transport, reached,
                           seeded_id<format::RealmId>("realm"), {.connections = 1, .attempts = 3});
    const auto in = [&](std::chrono::seconds time) { return env.clock.monotonic() + time; };
    const auto host = must(env.threads.start("host", [&] {
      wire::testing::PlainTransport side(lux.identity);
      const auto silent = must(side.accept(must(listener->accept()), in(std::chrono::seconds(10))));
      must(env.clock.sleep_until(in(std::chrono::minutes(10))));
    }));
    const auto giver_up = must(env.threads.start("giver-up", [&] {
      must(env.clock.sleep_until(in(std::chrono::seconds(2))));
      client.shutdown();
    }));
    const env::Instant begin = env.clock.monotonic();
    EXPECT_TRUE(failed_with(client.acts(), Code::Cancelled));
    EXPECT_LT(env.clock.monotonic() - begin, std::chrono::seconds(5));
    EXPECT_TRUE(failed_with(client.acts(), Code::Cancelled)) << "and nothing is begun any more";
    giver_up->join();
    host->join();
  });
}

// Over real TLS on the loopback: an impostor answers at the vault's address with a certificate of its own.
TEST(ThreatsVault, H10_posing_as_a_vault_or_as_the_site_with_ones_own_key_is_denied) {
  with_vault({"", conformance::real_world(), Door::Tls, Tables::Rocksdb}, [](VaultBench& bench) {
    WriterStream stream(bench.realm, bench.realm.writer(), bench.realm.land());
    const Bytes object = sealed_object({.registry = bench.realm.land(), .fill = 1});
    {
      const auto writer = bench.as(bench.realm.writer());
      must(writer->open_stream(stream.stream()));
      must(writer->put(stream.next(format::name_of(object)), object));
    }
    Bytes out(16);
    const auto false_site = bench.as(machine_key("another site"));
    EXPECT_TRUE(failed_with(false_site->read(format::name_of(object), 0, out), Code::Denied));
    const auto other_vault = bench.as(bench.realm.other_vault);
    EXPECT_TRUE(failed_with(other_vault->read(format::name_of(object), 0, out), Code::Denied)) << "nor another vault";

    const auto impostor = wire::make_tls_transport(tls::Identity::from_key(machine_key("impostor")));
    const auto server =
        must(wire::Server::start({bench.env.clock, bench.env.log, bench.env.threads},
                                 must(bench.env.network.listen("127.0.0.1:0")), *impostor, bench.vault()));
    const auto site = wire::make_tls_transport(tls::Identity::from_key(bench.realm.site()));
    policy::VaultEntry pinned = bench.realm.policy().vaults.front();
    pinned.address = server->address();
    wire::HttpVault deceived({bench.env.clock, bench.env.random, bench.env.network, bench.env.threads}, *site, pinned,
                             bench.realm.policy().realm, {.attempts = 1});
    EXPECT_TRUE(failed_with(deceived.read(format::name_of(object), 0, out), Code::Denied));
    EXPECT_TRUE(failed_with(deceived.heads(bench.realm.land()), Code::Denied));
  });
}

}  // namespace
}  // namespace exclave
