#include "store/directory_store.h"

#include <gtest/gtest.h>

#include <array>
#include <map>

#include "format/object.h"
#include "sim/crash_points.h"
#include "tests/conformance/object_store_conformance.h"
#include "tests/conformance/object_store_weather.h"
#include "tests/conformance/worlds.h"

namespace exclave::store {
namespace {

using conformance::failed_with;
using conformance::is_ok;
using conformance::must;
using conformance::ObjectStoreConformance;
using conformance::ObjectStoreKind;

Result<std::unique_ptr<ObjectStore>> make_and_open(env::Env env, const std::string& directory) {
  TRY(create_directory_store(env.files, directory + "/objects"));
  return open_directory_store(env.files, directory + "/objects", {.reserve_bytes = 1 << 20});
}

const auto kKinds = ::testing::Values(ObjectStoreKind{"dir_on_posix", conformance::real_world(), make_and_open},
                                      ObjectStoreKind{"dir_on_sim", conformance::sim_world(1), make_and_open});
const auto kName = [](const auto& each) { return each.param.name; };
INSTANTIATE_TEST_SUITE_P(EveryStore, ObjectStoreConformance, kKinds, kName);

TEST(ObjectStoreInWeather, H7_what_was_published_lives_through_any_weather) {
  const ObjectStoreKind kind{"dir", conformance::sim_world(1), make_and_open};
  conformance::expect_sound([&] { return std::make_unique<conformance::ObjectsInWeather>(kind); },
                            {.seeds = 60, .lives = 6, .many_calls = 900});
}

Bytes object_of(Byte fill) {
  return Bytes(20'000, fill);
}
TEST(DirectoryStore, opening_what_was_never_created_is_not_found) {
  sim::Universe universe(1);
  env::Env env = universe.machine("lux").env();
  EXPECT_TRUE(failed_with(open_directory_store(env.files, "/srv/objects"), Code::NotFound));
}

TEST(DirectoryStore, each_object_is_a_file_named_by_its_name_below_its_first_byte) {
  sim::Universe universe(1);
  sim::Machine& lux = universe.machine("lux");
  auto store = must(make_and_open(lux.env(), "/srv"));
  const Bytes object = object_of(1);
  const std::string name = format::name_of(object).hex();
  must(put_object(*store, format::name_of(object), object));
  EXPECT_EQ(must(lux.disk().content("/srv/objects/" + name.substr(0, 2) + "/" + name)), object);
}

TEST(DirectoryStore, a_file_is_adopted_without_a_copy_and_survives_power_loss) {
  sim::Universe universe(1);
  sim::Machine& lux = universe.machine("lux");
  lux.set_survival(sim::Survival::Nothing);
  const Bytes object = object_of(5);
  lux.run([&] {
    const env::Env env = lux.env();
    auto store = must(make_and_open(env, "/srv"));
    must(env.files.make_directories("/srv/journal", 0700));
    must(env::create_file_durably(env.files, "/srv/journal/0", object, 0600));
    EXPECT_EQ(must(store->adopt(format::name_of(object), "/srv/journal", "0", IfPresent::Keep)), PutOutcome::Stored);
    EXPECT_EQ(must(store->adopt(format::name_of(object), "/srv/journal", "0", IfPresent::Keep)),
              PutOutcome::AlreadyPresent);
    EXPECT_TRUE(
        failed_with(store->adopt(format::name_of(object), "/srv/journal", "1", IfPresent::Keep), Code::NotFound));
    const std::string path =
        "/srv/objects/" + format::name_of(object).hex().substr(0, 2) + "/" + format::name_of(object).hex();
    EXPECT_EQ(must(env.files.stat(path)).inode, must(env.files.stat("/srv/journal/0")).inode);
    EXPECT_EQ(must(env.files.stat(path)).mode, 0400U);
    must(env.files.remove_file("/srv/journal/0"));
  });
  lux.crash();
  lux.wait();
  lux.restart();
  lux.run([&] {
    auto store = must(make_and_open(lux.env(), "/srv"));
    EXPECT_EQ(must(read_object(*store, format::name_of(object), object.size())), object);
  });
}

TEST(DirectoryStore, uploads_cut_off_by_a_crash_are_cleared_away_and_strangers_are_left_alone) {
  sim::Universe universe(1);
  sim::Machine& lux = universe.machine("lux");
  lux.set_survival(sim::Survival::Everything);
  const Bytes object = object_of(2);
  const std::string directory = "/srv/objects/" + format::name_of(object).hex().substr(0, 2);
  lux.run([&] {
    auto store = must(make_and_open(lux.env(), "/srv"));
    must(env::create_file_durably(lux.env().files, directory + "/notes.txt", as_bytes("mine"), 0600));
    auto upload = must(store->begin_upload(format::name_of(object), object.size()));
    must(upload->append(object));
    lux.crash();
  });
  lux.restart();
  EXPECT_EQ(must(lux.env().files.list(directory)).size(), 2U) << "the test needs a leftover";
  auto store = must(make_and_open(lux.env(), "/srv"));
  EXPECT_EQ(must(lux.env().files.list(directory)), std::vector<std::string>{"notes.txt"});
  std::size_t listed = 0;
  must(store->list([&](const format::ObjectName&) -> Status {
    ++listed;
    return {};
  }));
  EXPECT_EQ(listed, 0U);
}

TEST(DirectoryStore, room_promised_to_one_upload_is_not_given_to_another) {
  sim::Universe universe(1);
  sim::Machine& lux = universe.machine("lux");
  auto store = must(make_and_open(lux.env(), "/srv"));
  lux.disk().set_capacity_bytes(lux.disk().used_bytes() + (10 << 20));  // 1 MiB of it is the reserve
  auto first = must(store->begin_upload(format::name_of(object_of(1)), 6 << 20));
  EXPECT_TRUE(failed_with(store->begin_upload(format::name_of(object_of(2)), 6 << 20), Code::Exhausted));
  must(first->append(Bytes(4 << 20, 1)));
  EXPECT_TRUE(failed_with(store->begin_upload(format::name_of(object_of(2)), 6 << 20), Code::Exhausted));
  first.reset();
  EXPECT_TRUE(is_ok(store->begin_upload(format::name_of(object_of(2)), 6 << 20)));
}

// A name that another upload gave, but whose directory could not be synced, must not be vouched for unsynced.
TEST(DirectoryStore, already_present_is_only_said_of_what_survives_power_loss) {
  sim::Universe universe(1);
  sim::Machine& lux = universe.machine("lux");
  lux.set_survival(sim::Survival::Nothing);
  const Bytes object = object_of(3);
  lux.run([&] {
    auto store = must(make_and_open(lux.env(), "/srv"));
    lux.inject({.call = sim::FileCall::SyncDirectory, .path_part = "objects"});
    EXPECT_TRUE(failed_with(put_object(*store, format::name_of(object), object), Code::Unavailable));
    const auto again = put_object(*store, format::name_of(object), object);
    EXPECT_TRUE(is_ok(again));
    EXPECT_EQ(again.value(), PutOutcome::AlreadyPresent) << "the test needs the name to be there";
    lux.crash();
  });
  lux.restart();
  lux.run([&] {
    auto store = must(make_and_open(lux.env(), "/srv"));
    EXPECT_EQ(must(read_object(*store, format::name_of(object), object.size())), object);
  });
}

// Objects that publish vouched for are there after any power loss; others are whole or not there.
struct Deposits {
  std::map<format::ObjectName, Bytes> tried;
  std::map<format::ObjectName, Bytes> promised;
  int promises = 0;

  void prepare(sim::Machine& machine) { ignore(make_and_open(machine.env(), "/srv"), "power is stable here"); }
  void work(sim::Machine& machine) {
    auto store = make_and_open(machine.env(), "/srv");
    if (!store.ok()) return;
    for (const Byte fill : std::array<Byte, 3>{1, 2, 1}) {
      const Bytes object = object_of(fill);
      tried[format::name_of(object)] = object;
      if (!put_object(*store.value(), format::name_of(object), object).ok()) continue;
      promised[format::name_of(object)] = object;
      ++promises;
    }
  }
  Status finished(sim::Machine&) const {
    return promises == 3 ? Status() : Error(Code::Bug, std::to_string(promises) + " of 3 objects were put");
  }
  Status check(sim::Machine& machine) {
    auto store = TRY(make_and_open(machine.env(), "/srv"));
    for (const auto& [name, object] : promised) {
      if (TRY(read_object(*store, name, object.size())) != object) return Error(Code::Corrupt, "promised bytes differ");
    }
    return store->list([&](const format::ObjectName& name) -> Status {
      const auto found = tried.find(name);
      if (found == tried.end()) return Error(Code::Corrupt, "an object that nobody put");
      if (TRY(read_object(*store, name, found->second.size())) != found->second) {
        return Error(Code::Corrupt, "bytes of an unpromised object differ");
      }
      return {};
    });
  }
};

TEST(DirectoryStore, H7_published_objects_survive_power_loss_at_every_file_call) {
  const auto report = sim::for_each_crash_point<Deposits>({.seed = 3, .lotteries = 2});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.points, 256U) << "opening looks at each directory";
}

// A good copy takes the place of a damaged one, sent or from a journal's file: after any crash the name has one of them,
// and the damaged bytes are somewhere.
struct Replacement {
  const Bytes good = object_of(1);
  const Bytes damaged = Bytes(10'000, 9);
  const std::string path =
      "/srv/objects/" + format::name_of(good).hex().substr(0, 2) + "/" + format::name_of(good).hex();
  bool is_replaced = false;

  void prepare(sim::Machine& machine) {
    auto store = must(make_and_open(machine.env(), "/srv"));
    must(put_object(*store, format::name_of(good), damaged));
  }
  void work(sim::Machine& machine) { is_replaced = replace(machine).ok(); }
  Status finished(sim::Machine&) const {
    return is_replaced ? Status() : Error(Code::Bug, "the damaged object was not replaced");
  }
  static Result<PutOutcome> replace(sim::Machine& machine) {
    const Bytes object = object_of(1);
    auto store = TRY(make_and_open(machine.env(), "/srv"));
    auto upload = TRY(store->begin_upload(format::name_of(object), object.size()));
    TRY(upload->append(object));
    return upload->publish(IfPresent::SetAside);
  }
  Status check(sim::Machine& machine) {
    env::FileSystem& files = machine.env().files;
    const Bytes there = TRY(files.read_file(path, 1 << 20));
    if (there != good && (is_replaced || there != damaged)) return Error(Code::Corrupt, "the name has neither");
    if (there == damaged) return {};
    if (TRY(files.read_file("/srv/objects/damaged/" + format::name_of(good).hex() + "-1", 1 << 20)) != damaged)
      return Error(Code::Corrupt, "the evidence is gone");
    return {};
  }
};
struct ReplacementFromJournal : Replacement {
  void prepare(sim::Machine& machine) {
    Replacement::prepare(machine);
    must(machine.env().files.make_directories("/srv/journal", 0700));
    must(env::create_file_durably(machine.env().files, "/srv/journal/0", good, 0600));
  }
  void work(sim::Machine& machine) {
    auto store = make_and_open(machine.env(), "/srv");
    is_replaced =
        store.ok() && store.value()->adopt(format::name_of(good), "/srv/journal", "0", IfPresent::SetAside).ok();
  }
};

TEST(DirectoryStore, H7_a_damaged_object_is_replaced_or_stays_after_power_loss_at_any_file_call) {
  const auto sent = sim::for_each_crash_point<Replacement>({.seed = 5, .lotteries = 2});
  EXPECT_TRUE(sent.ok()) << sent;
  const auto from_journal = sim::for_each_crash_point<ReplacementFromJournal>({.seed = 6, .lotteries = 2});
  EXPECT_TRUE(from_journal.ok()) << from_journal;
}

TEST(DirectoryStore, H7_a_replacement_that_the_disk_refuses_leaves_what_was_there) {
  for (const auto call :
       {sim::FileCall::Write, sim::FileCall::Sync, sim::FileCall::SyncDirectory, sim::FileCall::Name}) {
    sim::Universe universe(1);
    sim::Machine& lux = universe.machine("lux");
    Replacement replacement;
    replacement.prepare(lux);
    lux.inject({.call = call, .times = sim::kForEver});
    EXPECT_FALSE(Replacement::replace(lux).ok());
    lux.clear_faults();
    EXPECT_EQ(must(lux.disk().content(replacement.path)), replacement.damaged);
    must(Replacement::replace(lux));
    EXPECT_EQ(must(lux.disk().content(replacement.path)), replacement.good);
  }
}

// After any crash while it is made, the same call makes it usable.
struct Creation {
  bool is_created = false;

  void work(sim::Machine& machine) { is_created = create_directory_store(machine.env().files, "/srv/objects").ok(); }
  Status finished(sim::Machine&) const { return is_created ? Status() : Error(Code::Bug, "the store was not created"); }
  Status check(sim::Machine& machine) {
    const auto store = TRY(make_and_open(machine.env(), "/srv"));
    for (const Byte fill : std::array<Byte, 2>{1, 2}) {
      TRY(put_object(*store, format::name_of(object_of(fill)), object_of(fill)));
    }
    return {};
  }
};

TEST(DirectoryStore, H7_creation_can_be_repeated_after_power_loss_at_any_file_call) {
  const auto report = sim::for_each_crash_point<Creation>({.seed = 4, .lotteries = 1});
  EXPECT_TRUE(report.ok()) << report;
}

}  // namespace
}  // namespace exclave::store
