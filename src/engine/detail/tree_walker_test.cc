// Walking and scanning trees of a simulated machine, whose clock and faults the test decides.
#include <gtest/gtest.h>

#include <limits>

#include "engine/detail/target_tree.h"
#include "engine/detail/tree_scanner.h"
#include "sim/universe.h"

namespace exclave::engine {
namespace {

class TreeWalk : public ::testing::Test {
 protected:
  env::Env env() { return machine_.env(); }
  void directory(const std::string& path) { ASSERT_TRUE(env().files.make_directories(path, 0755).ok()); }
  void file(const std::string& path) {
    const auto parent = env().files.open_directory(env::parent_path(path)).take();
    ASSERT_TRUE(parent->create_file(env::base_name(path), 0644).take()->write_at(0, as_bytes("text")).ok());
  }
  std::vector<std::string> walk(const std::vector<std::string>& excludes = {}) {
    std::vector<std::string> paths;
    auto walker =
        TreeWalker::open(env().files, "/t", ExcludeList::parse(excludes).take(), FileSystemBorder::Cross).take();
    while (auto item = walker.next().take()) {
      std::string words = item->path;
      if (item->problem.has_value()) words += item->is_entry ? " (problem)" : " (late)";
      paths.push_back(std::move(words));
    }
    excluded_ = walker.excluded();
    return paths;
  }

  sim::Universe universe_{1};
  sim::Machine& machine_ = universe_.machine("home");
  std::uint64_t excluded_ = 0;
};

TEST_F(TreeWalk, entries_come_in_walk_order_of_bytes) {
  directory("/t/a");
  directory("/t/a.b");
  directory("/t/a\x01");
  file("/t/a/z");
  file("/t/a.b/y");
  file("/t/a\x01/x");
  file("/t/\xff");
  file("/t/B");
  const std::vector<std::string> expected = {"", "B", "a", "a/z", "a\x01", "a\x01/x", "a.b", "a.b/y", "\xff"};
  EXPECT_EQ(walk(), expected);
  for (std::size_t i = 1; i < expected.size(); ++i) {
    EXPECT_LT(format::compare_in_walk_order(expected[i - 1], expected[i]), 0);
  }
}

TEST_F(TreeWalk, what_is_excluded_takes_everything_below_it_along) {
  directory("/t/cache/deep");
  file("/t/cache/deep/x");
  file("/t/kept");
  EXPECT_EQ(walk({"cache/"}), (std::vector<std::string>{"", "kept"}));
  EXPECT_EQ(excluded_, 1U);
}

TEST_F(TreeWalk, directories_beyond_the_open_levels_are_reached_again_on_the_way_back) {
  std::string path = "/t";
  std::vector<std::string> expected = {""};
  std::vector<std::string> tails;
  std::string relative;
  for (std::size_t i = 0; i < 3 * kOpenLevels; ++i) {
    path += "/d";
    relative += relative.empty() ? "d" : "/d";
    directory(path);
    file(path + "/z");
    expected.push_back(relative);
    tails.push_back(relative + "/z");
  }
  expected.insert(expected.end(), tails.rbegin(), tails.rend());
  EXPECT_EQ(walk(), expected);
}

TEST_F(TreeWalk, nothing_is_walked_into_whose_paths_no_listing_could_hold) {
  directory("/t");
  const std::string name(format::kMaxNameBytes, 'd');
  auto deepest = env().files.open_directory("/t").take();
  for (std::size_t bytes = 0; bytes < format::kMaxPathBytes + 3 * name.size(); bytes += name.size() + 1) {
    ASSERT_TRUE(deepest->create_directory(name, 0755).ok());
    deepest = deepest->open_directory(name).take();
  }
  auto walker = TreeWalker::open(env().files, "/t", ExcludeList::parse({}).take(), FileSystemBorder::Cross).take();
  std::size_t problems = 0;
  while (auto item = walker.next().take()) {
    ASSERT_TRUE(format::is_safe_path(item->path));
    if (!item->problem.has_value()) continue;
    ++problems;
    EXPECT_EQ(item->problem->code(), Code::Exhausted);
    EXPECT_FALSE(format::is_safe_path(item->path + "/" + name));
  }
  EXPECT_EQ(problems, 1U);
}

TEST_F(TreeWalk, a_directory_that_was_replaced_behind_our_back_is_a_late_problem) {
  std::string path = "/t";
  for (std::size_t i = 0; i < kOpenLevels + 5; ++i) path += "/d";
  directory(path);
  file("/t/d/z");
  auto walker = TreeWalker::open(env().files, "/t", {}, FileSystemBorder::Cross).take();
  std::vector<std::string> problems;
  bool replaced = false;
  while (auto item = walker.next().take()) {
    if (item->problem.has_value() && !item->is_entry) problems.push_back(item->path);
    if (!replaced && item->path.size() > 2 * kOpenLevels + 4) {
      replaced = true;
      // A new directory under the old name, at the first level, whose handle is closed by now.
      const auto top = env().files.open_directory("/t").take();
      std::string below = path;
      while (below != "/t") {
        const auto parent = env().files.open_directory(env::parent_path(below)).take();
        if (below == "/t/d") {
          ASSERT_TRUE(parent->open_directory("d").take()->remove("z").ok());
        }
        ASSERT_TRUE(parent->remove(env::base_name(below)).ok()) << below;
        below = std::string(env::parent_path(below));
      }
      directory("/t/d");
    }
  }
  ASSERT_TRUE(replaced);
  EXPECT_EQ(problems, std::vector<std::string>{"d"});
}

TEST_F(TreeWalk, a_directory_that_cannot_be_opened_is_a_problem_and_its_neighbours_are_walked) {
  directory("/t/a");
  directory("/t/b");
  file("/t/b/x");
  machine_.inject({.call = sim::FileCall::Open, .path_part = "t/a", .times = sim::kForEver, .code = Code::Denied});
  EXPECT_EQ(walk(), (std::vector<std::string>{"", "a (problem)", "b", "b/x"}));
}

TEST_F(TreeWalk, an_entry_changed_a_moment_ago_is_never_taken_for_unchanged) {
  directory("/t");
  const auto facts_of = [&] {
    StageTimes times;
    env::Env world = env();
    TreeScanner scanner(world, TreeWalker::open(world.files, "/t", {}, FileSystemBorder::Cross).take(), std::nullopt,
                        Rereading::ChangedOnly, times);
    std::map<std::string, std::int64_t> changed;
    while (auto scanned = scanner.next().take()) {
      const auto& entry = std::get<ScannedEntry>(*scanned);
      changed[entry.entry.path] = entry.facts.changed_ns;
    }
    return changed;
  };
  universe_.run_for(std::chrono::seconds(1));
  file("/t/x");
  const std::int64_t real = env().files.stat("/t/x").take().changed.nanoseconds;
  EXPECT_NE(facts_of().at("x"), real) << "another change could still fall into the same tick of the kernel's clock";
  universe_.run_for(std::chrono::seconds(2));
  EXPECT_NE(facts_of().at("x"), real) << "there are file systems that count in two seconds";
  universe_.run_for(std::chrono::seconds(2));
  EXPECT_EQ(facts_of().at("x"), real);
}

TEST_F(TreeWalk, more_attributes_than_a_listing_holds_make_an_entry_unreadable) {
  directory("/t");
  file("/t/rich");
  file("/t/richest");
  const auto parent = env().files.open_directory("/t").take();
  for (const std::size_t over : {0U, 1U}) {
    env::FileAttributes many;
    for (std::size_t i = 0; i < format::kMaxXattrs + over; ++i)
      many.xattrs.push_back({"user." + std::to_string(i), {}});
    ASSERT_TRUE(parent->set_attributes(over == 0 ? "rich" : "richest", many).ok());
  }
  StageTimes times;
  env::Env world = env();
  TreeScanner scanner(world, TreeWalker::open(world.files, "/t", {}, FileSystemBorder::Cross).take(), std::nullopt,
                      Rereading::ChangedOnly, times);
  while (auto scanned = scanner.next().take()) {
    const format::ListingEntry& entry = std::get<ScannedEntry>(*scanned).entry;
    EXPECT_EQ(entry.problem == format::EntryProblem::Unreadable, entry.path == "richest") << entry.path;
    EXPECT_LE(entry.xattrs.size(), format::kMaxXattrs);
  }
}

TEST_F(TreeWalk, a_time_that_a_listing_cannot_hold_is_told_of_each_time) {
  directory("/t");
  file("/t/late");
  file("/t/plain");
  env::FileAttributes times;
  times.modified = env::Timestamp{std::numeric_limits<std::int64_t>::max()};
  ASSERT_TRUE(env().files.open_directory("/t").take()->set_attributes("late", times).ok());
  universe_.run_for(std::chrono::seconds(10));
  StageTimes stages;
  env::Env world = env();
  TreeScanner scanner(world, TreeWalker::open(world.files, "/t", {}, FileSystemBorder::Cross).take(), std::nullopt,
                      Rereading::ChangedOnly, stages);
  while (auto scanned = scanner.next().take()) {
    const ScannedEntry& entry = std::get<ScannedEntry>(*scanned);
    EXPECT_EQ(entry.problem.has_value(), entry.entry.path == "late") << entry.entry.path;
    EXPECT_EQ(entry.facts.changed_ns != entry.info.changed.nanoseconds, entry.entry.path == "late")
        << "what is not trusted is looked at again";
    EXPECT_EQ(entry.entry.problem, format::EntryProblem::None) << "its content is whole";
  }
}

TEST_F(TreeWalk, a_target_tree_is_entered_step_by_step_and_never_through_a_link) {
  directory("/t");
  directory("/outside");
  TargetTree tree({std::shared_ptr<env::Directory>(env().files.open_directory("/t").take()), true});
  ASSERT_TRUE(tree.make_directory("a").ok());
  ASSERT_TRUE(tree.make_directory("a/b").ok());
  EXPECT_TRUE(tree.parent_of("a/b/file").ok());
  EXPECT_TRUE(tree.parent_of("a/file").ok());
  EXPECT_EQ(tree.parent_of("a/b/late").error().code(), Code::Corrupt) << "walk order has left a/b";
  EXPECT_EQ(tree.parent_of("c/file").error().code(), Code::Corrupt) << "c was never made";
  ASSERT_TRUE(tree.root()->create_symlink("link", "/outside").ok());
  EXPECT_FALSE(tree.make_directory("link").ok());
  EXPECT_FALSE(tree.reach("link").ok());
  EXPECT_FALSE(tree.reach("a/missing").ok());
  EXPECT_TRUE(tree.reach("a/b").ok());
  std::string deep = "d";
  for (std::size_t i = 0; i < 2 * kOpenLevels; ++i, deep += "/d") ASSERT_TRUE(tree.make_directory(deep).ok());
  EXPECT_TRUE(tree.parent_of("d/file").ok()) << "closed meanwhile, reached again";
}

}  // namespace
}  // namespace exclave::engine
