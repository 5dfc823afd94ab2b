// The conformance suite of store::ObjectStore. Also shows what object_store.h means.
#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "format/object.h"
#include "store/object_store.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::conformance {

struct ObjectStoreKind {
  std::string name;
  WorldKind world;
  // Opens the store below `directory`, making it at the first call.
  std::function<Result<std::unique_ptr<store::ObjectStore>>(env::Env, const std::string& directory)> open;
  friend void PrintTo(const ObjectStoreKind& kind, std::ostream* out) { *out << kind.name; }
};

class ObjectStoreConformance : public ::testing::TestWithParam<ObjectStoreKind> {
 protected:
  // Opens the store as often as the body asks: at the latest call, the earlier store is gone.
  using Reopen = std::function<store::ObjectStore&()>;

  void run(const std::function<void(const Reopen&)>& body) {
    const auto world = GetParam().world.make();
    const std::string directory = world->directory();
    world->run([&](env::Env env) {
      std::unique_ptr<store::ObjectStore> store;
      const Reopen reopen = [&]() -> store::ObjectStore& {
        store.reset();
        store = must(GetParam().open(env, directory));
        return *store;
      };
      try {
        body(reopen);
      } catch (const BodyAbandoned&) {
        SUCCEED() << "the failure is already recorded";
      }
    });
  }

  static Bytes object_of(std::size_t size, Byte fill) {
    Bytes object(size);
    for (std::size_t i = 0; i < size; ++i) object[i] = static_cast<Byte>(fill + i / 7);
    return object;
  }
  static std::set<format::ObjectName> names_in(store::ObjectStore& store) {
    std::set<format::ObjectName> names;
    must(store.list([&](const format::ObjectName& name) -> Status {
      EXPECT_TRUE(names.insert(name).second) << "listed twice";
      return {};
    }));
    return names;
  }
};

TEST_P(ObjectStoreConformance, object_reads_back_as_it_was_put) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(300'000, 3);
    EXPECT_EQ(must(store::put_object(store, format::name_of(object), object)), store::PutOutcome::Stored);
    EXPECT_EQ(must(store.size_of(format::name_of(object))), object.size());
    EXPECT_EQ(must(store::read_object(store, format::name_of(object), object.size())), object);
    Bytes middle(1'000);
    must(store.read(format::name_of(object), 70'000, middle));
    EXPECT_TRUE(equal(middle, ByteView(object).subspan(70'000, 1'000)));
  });
}

TEST_P(ObjectStoreConformance, object_is_there_after_reopening) {
  run([](const Reopen& reopen) {
    const Bytes object = object_of(70'000, 4);
    must(store::put_object(reopen(), format::name_of(object), object));
    EXPECT_EQ(must(store::read_object(reopen(), format::name_of(object), object.size())), object);
  });
}

TEST_P(ObjectStoreConformance, nothing_is_visible_before_publish) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(10'000, 5);
    auto upload = must(store.begin_upload(format::name_of(object), object.size()));
    must(upload->append(object));
    EXPECT_TRUE(failed_with(store.size_of(format::name_of(object)), Code::NotFound));
    EXPECT_TRUE(names_in(store).empty());
    EXPECT_EQ(must(upload->publish(store::IfPresent::Keep)), store::PutOutcome::Stored);
    EXPECT_EQ(names_in(store), std::set{format::name_of(object)});
  });
}

TEST_P(ObjectStoreConformance, abandoned_upload_leaves_nothing) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(10'000, 6);
    {
      auto upload = must(store.begin_upload(format::name_of(object), object.size()));
      must(upload->append(ByteView(object).first(5'000)));
    }
    EXPECT_TRUE(names_in(store).empty());
    EXPECT_EQ(must(store::put_object(store, format::name_of(object), object)), store::PutOutcome::Stored);
  });
}

TEST_P(ObjectStoreConformance, second_put_of_a_name_changes_nothing) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(10'000, 7);
    must(store::put_object(store, format::name_of(object), object));
    const Bytes other = object_of(10'000, 8);
    EXPECT_EQ(must(store::put_object(store, format::name_of(object), other)), store::PutOutcome::AlreadyPresent);
    EXPECT_EQ(must(store::read_object(store, format::name_of(object), object.size())), object);
  });
}

TEST_P(ObjectStoreConformance, what_sets_a_damaged_object_aside_takes_its_name) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(10'000, 11);
    must(store::put_object(store, format::name_of(object), object_of(9'000, 12)));
    for (int time = 0; time < 2; ++time) {
      auto upload = must(store.begin_upload(format::name_of(object), object.size()));
      must(upload->append(object));
      if (time == 0) {
        EXPECT_EQ(must(upload->publish(store::IfPresent::Keep)), store::PutOutcome::AlreadyPresent);
      }
      EXPECT_EQ(must(upload->publish(store::IfPresent::SetAside)), store::PutOutcome::Stored);
      EXPECT_EQ(must(store::read_object(store, format::name_of(object), object.size())), object);
      EXPECT_EQ(names_in(store), std::set{format::name_of(object)});
    }
    const Bytes fresh = object_of(8'000, 13);
    {
      auto upload = must(store.begin_upload(format::name_of(fresh), fresh.size()));
      must(upload->append(fresh));
      EXPECT_EQ(must(upload->publish(store::IfPresent::SetAside)), store::PutOutcome::Stored) << "nothing was there";
    }
    EXPECT_EQ(must(store::read_object(reopen(), format::name_of(fresh), fresh.size())), fresh);
  });
}

TEST_P(ObjectStoreConformance, two_uploads_of_one_name_end_as_one_object) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(10'000, 9);
    auto first = must(store.begin_upload(format::name_of(object), object.size()));
    auto second = must(store.begin_upload(format::name_of(object), object.size()));
    must(first->append(object));
    must(second->append(object));
    EXPECT_EQ(must(second->publish(store::IfPresent::Keep)), store::PutOutcome::Stored);
    EXPECT_EQ(must(first->publish(store::IfPresent::Keep)), store::PutOutcome::AlreadyPresent);
    EXPECT_EQ(names_in(store).size(), 1U);
  });
}

TEST_P(ObjectStoreConformance, upload_takes_exactly_what_was_announced) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(1'000, 10);
    auto longer = must(store.begin_upload(format::name_of(object), 999));
    EXPECT_TRUE(failed_with(longer->append(object), Code::InvalidInput));
    auto shorter = must(store.begin_upload(format::name_of(object), 1'001));
    must(shorter->append(object));
    EXPECT_TRUE(failed_with(shorter->publish(store::IfPresent::Keep), Code::InvalidInput));
    EXPECT_TRUE(failed_with(store.size_of(format::name_of(object)), Code::NotFound));
  });
}

TEST_P(ObjectStoreConformance, reading_past_the_end_is_refused) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const Bytes object = object_of(1'000, 11);
    must(store::put_object(store, format::name_of(object), object));
    Bytes out(10);
    EXPECT_TRUE(is_ok(store.read(format::name_of(object), 990, out)));
    EXPECT_TRUE(failed_with(store.read(format::name_of(object), 991, out), Code::InvalidInput));
    EXPECT_TRUE(failed_with(store.read(format::name_of(object), ~std::uint64_t{0}, out), Code::InvalidInput));
  });
}

TEST_P(ObjectStoreConformance, unknown_name_is_not_found) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const format::ObjectName unknown = format::name_of(object_of(10, 12));
    Bytes out(1);
    EXPECT_TRUE(failed_with(store.size_of(unknown), Code::NotFound));
    EXPECT_TRUE(failed_with(store.read(unknown, 0, out), Code::NotFound));
  });
}

TEST_P(ObjectStoreConformance, list_names_every_object_and_stops_when_told) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    std::set<format::ObjectName> put;
    for (Byte fill = 0; fill < 40; ++fill) {
      const Bytes object = object_of(100, fill);
      must(store::put_object(store, format::name_of(object), object));
      put.insert(format::name_of(object));
    }
    EXPECT_EQ(names_in(store), put);
    std::size_t visited = 0;
    const Status stopped = store.list([&](const format::ObjectName&) -> Status {
      if (++visited == 3) return Error(Code::Cancelled, "enough");
      return {};
    });
    EXPECT_TRUE(failed_with(stopped, Code::Cancelled));
    EXPECT_EQ(visited, 3U);
  });
}

TEST_P(ObjectStoreConformance, more_than_there_is_room_for_is_refused_before_a_byte_is_written) {
  run([](const Reopen& reopen) {
    store::ObjectStore& store = reopen();
    const format::ObjectName name = format::name_of(object_of(10, 13));
    EXPECT_TRUE(failed_with(store.begin_upload(name, std::uint64_t{1} << 62), Code::Exhausted));
    EXPECT_TRUE(names_in(store).empty());
  });
}

}  // namespace exclave::conformance
