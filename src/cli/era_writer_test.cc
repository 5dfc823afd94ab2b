#include "cli/era_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "cli/folders.h"
#include "custody/testing/world.h"
#include "env/exists.h"
#include "posix/file_system.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::cli {
namespace {

using custody::CeremonyResult;
using custody::testing::World;
using ::testing::HasSubstr;

// A disk that changes one file between writing and reading.
class ChangingDisk final : public posix::FileSystem {
 public:
  using posix::FileSystem::FileSystem;

  void change(std::string part_of_path, std::function<void(std::string&)> change) {
    victim_ = std::move(part_of_path);
    change_ = std::move(change);
  }

  Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view path) override {
    if (!victim_.empty() && path.find(victim_) != std::string_view::npos) {
      victim_.clear();
      std::string content(as_text(TRY(read_file(path, 1 << 20))));
      change_(content);
      TRY(env::replace_file_durably(*this, path, as_bytes(content), env::kPrivateFile));
    }
    return posix::FileSystem::open_file(path);
  }

 private:
  std::string victim_;
  std::function<void(std::string&)> change_;
};

class EraWriter : public ::testing::Test {
 protected:
  static constexpr std::string_view kKeys = "operator/land/era-1.keys";
  static constexpr std::string_view kMark = "ceremony/era-land-1.unfinished";

  EraWriter() { EXPECT_TRUE(files_.make_directories(at("ceremony"), env::kPrivateDirectory).ok()); }

  std::string at(std::string_view path) const { return realm_ / path; }
  bool is_there(std::string_view path) { return env::exists(files_, at(path)).value(); }
  std::string content(std::string_view path) {
    return std::string(as_text(files_.read_file(at(path), 1 << 20).value()));
  }
  void write(std::string_view path, std::string_view text) {
    ASSERT_TRUE(files_.make_directories(env::parent_path(at(path)), env::kPrivateDirectory).ok());
    ASSERT_TRUE(env::replace_file_durably(files_, at(path), as_bytes(text), env::kPrivateFile).ok());
  }
  static std::string leaf_of_bob(const CeremonyResult& result) {
    return "officials/bob/share-book/" + custody::leaf_file_name(result.era.era.registry, result.era.era.number);
  }

  Status begin(const CeremonyResult& result) { return begin_era(files_, realm_.path(), "land", "operator", result); }
  Status write(const CeremonyResult& result) { return write_era(files_, realm_.path(), "land", "operator", result); }

  // Whether the run is refused after the disk changed a file, leaves nothing of it, and the next one succeeds.
  void expect_refused_and_repeatable(const std::string& path, std::function<void(std::string&)> change) {
    ASSERT_TRUE(begin(first_).ok());
    files_.change(path, std::move(change));
    const Status written = write(first_);
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().code(), Code::Corrupt);
    EXPECT_THAT(written.error().message(), HasSubstr(path + "' does not hold what was written to it"));
    EXPECT_FALSE(is_there(path));
    const Status begun = begin(second_);
    ASSERT_TRUE(begun.ok()) << begun.error().message();
    const Status again = write(second_);
    EXPECT_TRUE(again.ok()) << again.error().message();
    EXPECT_TRUE(is_there(path));
    EXPECT_TRUE(settle_era(files_, realm_.path(), "land", second_.era).ok());
  }

  custody::testing::SeededRandom random_{"era writer"};
  ChangingDisk files_{random_};
  conformance::ScratchDirectory realm_{"era-writer"};
  const policy::testing::TestRealm people_ = policy::testing::make_realm({.officials = 3, .threshold = 2});
  // Two ceremonies that give out one number.
  const CeremonyResult first_ = World::hold(people_, 2, "first");
  const CeremonyResult second_ = World::hold(people_, 2, "second");
};

TEST_F(EraWriter, a_leaf_that_the_disk_changed_is_refused_and_does_not_stay) {
  expect_refused_and_repeatable(leaf_of_bob(first_), [](std::string& text) { text[text.size() / 2] ^= 1; });
}

TEST_F(EraWriter, a_leaf_that_grew_is_refused_and_does_not_stay) {
  expect_refused_and_repeatable(leaf_of_bob(first_), [](std::string& text) { text += "\n"; });
}

TEST_F(EraWriter, keys_of_another_dedup_secret_are_refused_and_do_not_stay) {
  expect_refused_and_repeatable(std::string(kKeys), [](std::string& text) {
    char& digit = text[text.find("\ndedup ") + 7];
    digit = digit == '1' ? '2' : '1';
  });
}

TEST_F(EraWriter, keys_that_lack_a_period_are_refused_and_do_not_stay) {
  expect_refused_and_repeatable(std::string(kKeys),
                                [](std::string& text) { text.resize(text.find("\nperiod 1 ") + 1); });
}

TEST_F(EraWriter, keys_that_cannot_be_read_any_more_are_refused_and_do_not_stay) {
  expect_refused_and_repeatable(std::string(kKeys), [](std::string& text) { text.resize(text.size() / 2); });
}

TEST_F(EraWriter, a_file_that_holds_no_keys_is_neither_replaced_nor_removed) {
  ASSERT_TRUE(begin(first_).ok());
  write(kKeys, "somebody's notes");
  const Status again = begin(first_);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), Code::AlreadyExists);
  EXPECT_TRUE(settle_era(files_, realm_.path(), "land", second_.era).ok());
  EXPECT_FALSE(is_there(kMark));
  EXPECT_EQ(content(kKeys), "somebody's notes");
}

TEST_F(EraWriter, a_mark_costs_nothing_of_the_era_that_another_ceremony_opened) {
  ASSERT_TRUE(begin(second_).ok());
  ASSERT_TRUE(write(second_).ok());
  const std::string keys = content(kKeys);
  const std::string leaf = content(leaf_of_bob(second_));
  // The mark of the one that was interrupted before it wrote anything.
  conformance::ScratchDirectory elsewhere("era-writer-mark");
  ASSERT_TRUE(files_.make_directories(elsewhere / "ceremony", env::kPrivateDirectory).ok());
  ASSERT_TRUE(begin_era(files_, elsewhere.path(), "land", "operator", first_).ok());
  write(kMark, as_text(files_.read_file(elsewhere / kMark, 1 << 20).value()));

  EXPECT_EQ(begin(first_).error().code(), Code::AlreadyExists);
  EXPECT_EQ(is_unsettled(files_, realm_.path(), "land", second_.era).value(), false);
  EXPECT_TRUE(settle_era(files_, realm_.path(), "land", second_.era).ok());
  EXPECT_FALSE(is_there(kMark));
  EXPECT_EQ(content(kKeys), keys);
  EXPECT_EQ(content(leaf_of_bob(second_)), leaf);
}

TEST_F(EraWriter, what_an_interrupted_ceremony_left_goes_with_its_mark_and_with_drafts_of_keys) {
  ASSERT_TRUE(begin(first_).ok());
  ASSERT_TRUE(write(first_).ok());
  EXPECT_EQ(is_unsettled(files_, realm_.path(), "land", first_.era).value(), true);
  write("operator/land/.tmp-0123456789abcdef", "half of the keys");
  EXPECT_TRUE(settle_era(files_, realm_.path(), "land", second_.era).ok());
  for (const std::string& path : {std::string(kMark), std::string(kKeys), leaf_of_bob(first_),
                                  std::string("operator/land/.tmp-0123456789abcdef")}) {
    EXPECT_FALSE(is_there(path)) << path;
  }
}

TEST_F(EraWriter, a_mark_of_this_very_era_takes_no_file_with_it) {
  ASSERT_TRUE(begin(first_).ok());
  ASSERT_TRUE(write(first_).ok());
  EXPECT_TRUE(settle_era(files_, realm_.path(), "land", first_.era).ok());
  EXPECT_FALSE(is_there(kMark));
  EXPECT_TRUE(is_there(kKeys));
  EXPECT_TRUE(is_there(leaf_of_bob(first_)));
  EXPECT_EQ(is_unsettled(files_, realm_.path(), "land", first_.era).value(), false);
}

}  // namespace
}  // namespace exclave::cli
