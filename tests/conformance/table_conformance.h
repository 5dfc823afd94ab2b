// The conformance suite of table::Table. Also shows what table.h means.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "table/table.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::conformance {

using table::Batch;
using table::Durability;
using table::KeyRange;
using table::Table;
using table::Visit;

struct TableKind {
  std::string name;
  WorldKind world;
  // Opens the table in `directory`, making it at the first call.
  std::function<Result<std::unique_ptr<Table>>(env::Env, const std::string& directory)> open;
  std::string root_file;  // without which nothing else in the directory can be found
  friend void PrintTo(const TableKind& kind, std::ostream* out) { *out << kind.name; }
};

class TableConformance : public ::testing::TestWithParam<TableKind> {
 protected:
  using Rows = std::vector<std::pair<std::string, std::string>>;

  // With a new table open.
  void run(const std::function<void()>& body) {
    const auto world = GetParam().world.make();
    directory_ = world->directory();
    world->run([&](env::Env env) {
      env_.emplace(env);
      try {
        reopen();
        body();
      } catch (const BodyAbandoned&) {
        SUCCEED() << "the failure is already recorded";
      }
      table_.reset();
    });
  }
  Result<std::unique_ptr<Table>> open() { return GetParam().open(*env_, directory_); }
  void reopen() {
    table_.reset();
    table_ = must(open());
  }
  void start(std::vector<std::unique_ptr<env::Thread>>& threads, std::function<void()> body) {
    threads.push_back(must(env_->threads.start("table", std::move(body))));
  }
  void put(std::string_view key, std::string_view value, Durability durability = Durability::Buffered) {
    Batch batch;
    batch.put(as_bytes(key), as_bytes(value));
    write(batch, durability);
  }
  void write(const Batch& batch, Durability durability = Durability::Buffered) {
    EXPECT_TRUE(is_ok(table_->write(batch, durability)));
  }
  // "(none)" for an absent key.
  std::string get(std::string_view key) const {
    const Result<std::optional<Bytes>> value = table_->get(as_bytes(key));
    if (!value.ok()) return "error: " + value.error().message();
    return value.value() ? std::string(as_text(*value.value())) : "(none)";
  }
  Rows rows(const KeyRange& range = KeyRange::all()) const {
    Rows rows;
    const Status scanned = table_->scan(range, [&](ByteView key, ByteView value) -> Result<Visit> {
      rows.emplace_back(as_text(key), as_text(value));
      return Visit::Continue;
    });
    EXPECT_TRUE(scanned.ok());
    return rows;
  }
  static std::string keys_of(const Rows& rows) {
    std::string keys;
    for (const auto& [key, value] : rows) keys += (keys.empty() ? "" : " ") + key;
    return keys;
  }

  std::optional<env::Env> env_;
  std::string directory_;
  std::unique_ptr<Table> table_;
};

TEST_P(TableConformance, a_new_table_is_empty) {
  run([&] {
    EXPECT_EQ(get("anything"), "(none)");
    EXPECT_EQ(rows(), Rows());
  });
}

TEST_P(TableConformance, what_was_put_is_found_and_what_was_erased_is_not) {
  run([&] {
    put("a", "1");
    put("b", "");
    put("a", "2");
    EXPECT_EQ(get("a"), "2");
    EXPECT_EQ(get("b"), "");
    EXPECT_EQ(get("c"), "(none)");
    Batch batch;
    batch.erase(as_bytes("a"));
    batch.erase(as_bytes("never there"));
    write(batch);
    EXPECT_EQ(get("a"), "(none)");
    EXPECT_EQ(rows(), (Rows{{"b", ""}}));
  });
}

TEST_P(TableConformance, in_a_batch_the_last_operation_on_a_key_decides) {
  run([&] {
    Batch batch;
    batch.put(as_bytes("kept"), as_bytes("old"));
    batch.erase(as_bytes("kept"));
    batch.put(as_bytes("kept"), as_bytes("new"));
    batch.put(as_bytes("gone"), as_bytes("x"));
    batch.erase(as_bytes("gone"));
    write(batch);
    EXPECT_EQ(rows(), (Rows{{"kept", "new"}}));
  });
}

TEST_P(TableConformance, keys_and_values_are_any_bytes_in_unsigned_order) {
  run([&] {
    const std::string zero("\0", 1), high("\xff\xfe", 2), middle("a\0b", 3);
    for (const std::string& key : {high, middle, zero, std::string("a"), std::string("\x7f"), std::string("\x80")}) {
      put(key, "value of " + key);
    }
    EXPECT_EQ(get(middle), "value of " + middle);
    Rows expected;
    for (const std::string& key : {zero, std::string("a"), middle, std::string("\x7f"), std::string("\x80"), high}) {
      expected.emplace_back(key, "value of " + key);
    }
    EXPECT_EQ(rows(), expected);
  });
}

TEST_P(TableConformance, scans_keep_to_their_range) {
  run([&] {
    for (const char* key : {"a", "ab", "abc", "b", "ba", "c", "\xff", "\xff\xff", "\xff\xff\x01"}) put(key, "");
    EXPECT_EQ(keys_of(rows(KeyRange::between(as_bytes("ab"), as_bytes("c")))), "ab abc b ba");
    EXPECT_EQ(keys_of(rows(KeyRange::between(as_bytes("aa"), as_bytes("aa")))), "");
    EXPECT_EQ(keys_of(rows(KeyRange::between(as_bytes("c"), as_bytes("a")))), "");
    EXPECT_EQ(keys_of(rows(KeyRange::starting_at(as_bytes("bb")))), "c \xff \xff\xff \xff\xff\x01");
    EXPECT_EQ(keys_of(rows(KeyRange::prefix(as_bytes("ab")))), "ab abc");
    EXPECT_EQ(keys_of(rows(KeyRange::prefix(as_bytes("b")))), "b ba");
    EXPECT_EQ(keys_of(rows(KeyRange::prefix(as_bytes("\xff\xff")))), "\xff\xff \xff\xff\x01");
    EXPECT_EQ(keys_of(rows(KeyRange::prefix(as_bytes("d")))), "");
    EXPECT_EQ(rows(KeyRange::prefix({})).size(), 9u);
  });
}

TEST_P(TableConformance, a_scan_stops_when_told_and_passes_errors_up) {
  run([&] {
    for (const char* key : {"a", "b", "c"}) put(key, "");
    std::string seen;
    const Table::Visitor until_b = [&](ByteView key, ByteView) -> Result<Visit> {
      seen += as_text(key);
      return seen == "ab" ? Visit::Stop : Visit::Continue;
    };
    EXPECT_TRUE(table_->scan(KeyRange::all(), until_b).ok());
    EXPECT_EQ(seen, "ab");
    const Status failed = table_->scan(
        KeyRange::all(), [](ByteView, ByteView) -> Result<Visit> { return Error(Code::Cancelled, "enough"); });
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().code(), Code::Cancelled);
  });
}

TEST_P(TableConformance, a_scan_sees_the_table_as_it_was_when_it_began) {
  run([&] {
    for (const char* key : {"a", "b", "c"}) put(key, "old");
    Rows seen;
    const Status scanned = table_->scan(KeyRange::all(), [&](ByteView key, ByteView value) -> Result<Visit> {
      if (seen.empty()) {
        Batch batch;
        batch.put(as_bytes("b"), as_bytes("new"));
        batch.put(as_bytes("bb"), as_bytes("new"));
        batch.erase(as_bytes("c"));
        TRY(table_->write(batch, Durability::Buffered));
      }
      seen.emplace_back(as_text(key), as_text(value));
      return Visit::Continue;
    });
    EXPECT_TRUE(scanned.ok());
    EXPECT_EQ(seen, (Rows{{"a", "old"}, {"b", "old"}, {"c", "old"}}));
    EXPECT_EQ(rows(), (Rows{{"a", "old"}, {"b", "new"}, {"bb", "new"}}));
  });
}

TEST_P(TableConformance, everything_is_there_after_reopening) {
  run([&] {
    put("synced", "1", Durability::Synced);
    put("buffered", "2");
    Batch batch;
    batch.put(as_bytes("in a batch"), as_bytes("3"));
    batch.erase(as_bytes("synced"));
    write(batch);
    for (int round = 0; round < 3; ++round) {
      reopen();
      EXPECT_EQ(rows(), (Rows{{"buffered", "2"}, {"in a batch", "3"}}));
    }
    put("later", "4", Durability::Synced);
    reopen();
    EXPECT_EQ(get("later"), "4");
  });
}

TEST_P(TableConformance, an_empty_batch_changes_nothing_and_may_be_synced) {
  run([&] {
    put("a", "1");
    write(Batch(), Durability::Buffered);
    write(Batch(), Durability::Synced);
    reopen();
    EXPECT_EQ(rows(), (Rows{{"a", "1"}}));
  });
}

TEST_P(TableConformance, flushing_changes_nothing_that_is_seen) {
  run([&] {
    put("a", "1");
    EXPECT_TRUE(table_->flush().ok());
    put("b", "2");
    EXPECT_TRUE(table_->flush().ok());
    EXPECT_TRUE(table_->flush().ok()) << "with nothing to do";
    EXPECT_EQ(rows(), (Rows{{"a", "1"}, {"b", "2"}}));
    reopen();
    EXPECT_EQ(rows(), (Rows{{"a", "1"}, {"b", "2"}}));
  });
}

TEST_P(TableConformance, limits_are_kept_and_refused_batches_leave_nothing) {
  run([&] {
    const auto refused = [&](const Batch& batch) {
      const Status status = table_->write(batch, Durability::Buffered);
      return !status.ok() && status.error().code() == Code::InvalidInput;
    };
    const Bytes long_key(table::kMaxKeyBytes, 'k'), too_long_key(table::kMaxKeyBytes + 1, 'k');
    const Bytes long_value(table::kMaxValueBytes, 'v'), too_long_value(table::kMaxValueBytes + 1, 'v');
    Batch batch;
    batch.put(long_key, long_value);
    write(batch, Durability::Synced);
    for (const ByteView bad_key : {ByteView(), ByteView(too_long_key)}) {
      Batch bad;
      bad.put(as_bytes("good"), as_bytes("x"));
      bad.put(bad_key, {});
      EXPECT_TRUE(refused(bad));
      bad.clear();
      bad.erase(bad_key);
      EXPECT_TRUE(refused(bad));
    }
    Batch bad_value;
    bad_value.put(as_bytes("good"), too_long_value);
    EXPECT_TRUE(refused(bad_value));
    Batch too_much;
    for (int i = 0; i < 17; ++i) too_much.put(as_bytes(std::to_string(i)), long_value);
    EXPECT_TRUE(refused(too_much));
    reopen();
    ASSERT_EQ(rows().size(), 1u);
    EXPECT_EQ(get(as_text(long_key)), as_text(long_value));
  });
}

TEST_P(TableConformance, a_second_opening_at_the_same_time_is_refused) {
  run([&] {
    const auto second = open();
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), Code::Conflict);
    put("a", "1");  // and the first is not disturbed
    EXPECT_EQ(get("a"), "1");
  });
}

TEST_P(TableConformance, what_has_lost_its_root_file_is_corrupt_at_every_opening) {
  run([&] {
    put("a", "1", Durability::Synced);
    table_.reset();
    must(env_->files.remove_file(directory_ + "/" + GetParam().root_file));
    for (int opening = 0; opening < 3; ++opening) {
      const auto opened = open();
      ASSERT_FALSE(opened.ok()) << "an empty table in place of the lost one";
      EXPECT_EQ(opened.error().code(), Code::Corrupt) << opened.error().message();
    }
  });
}

TEST_P(TableConformance, equals_a_map_over_random_work_with_reopenings) {
  run([&] {
    std::mt19937_64 generator(17);
    std::map<std::string, std::string> model;
    for (int round = 0; round < 400; ++round) {
      Batch batch;
      for (std::size_t operations = generator() % 8; operations > 0; --operations) {
        const std::string key = "key" + std::to_string(generator() % 150);
        if (generator() % 3 == 0) {
          batch.erase(as_bytes(key));
          model.erase(key);
        } else {
          const std::string value(generator() % 9000, static_cast<char>('a' + generator() % 26));
          batch.put(as_bytes(key), as_bytes(value));
          model[key] = value;
        }
      }
      write(batch, generator() % 10 == 0 ? Durability::Synced : Durability::Buffered);
      if (generator() % 40 == 0) reopen();
      if (round % 20 == 0) {
        ASSERT_EQ(rows(), Rows(model.begin(), model.end())) << "round " << round;
      }
    }
    EXPECT_EQ(rows(), Rows(model.begin(), model.end()));
  });
}

TEST_P(TableConformance, holds_a_hundred_thousand_keys) {
  run([&] {
    constexpr std::uint64_t kKeys = 100'000;
    const auto key_of = [](std::uint64_t i) {
      Bytes key(32);
      std::mt19937_64 generator(i);
      for (std::size_t at = 0; at < 32; at += 8) store_u64(MutableByteView(key).subspan(at, 8), generator());
      return key;
    };
    Batch batch;
    for (std::uint64_t i = 0; i < kKeys; ++i) {
      batch.put(key_of(i), as_bytes(std::to_string(i)));
      if (i % 1000 != 999) continue;
      write(batch, i % 10'000 == 9'999 ? Durability::Synced : Durability::Buffered);
      batch.clear();
    }
    for (int round = 0; round < 2; ++round) {
      for (std::uint64_t i = 0; i < kKeys; i += 7) ASSERT_EQ(get(as_text(key_of(i))), std::to_string(i));
      for (std::uint64_t i = kKeys; i < kKeys + 5000; ++i) ASSERT_EQ(get(as_text(key_of(i))), "(none)");
      std::uint64_t count = 0;
      Bytes previous;
      const Status scanned = table_->scan(KeyRange::all(), [&](ByteView key, ByteView) -> Result<Visit> {
        EXPECT_TRUE(std::lexicographical_compare(previous.begin(), previous.end(), key.begin(), key.end()));
        previous = to_bytes(key);
        ++count;
        return Visit::Continue;
      });
      ASSERT_TRUE(scanned.ok());
      EXPECT_EQ(count, kKeys);
      reopen();
    }
  });
}

TEST_P(TableConformance, readers_never_see_half_a_batch) {
  run([&] {
    std::atomic<bool> done = false;
    std::atomic<int> torn = 0, scans = 0;
    std::vector<std::unique_ptr<env::Thread>> reader;
    start(reader, [&] {
      for (bool is_last = false; !is_last;) {
        is_last = done;  // at least one that sees everything
        std::vector<std::string> values;
        ignore(table_->scan(KeyRange::all(),
                            [&](ByteView, ByteView value) -> Result<Visit> {
                              values.emplace_back(as_text(value));
                              return Visit::Continue;
                            }),
               "a failed scan leaves no values, which the count below notices");
        for (const std::string& value : values) torn += value != values.front();
        scans += values.size() == 20;
        // A simulated thread hands on at calls of its world only, and a scan may need none.
        ignore(env_->clock.sleep_until(env_->clock.monotonic()), "no time at all");
      }
    });
    for (int round = 0; round < 300; ++round) {
      Batch batch;
      for (int key = 0; key < 20; ++key)
        batch.put(as_bytes("k" + std::to_string(key)), as_bytes(std::to_string(round)));
      write(batch);
    }
    done = true;
    reader.clear();
    EXPECT_EQ(torn, 0);
    EXPECT_GT(scans, 0);
  });
}

TEST_P(TableConformance, writers_in_several_threads_lose_nothing) {
  run([&] {
    constexpr int kWriters = 4, kWrites = 200;
    {
      std::vector<std::unique_ptr<env::Thread>> writers;
      for (int writer = 0; writer < kWriters; ++writer) {
        start(writers, [this, writer] {
          for (int i = 0; i < kWrites; ++i) {
            put(std::to_string(writer) + "/" + std::to_string(i), "x",
                i % 50 == 0 ? Durability::Synced : Durability::Buffered);
          }
        });
      }
    }
    EXPECT_EQ(rows().size(), static_cast<std::size_t>(kWriters * kWrites));
    reopen();
    EXPECT_EQ(rows().size(), static_cast<std::size_t>(kWriters * kWrites));
  });
}

}  // namespace exclave::conformance
