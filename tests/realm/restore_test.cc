// Restore into targets that are not what they should be, from listings that are not either, and in parts.
#include <fcntl.h>
#include <gmock/gmock.h>

#include "tests/realm/restore_case.h"

namespace exclave::realm_tests {
namespace {

using format::EntryType;
using format::ListingEntry;

TEST_F(Restore, a_forged_but_harmless_snapshot_is_restored) {
  const auto snapshot =
      forge({entry_of("", EntryType::Directory), entry_of("d", EntryType::Directory), file_of("d/f")});
  must(site().restore(snapshot, at("target")));
  EXPECT_EQ(as_text(must(files().read_file(at("target/d/f"), 1000))), kContent);
}

TEST_F(Restore, E_no_listing_reaches_outside_the_target) {
  make_directory("outside");
  write_file(files(), at("outside/victim"), as_bytes("as it was"));
  make_directory("targets");
  const ListingEntry root = entry_of("", EntryType::Directory);
  ListingEntry first_name = link_to("a", at("outside/victim"));
  first_name.hard_link = format::HardLinkId{1, 1};
  ListingEntry second_name = file_of("b");
  second_name.hard_link = format::HardLinkId{1, 1};
  const std::vector<std::vector<ListingEntry>> attacks = {
      {root, file_of("../outside/x")},
      {root, file_of("..")},
      {root, file_of(".")},
      {root, file_of(at("outside/x"))},
      {root, file_of("a/../../outside/x")},
      {root, file_of("a//x")},
      {root, file_of("a/")},
      {root, file_of(std::string("a\0b", 3))},
      {root, link_to("a", at("outside")), file_of("a/x")},
      {root, link_to("a", at("outside")), entry_of("a/x", EntryType::Directory), file_of("a/x/y")},
      {root, link_to("a", at("outside")), entry_of("a", EntryType::Directory), file_of("a/x")},
      {root, entry_of("a", EntryType::Directory), link_to("a", at("outside")), file_of("a/x")},
      {root, link_to("a", at("outside/victim")), file_of("a")},
      {root, first_name, second_name},
      {link_to("", at("outside")), file_of("x")},
      {file_of("missing/directory")},
  };
  int number = 0;
  for (const auto& attack : attacks) {
    const auto snapshot = forge(attack);
    const std::string before = outside();
    const auto result = site().restore(snapshot, at("targets/" + std::to_string(number)));
    EXPECT_EQ(result.ok(), number == 13) << "attack " << number << ": only the strange hard link does no harm";
    EXPECT_EQ(outside(), before) << "attack " << number;
    ++number;
  }
}

// An inode's number was given to another file while the tree was captured; every name had been made a link to the first.
TEST_F(Restore, names_of_one_inode_with_different_content_are_different_files) {
  const auto linked = [](ListingEntry entry) {
    entry.hard_link = format::HardLinkId{1, 1};
    return entry;
  };
  const auto with_size = [&](std::string path, std::uint32_t offset, std::uint32_t length) {
    ListingEntry entry = linked(file_of(std::move(path)));
    entry.size = length;
    entry.slices.front().offset = offset;
    entry.slices.front().length = length;
    return entry;
  };
  ListingEntry later = linked(file_of("later"));
  later.modified_ns = 1;
  const auto snapshot =
      forge({entry_of("", EntryType::Directory), with_size("a", 0, 7), with_size("b", 0, 7), with_size("c", 8, 7),
             with_size("d", 8, 7), linked(link_to("e", "f")), linked(file_of("f")), later});
  const auto report = must(site().restore(snapshot, at("target")));
  const auto content = [&](const std::string& name) {
    return std::string(as_text(must(files().read_file(at("target/" + name), 100))));
  };
  const auto inode = [&](const std::string& name) { return must(files().stat(at("target/" + name))).inode; };
  EXPECT_EQ(content("a"), "written");
  EXPECT_EQ(content("c"), "by the ");
  EXPECT_EQ(content("f"), kContent);
  EXPECT_EQ(inode("a"), inode("b"));
  EXPECT_EQ(inode("c"), inode("d"));
  EXPECT_EQ((std::set{inode("a"), inode("c"), inode("e"), inode("f"), inode("later")}).size(), 5U);
  ASSERT_EQ(report.problem_count, 4U) << "c, e, f and later";
  EXPECT_EQ(report.problems.front().path, "c");
  EXPECT_THAT(report.problems.front().why, ::testing::HasSubstr("shared an inode with 'a' when it was captured"));
}

TEST_F(Restore, a_link_whose_first_name_was_unreadable_takes_the_second_ones_content) {
  std::vector<ListingEntry> entries = {entry_of("", EntryType::Directory)};
  for (const std::string name : {"a", "b", "c", "d"}) {
    entries.push_back(file_of(name));
    entries.back().hard_link = format::HardLinkId{1, 1};
  }
  for (const std::size_t unreadable : {std::size_t{1}, std::size_t{4}}) {
    entries[unreadable].problem = format::EntryProblem::Unreadable;
    entries[unreadable].slices.clear();
  }
  const auto report = must(site().restore(forge(entries), at("target")));
  EXPECT_EQ(report.problem_count, 2U) << "they could not be read";
  EXPECT_EQ(must(files().stat(at("target/a"))).link_count, 1U);
  for (const std::string name : {"b", "c", "d"}) {
    EXPECT_EQ(as_text(must(files().read_file(at("target/" + name), 100))), kContent) << name;
    EXPECT_EQ(must(files().stat(at("target/" + name))).link_count, 3U) << name;
  }
}

TEST_F(Restore, a_target_that_is_in_use_is_refused_and_left_alone) {
  write("f", "content");
  const auto first = capture();
  write("f", "other content");
  const auto second = capture();
  make_directory("foreign");
  write_file(files(), at("foreign/mine"), as_bytes("mine"));
  EXPECT_TRUE(failed_with(site().restore(first.snapshot, at("foreign")), Code::Precondition));
  EXPECT_EQ(must(files().list(at("foreign"))), std::vector<std::string>{"mine"});
  write_file(files(), at("file"), as_bytes("mine"));
  EXPECT_TRUE(failed_with(site().restore(first.snapshot, at("file")), Code::Precondition));
  write_file(files(), at("foreign.exclave-restore"), as_bytes(second.snapshot.hex() + " boot\n"));
  EXPECT_TRUE(failed_with(site().restore(first.snapshot, at("foreign")), Code::Precondition));
  must(site().restore(first.snapshot, at("finished")));
  EXPECT_TRUE(failed_with(site().restore(first.snapshot, at("finished")), Code::Precondition)) << "it is finished";
  make_directory("empty");
  must(site().restore(first.snapshot, at("empty") + "/"));
  EXPECT_EQ(as_text(must(files().read_file(at("empty/f"), 100))), "content");
}

TEST_F(Restore, a_target_that_is_not_named_is_refused_before_anything_is_made) {
  write("f", "content");
  const auto snapshot = capture().snapshot;
  make_directory("target");
  for (const std::string target : {"target/.", "target/./", "target/..", "new/."}) {
    EXPECT_TRUE(failed_with(site().restore(snapshot, at(target)), Code::InvalidInput)) << target;
  }
  EXPECT_EQ(must(files().list(at("target"))), std::vector<std::string>());
  EXPECT_TRUE(failed_with(files().stat(at("new")), Code::NotFound));
}

// A base of a database, as a compromised home could make it: its server's user must not come to more than a server
// needs.
TEST_F(Restore, E_who_is_given_everything_gets_no_devices_no_set_id_bits_and_no_capabilities) {
  ListingEntry shell = file_of("shell");
  shell.mode = 06755;
  ListingEntry capable = file_of("capable");
  capable.xattrs.push_back({"security.capability", Bytes{1, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}});
  ListingEntry disk = entry_of("disk", EntryType::BlockDevice);
  disk.device_major = 7;
  ListingEntry memory = entry_of("memory", EntryType::CharDevice);
  memory.device_major = 1;
  memory.device_minor = 1;
  ListingEntry shared = entry_of("shared", EntryType::Directory);
  shared.mode = 02750;
  const auto snapshot = forge({entry_of("", EntryType::Directory), capable, disk, memory, shared, shell});
  engine::RestoreOptions options;
  options.target = at("target");
  options.owner = is_root() ? env::FileOwner{1234, 5678} : env::FileOwner{::geteuid(), ::getegid()};
  const auto report = must(site().restore(snapshot, options));
  EXPECT_EQ(must(files().list(at("target"))), (std::vector<std::string>{"capable", "shared", "shell"}));
  EXPECT_EQ(must(files().stat(at("target/shell"))).mode, 0755U);
  EXPECT_EQ(must(files().stat(at("target/shell"))).user, options.owner->first);
  EXPECT_EQ(must(files().stat(at("target/shared"))).mode, 02750U) << "a directory's gives no rights";
  EXPECT_EQ(must(must(files().open_directory(at("target")))->xattrs("capable")), std::vector<env::Xattr>());
  EXPECT_EQ(report.problem_count, 4U);
  EXPECT_FALSE(report.first_content_problem.has_value()) << "a database needs none of it";
  EXPECT_EQ(report.totals.others, 0U);
}

// Owner rwx, user 1234 rwx, group r-x, mask rwx, others ---, as the kernel writes it down.
Bytes acl_that_lets_somebody_in() {
  return {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,   7,  0, 0xd2, 4, 0,   0,   4,   0,
          5, 0, 255, 255, 255, 255, 16, 0, 7,   0,   255, 255, 255, 255, 32, 0, 0,    0, 255, 255, 255, 255};
}

TEST_F(Restore, a_default_acl_above_the_target_reaches_nothing_in_it) {
  make_directory("source/d");
  write("d/f", "content");
  write("g", "content");
  CHECK(::symlink("g", source("link").c_str()) == 0);
  const auto report = capture();
  make_directory("targets");
  env::FileAttributes let_in;
  let_in.xattrs = {{"system.posix_acl_default", acl_that_lets_somebody_in()}};
  const Status set = must(files().open_directory(at("targets")))->set_own_attributes(let_in);
  if (!set.ok()) GTEST_SKIP() << set.error().message();
  make_directory("targets/made");  // by the user: with the ACL as its own one, and as the default one
  ASSERT_FALSE(must(must(files().open_directory(at("targets/made")))->own_xattrs()).empty());
  make_directory("targets/unfinished/d");
  mark_unfinished("targets/unfinished", report.snapshot);
  for (const std::string target : {"targets/new", "targets/made", "targets/unfinished"}) {
    must(site().restore(report.snapshot, at(target)));
    expect_equal(source(), at(target));
  }
}

TEST_F(Restore, a_target_is_restored_into_by_one_at_a_time) {
  write("f", "content");
  const auto report = capture();
  const auto content = must(site().open(report.snapshot));
  engine::RestoreOptions options;
  options.target = at("target");
  engine::StageTimes times;
  std::optional<Result<engine::RestoreReport>> second;
  const auto restore_again = [&](const engine::CaptureProgress&) {
    if (!second.has_value()) second.emplace(site().restore(report.snapshot, at("target")));
  };
  must(engine::restore_snapshot(env_, *content, report.snapshot, options, times, restore_again, {}));
  ASSERT_TRUE(second.has_value());
  EXPECT_TRUE(failed_with(*second, Code::Conflict));
  expect_equal(source(), at("target"));
}

TEST_F(Restore, directories_above_a_target_can_be_made_for_others_to_pass) {
  const auto claimed = must(engine::claim_target(files(), at("above/it/target"), env::kPassableDirectory));
  EXPECT_EQ(must(files().stat(at("above"))).mode, 0711U);
  EXPECT_EQ(must(files().stat(at("above/it"))).mode, 0711U);
  EXPECT_EQ(must(claimed->info()).mode, 0700U);
  must(engine::claim_target(files(), at("other/target")));
  EXPECT_EQ(must(files().stat(at("other"))).mode, 0700U) << "unless they are asked for";
}

// As on a file system that takes "a" and "A" for one name, too.
TEST_F(Restore, a_name_that_is_taken_meanwhile_is_reported_and_left_alone) {
  for (int f = 0; f < 300; ++f) write("f" + std::to_string(1000 + f), "small");
  write("x", "content");
  CHECK(::link(source("x").c_str(), source("y").c_str()) == 0);
  write("z", "content");
  const auto report = capture();
  const auto content = must(site().open(report.snapshot));
  engine::RestoreOptions options;
  options.target = at("target");
  engine::StageTimes times;
  bool planted = false;
  const auto plant = [&](const engine::CaptureProgress&) {
    if (planted) return;
    planted = true;
    write_file(files(), at("target/x"), as_bytes("theirs"));
    write_file(files(), at("target/z"), as_bytes("theirs"));
  };
  const auto restored = must(engine::restore_snapshot(env_, *content, report.snapshot, options, times, plant, {}));
  ASSERT_TRUE(planted);
  EXPECT_EQ(restored.problem_count, 2U);
  EXPECT_EQ(restored.totals.files, 301U) << "x and z are not there";
  ASSERT_TRUE(restored.first_content_problem.has_value());
  EXPECT_EQ(as_text(must(files().read_file(at("target/x"), 100))), "theirs");
  EXPECT_EQ(as_text(must(files().read_file(at("target/y"), 100))), "content") << "the other name of x";
  EXPECT_EQ(as_text(must(files().read_file(at("target/z"), 100))), "theirs");
}

TEST_F(Restore, parts_are_chosen_by_path_and_by_pattern) {
  make_directory("source/a/deep");
  make_directory("source/b");
  make_directory("source/ab");
  write("a/deep/x.txt", "1");
  write("a/deep/y.bin", "2");
  write("a/z.txt", "3");
  write("b/x.txt", "4");
  write("ab/x.txt", "5");
  CHECK(::link(source("a/z.txt").c_str(), source("b/same").c_str()) == 0);
  CHECK(::link(source("a/z.txt").c_str(), source("b/third").c_str()) == 0);
  const auto report = capture();
  const auto restore_part = [&](const std::vector<std::string>& paths, const std::string& target) {
    engine::RestoreOptions options;
    options.target = at(target);
    options.paths = paths;
    return site().restore(report.snapshot, options);
  };
  EXPECT_EQ(must(restore_part({"a/deep/"}, "t1")).totals.files, 2U);
  expect_equal(source("a/deep"), at("t1/a/deep"));
  EXPECT_EQ(must(files().list(at("t1"))), std::vector<std::string>{"a"});
  EXPECT_EQ(must(files().list(at("t1/a"))), std::vector<std::string>{"deep"});
  EXPECT_EQ(must(restore_part({"/b/x.txt"}, "t2")).totals.files, 1U);
  EXPECT_EQ(must(restore_part({"**/*.txt"}, "t3")).totals.files, 4U);
  EXPECT_EQ(must(restore_part({"*/x.txt"}, "t4")).totals.files, 2U);
  // Both names of the pair lie in the part, the first one does not.
  EXPECT_EQ(must(restore_part({"b"}, "t5")).totals.files, 3U);
  const auto same = must(files().stat(at("t5/b/same")));
  const auto third = must(files().stat(at("t5/b/third")));
  EXPECT_EQ(same.inode, third.inode);
  EXPECT_EQ(as_text(must(files().read_file(at("t5/b/third"), 10))), "3");
  EXPECT_EQ(must(restore_part({"./"}, "t6")).totals.files, 7U);
  expect_equal(source(), at("t6"));
  EXPECT_TRUE(failed_with(restore_part({"no/such"}, "t7"), Code::NotFound));
}

TEST_F(Restore, directories_above_a_part_come_back_as_they_were) {
  make_directory("source/a/b/c");
  make_directory("source/z");
  write("a/b/c/f", "content");
  write("a/other", "not chosen");
  CHECK(::chmod(source("a").c_str(), 0711) == 0);
  CHECK(::chmod(source("a/b").c_str(), 01755) == 0);
  CHECK(::chmod(source().c_str(), 0751) == 0);
  if (is_root()) CHECK(::chown(source("a/b").c_str(), 1234, 5678) == 0);
  const auto report = capture();
  engine::RestoreOptions options;
  options.target = at("target");
  options.paths = {"a/b/c/f"};
  EXPECT_EQ(must(site().restore(report.snapshot, options)).totals.directories, 0U) << "none was asked for";
  EXPECT_EQ(differences(files(), source(), at("target")),
            (std::vector<std::string>{"'a/other': is missing", "'z': is missing"}));
}

TEST_F(Restore, without_a_periods_key_nothing_of_it_is_restored) {
  write("f", "content");
  const auto report = capture();
  auto opening = keys().opening_keys();
  opening.erase(opening.begin());
  repo::ObjectOpener opener(keys().policy().realm, std::move(opening), site().reader());
  const auto found = must(site().holdings());
  const auto chosen = must(engine::choose_snapshot(found, report.snapshot.hex()));
  EXPECT_TRUE(failed_with(engine::SnapshotContent::open(opener, chosen.object, found.objects), Code::Denied));
}

}  // namespace
}  // namespace exclave::realm_tests
