// Restore into targets that are not what they should be, from listings that are not either, in parts and in pieces.
#include <fcntl.h>
#include <gmock/gmock.h>

#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using format::EntryType;
using format::ListingEntry;

ListingEntry entry_of(std::string path, EntryType type) {
  ListingEntry entry;
  entry.path = std::move(path);
  entry.type = type;
  entry.mode = type == EntryType::Directory ? 0755 : 0644;
  return entry;
}
ListingEntry link_to(std::string path, std::string target) {
  ListingEntry entry = entry_of(std::move(path), EntryType::Symlink);
  entry.link_target = std::move(target);
  return entry;
}

class Restore : public PosixRealm {
 protected:
  // A snapshot as a writer with stolen keys could make it: any listing at all, sealed and signed as it should be.
  format::ObjectName forge(const std::vector<ListingEntry>& entries) {
    must(agent_->open());
    const custody::AgentKeys agent_keys = keys().agent_keys();
    format::ChunkIdentifier identifier(agent_keys.dedup);
    format::ListingEncoder encoder;
    format::BinaryWriter listing;
    for (const ListingEntry& entry : entries) encoder.append(entry, listing);

    format::StreamDescriptor descriptor;
    descriptor.realm = keys().policy().realm;
    descriptor.writer = keys().writer().public_key();
    descriptor.registry = keys().registry().id;
    descriptor.era = keys().era().number;
    must(env_.random.fill(descriptor.start.mutable_view()));
    auto index = must(repo::DedupIndex::open(agent_->table()));
    const auto stream =
        must(spread::StreamWriter::open(env_.threads, env_.clock, pointers(writer_taps_), 2,
                                        format::SignedStream::sign(descriptor, keys().writer()), keys().writer()));
    repo::PackWriter packs(env_.threads, env_.clock, repo::Sealer(keys().policy().realm, env_.random),
                           [&]() -> Result<const format::SealingKey*> { return &agent_keys.periods.front(); }, *stream,
                           index, {});
    const format::ChunkId id = identifier.of_bytes(format::ChunkKind::Listing, listing.view());
    const auto size = static_cast<std::uint32_t>(listing.size());
    must(packs.add({id, format::ChunkKind::Listing, format::ChunkCodec::Raw, size, listing.view()}));
    const format::ChunkId content = identifier.of_bytes(format::ChunkKind::Content, as_bytes(kContent));
    must(
        packs.add({content, format::ChunkKind::Content, format::ChunkCodec::Raw, kContent.size(), as_bytes(kContent)}));
    must(packs.finish());
    Bytes sections;
    std::uint32_t count = 0;
    for (const repo::PackRecord& pack : must(index.unindexed_packs())) {
      format::append_index_section(sections, pack.name, pack.size_class, pack.period, pack.directory);
      ++count;
    }
    format::Snapshot snapshot;
    snapshot.dataset = "files";
    snapshot.number = 1;
    snapshot.dedup_key = agent_keys.dedup.clone();
    snapshot.listing.push_back({id, size});
    snapshot.indexes.push_back(must(packs.put_plaintext(format::PlaintextType::Index, sections, count, {})));
    const auto written = must(packs.put_plaintext(format::PlaintextType::Snapshot, format::encode_snapshot(snapshot), 1,
                                                  format::PeriodNumber(0)));
    must(packs.settle());
    stream->finish(std::nullopt);
    return written.name;
  }
  ListingEntry file_of(std::string path) {
    ListingEntry entry = entry_of(std::move(path), EntryType::Regular);
    entry.size = kContent.size();
    const custody::AgentKeys agent_keys = keys().agent_keys();
    format::ChunkIdentifier identifier(agent_keys.dedup);
    entry.slices.push_back({identifier.of_bytes(format::ChunkKind::Content, as_bytes(kContent)), 0, kContent.size()});
    return entry;
  }
  // The mark of an unfinished restore, as an earlier run left it for this target. `trusted`: "-" trusts nothing; else the
  // boot in which it was written.
  std::string mark_of(const std::string& target, const format::ObjectName& snapshot, const std::string& trusted) {
    const auto there = must(files().open_directory(at(target)));
    const env::FileInfo info = must(there->info());
    const auto created = must(there->created());
    const std::string this_boot(as_text(must(files().read_file("/proc/sys/kernel/random/boot_id", 100))).substr(0, 36));
    return snapshot.hex() + " " + trusted + " " + std::to_string(info.inode) + " " + std::to_string(info.device) + " " +
           (created.has_value() ? std::to_string(created->nanoseconds) : "-") + " " +
           (trusted == "-" ? this_boot : trusted) + "\n";
  }
  void mark_unfinished(const std::string& target, const format::ObjectName& snapshot, const std::string& paths = "") {
    write_file(files(), at(target + ".exclave-restore"), as_bytes(mark_of(target, snapshot, "-") + paths));
  }
  // Everything below the base but target and vaults: what must not change.
  std::string outside() {
    std::string all;
    for (const std::string& name : must(files().list(at("outside")))) {
      all += name + "=" + std::string(as_text(must(files().read_file(at("outside/" + name), 1000)))) + "\n";
    }
    for (const std::string& name : must(files().list(base_.path()))) all += name + "\n";
    return all;
  }

  static constexpr std::string_view kContent = "written by the restore";
};

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

TEST_F(Restore, E_a_link_planted_in_an_unfinished_target_is_not_followed) {
  make_directory("source/d");
  write("d/f", "content");
  write("top", "content");
  const auto report = capture();
  make_directory("outside");
  write_file(files(), at("outside/top"), as_bytes("as it was"));
  make_directory("target");
  mark_unfinished("target", report.snapshot);
  CHECK(::symlink(at("outside/top").c_str(), at("target/top").c_str()) == 0);
  CHECK(::symlink(at("outside").c_str(), at("target/d").c_str()) == 0);
  EXPECT_FALSE(site().restore(report.snapshot, at("target")).ok());
  EXPECT_EQ(must(files().list(at("outside"))), std::vector<std::string>{"top"});
  CHECK(::unlink(at("target/d").c_str()) == 0);
  must(site().restore(report.snapshot, at("target")));
  EXPECT_EQ(as_text(must(files().read_file(at("outside/top"), 100))), "as it was");
  expect_equal(source(), at("target"));
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

// Whoever owns the directory above a target can put a mark there, or another directory in the target's place.
TEST_F(Restore, E_a_mark_that_somebody_else_can_have_made_is_not_gone_on_with) {
  write("f", "content");
  const auto snapshot = capture().snapshot;
  const std::string marker = at("target.exclave-restore");
  const auto remark = [&] {
    ::unlink(marker.c_str());
    mark_unfinished("target", snapshot);
  };
  const auto refuses = [&](const std::string& why) {
    EXPECT_TRUE(failed_with(site().restore(snapshot, at("target")), Code::Precondition)) << why;
    EXPECT_EQ(must(files().list(at("target"))), std::vector<std::string>{"theirs"}) << why;
  };
  make_directory("target");
  write_file(files(), at("target/theirs"), as_bytes("theirs"));
  remark();
  CHECK(::chmod(marker.c_str(), 0666) == 0);
  refuses("others may write it");
  remark();
  CHECK(::link(marker.c_str(), at("second").c_str()) == 0);
  refuses("it has a second name");
  CHECK(::unlink(at("second").c_str()) == 0);
  CHECK(::rename(marker.c_str(), at("mark").c_str()) == 0);
  CHECK(::symlink(at("mark").c_str(), marker.c_str()) == 0);
  refuses("it is a link");
  make_directory("other");
  CHECK(::unlink(marker.c_str()) == 0);
  write_file(files(), marker, as_bytes(mark_of("other", snapshot, "-")));
  refuses("it is of another directory");
  write_file(files(), marker, as_bytes(snapshot.hex() + " -\n"));
  refuses("it says of no directory at all");
  if (is_root()) {
    remark();
    CHECK(::chown(marker.c_str(), 1234, 1234) == 0);
    refuses("it is another user's");
    remark();
    CHECK(::chown(at("target").c_str(), 1234, 1234) == 0);
    refuses("the directory is another user's, and stays it in no restore");
    CHECK(::chown(at("target").c_str(), 0, 0) == 0);
  }
  remark();
  CHECK(::unlink(at("target/theirs").c_str()) == 0);
  write_file(files(), at("target/f"), as_bytes("cont"));
  must(site().restore(snapshot, at("target")));
  expect_equal(source(), at("target"));
}

TEST_F(Restore, a_target_that_is_given_its_owner_at_the_end_can_be_gone_on_with) {
  if (!is_root()) GTEST_SKIP() << "only root gives away";
  write("f", "content");
  CHECK(::chown(source().c_str(), 1234, 5678) == 0);
  const auto snapshot = capture().snapshot;
  make_directory("target");
  write_file(files(), at("target/f"), as_bytes("cont"));
  CHECK(::chown(at("target").c_str(), 1234, 5678) == 0);
  mark_unfinished("target", snapshot);
  must(site().restore(snapshot, at("target")));
  expect_equal(source(), at("target"));
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

TEST_F(Restore, an_unfinished_target_whose_root_was_closed_can_be_gone_on_with) {
  write("f", "content");
  CHECK(::chmod(source().c_str(), 0555) == 0);
  const auto report = capture();
  make_directory("target");
  write_file(files(), at("target/f"), as_bytes("cont"));
  CHECK(::chmod(at("target").c_str(), 0555) == 0);
  mark_unfinished("target", report.snapshot);
  const auto content = must(site().open(report.snapshot));
  engine::RestoreOptions options;
  options.target = at("target");
  engine::StageTimes times;
  std::uint32_t mode_meanwhile = 0;  // root could write anyway; only the mode shows that others can too
  const auto look = [&](const engine::CaptureProgress&) { mode_meanwhile = must(files().stat(at("target"))).mode; };
  must(engine::restore_snapshot(env_, *content, report.snapshot, options, times, look, {}));
  EXPECT_EQ(mode_meanwhile, 0700U);
  expect_equal(source(), at("target"));
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

TEST_F(Restore, a_target_that_stays_marked_can_be_gone_on_with_until_the_mark_goes) {
  write("f", "content");
  const auto report = capture();
  const auto content = must(site().open(report.snapshot));
  engine::RestoreOptions options;
  options.target = at("target");
  options.ending = engine::Ending::StayMarked;
  engine::StageTimes times;
  const auto restore = [&] {
    return engine::restore_snapshot(env_, *content, report.snapshot, options, times, {}, {});
  };
  EXPECT_EQ(must(restore()).kept_files, 0U);
  {
    options.claimed = must(engine::claim_target(files(), at("target")));
    EXPECT_TRUE(failed_with(engine::claim_target(files(), at("target")), Code::Conflict));
    EXPECT_EQ(must(restore()).kept_files, 1U);
    options.claimed.reset();
  }
  CHECK(engine::unmark_targets(files(), {at("target")}).ok());
  EXPECT_TRUE(failed_with(engine::claim_target(files(), at("target")), Code::Precondition));
  EXPECT_TRUE(failed_with(restore(), Code::Precondition));
  expect_equal(source(), at("target"));
}

TEST_F(Restore, marks_that_are_gone_stay_gone_and_where_one_cannot_be_removed_all_stay) {
  write("f", "content");
  const auto snapshot = capture().snapshot;
  const auto stay_marked = [&](const std::string& target) {
    engine::RestoreOptions options;
    options.target = at(target);
    options.ending = engine::Ending::StayMarked;
    must(site().restore(snapshot, options));
  };
  for (const std::string target : {"a", "b", "c", "d", "e"}) stay_marked(target);
  CHECK(::unlink(at("b.exclave-restore").c_str()) == 0);
  must(engine::unmark_targets(files(), {at("a"), at("b")}));
  EXPECT_TRUE(failed_with(engine::claim_target(files(), at("a")), Code::Precondition)) << "its mark is gone";
  CHECK(::unlink(at("d.exclave-restore").c_str()) == 0);
  make_directory("d.exclave-restore");
  EXPECT_TRUE(failed_with(engine::unmark_targets(files(), {at("c"), at("d")}), Code::Precondition));
  EXPECT_TRUE(is_ok(engine::claim_target(files(), at("c"))));
  CHECK(::chmod(at("e.exclave-restore").c_str(), 0666) == 0);
  EXPECT_TRUE(failed_with(engine::unmark_targets(files(), {at("c"), at("e")}), Code::Precondition));
  EXPECT_EQ(must(files().stat(at("e.exclave-restore"))).mode, 0666U) << "it is not made one of ours";
  must(site().restore(snapshot, at("c")));
  expect_equal(source(), at("c"));
}

TEST_F(Restore, a_target_that_holds_a_part_of_another_snapshot_says_of_which) {
  write("f", "content");
  const auto first = capture().snapshot;
  write("f", "other content");
  const auto second = capture().snapshot;
  make_directory("target");
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), std::nullopt);
  write_file(files(), at("target/f"), as_bytes("cont"));
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), std::nullopt);
  mark_unfinished("target", first);
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), first.hex());
  const auto refused = site().restore(second, at("target"));
  ASSERT_TRUE(failed_with(refused, Code::Precondition));
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr(first.hex().substr(0, 12)));
  EXPECT_THAT(refused.error().hint_text(), ::testing::HasSubstr("--snapshot " + first.hex().substr(0, 12)));
  must(site().restore(first, at("target")));
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), std::nullopt);
}

TEST_F(Restore, directories_above_a_target_can_be_made_for_others_to_pass) {
  const auto claimed = must(engine::claim_target(files(), at("above/it/target"), engine::kPassableDirectory));
  EXPECT_EQ(must(files().stat(at("above"))).mode, 0711U);
  EXPECT_EQ(must(files().stat(at("above/it"))).mode, 0711U);
  EXPECT_EQ(must(claimed->info()).mode, 0700U);
  must(engine::claim_target(files(), at("other/target")));
  EXPECT_EQ(must(files().stat(at("other"))).mode, 0700U) << "unless they are asked for";
}

TEST_F(Restore, E_what_has_a_directorys_name_in_an_unfinished_target_is_left_alone) {
  make_directory("source/d");
  write("d/f", "content");
  const auto snapshot = capture().snapshot;
  write_file(files(), at("victim"), as_bytes("as it was"));
  make_directory("target");
  mark_unfinished("target", snapshot);
  CHECK(::link(at("victim").c_str(), at("target/d").c_str()) == 0);
  EXPECT_TRUE(failed_with(site().restore(snapshot, at("target")), Code::Precondition));
  EXPECT_EQ(must(files().stat(at("victim"))).mode, 0644U);
}

// A tree of more than one batch, by the number of directories, and a restore of it that was stopped half way.
class InterruptedRestore : public Restore {
 protected:
  void SetUp() override {
    Restore::SetUp();
    for (int d = 0; d < kFiles; ++d) {
      const std::string directory = "d" + std::to_string(1000 + d);
      make_directory("source/" + directory);
      write(directory + "/f", noise(200, static_cast<std::uint64_t>(d)));
    }
    snapshot_ = capture().snapshot;
    content_ = must(site().open(snapshot_));
    interrupt();
  }
  void interrupt() {
    std::stop_source stop;
    const auto wanted = must(files().stat(source("d1000/f")));
    const auto stop_when_some_are_finished = [&](const engine::CaptureProgress& progress) {
      if (progress.files < 1024) return;
      for (int tries = 0; tries < 1000; ++tries) {
        const auto info = files().stat(at("target/d1000/f"));
        if (info.ok() && info.value().modified == wanted.modified) break;
        ignore(env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(10)), "never fails here");
      }
      stop.request_stop();
    };
    EXPECT_TRUE(failed_with(restore(stop_when_some_are_finished, stop.get_token()), Code::Cancelled));
  }
  Result<engine::RestoreReport> restore(const engine::OnProgress& on_progress = {}, std::stop_token stop = {}) {
    engine::RestoreOptions options;
    options.target = at("target");
    engine::StageTimes times;
    return engine::restore_snapshot(env_, *content_, snapshot_, options, times, on_progress, std::move(stop));
  }
  // Other bytes of the same length, under the same time.
  void spoil_quietly(const std::string& path) {
    const auto before = must(files().stat(at(path)));
    write_file(files(), at(path), Bytes(before.size));
    env::FileAttributes time;
    time.modified = before.modified;
    must(must(files().open_directory(env::parent_path(at(path))))->set_attributes(env::base_name(path), time));
  }

  static constexpr int kFiles = 1100;
  format::ObjectName snapshot_;
  std::unique_ptr<engine::SnapshotContent> content_;
};

TEST_F(InterruptedRestore, goes_on_and_keeps_what_was_finished) {
  // A file of the right size that was not finished must not be taken for one that was.
  write_file(files(), at("target/d1001/f"), Bytes(200));
  const auto resumed = must(restore());
  EXPECT_GT(resumed.kept_files, 0U);
  EXPECT_LT(resumed.kept_files, static_cast<std::uint64_t>(kFiles));
  EXPECT_EQ(resumed.problem_count, 0U);
  expect_equal(source(), at("target"));
  EXPECT_TRUE(failed_with(files().stat(at("target.exclave-restore")), Code::NotFound));
}

TEST_F(InterruptedRestore, sets_the_attributes_of_what_was_finished_again) {
  CHECK(::chmod(at("target/d1000/f").c_str(), 0600) == 0);
  EXPECT_GT(must(restore()).kept_files, 0U);
  expect_equal(source(), at("target"));
}

TEST_F(InterruptedRestore, E_a_second_name_in_place_of_a_finished_file_is_replaced_and_what_it_names_left_alone) {
  const auto finished = must(files().stat(at("target/d1000/f")));
  write_file(files(), at("theirs"), Bytes(finished.size), 0600);
  env::FileAttributes time;
  time.modified = finished.modified;
  must(must(files().open_directory(base_.path()))->set_attributes("theirs", time));
  CHECK(::unlink(at("target/d1000/f").c_str()) == 0);
  CHECK(::link(at("theirs").c_str(), at("target/d1000/f").c_str()) == 0);
  must(restore());
  expect_equal(source(), at("target"));
  EXPECT_EQ(must(files().stat(at("theirs"))).mode, 0600U);
  EXPECT_EQ(must(files().stat(at("theirs"))).link_count, 1U);
}

TEST_F(InterruptedRestore, E_a_file_of_somebody_elses_is_not_taken_for_a_finished_one) {
  if (!is_root()) GTEST_SKIP() << "only root gives away";
  spoil_quietly("target/d1000/f");
  CHECK(::chown(at("target/d1000/f").c_str(), 1234, 1234) == 0);
  must(restore());
  expect_equal(source(), at("target"));
}

TEST_F(InterruptedRestore, keeps_what_was_finished_when_the_vaults_go_away) {
  for (const auto& tap : site_taps_) tap->is_down = true;
  EXPECT_TRUE(failed_with(restore(), Code::Unavailable));
  for (const auto& tap : site_taps_) tap->is_down = false;
  EXPECT_GT(must(restore()).kept_files, 0U);
  expect_equal(source(), at("target"));
}

TEST_F(InterruptedRestore, trusts_nothing_after_a_power_loss_not_even_when_it_is_interrupted_again) {
  const std::string marker = at("target.exclave-restore");
  write_file(files(), marker, as_bytes(mark_of("target", snapshot_, "00000000-0000-0000-0000-000000000000")));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(failed_with(restore({}, stop.get_token()), Code::Cancelled)) << "the first run after the power loss";
  spoil_quietly("target/d1000/f");
  EXPECT_EQ(must(restore()).kept_files, 0U);
  expect_equal(source(), at("target"));
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

TEST_F(Restore, a_part_does_not_finish_what_a_wider_restore_began) {
  write("a", "1");
  write("b", "2");
  const auto report = capture();
  engine::RestoreOptions options;
  options.target = at("target");
  const auto with = [&](const std::vector<std::string>& paths) {
    options.paths = paths;
    return site().restore(report.snapshot, options);
  };
  make_directory("target");
  write_file(files(), at("target/a"), as_bytes("unfinished"));
  mark_unfinished("target", report.snapshot);
  must(with({"b"}));
  EXPECT_TRUE(is_ok(files().stat(at("target.exclave-restore")))) << "all of it was wanted once";
  must(with({}));
  EXPECT_TRUE(failed_with(files().stat(at("target.exclave-restore")), Code::NotFound));
  expect_equal(source(), at("target"));
  mark_unfinished("target", report.snapshot, std::string("a\0", 2));
  must(with({"b"}));
  EXPECT_TRUE(is_ok(files().stat(at("target.exclave-restore")))) << "a is wanted still";
  must(with({"b", "a"}));
  EXPECT_TRUE(failed_with(files().stat(at("target.exclave-restore")), Code::NotFound));
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
