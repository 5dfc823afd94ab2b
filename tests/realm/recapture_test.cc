// The second capture and those after it: what is read, what is stored, what is remembered, and what is refused.
#include <fcntl.h>
#include <sys/stat.h>

#include <random>

#include "engine/detail/capture_session.h"
#include "repo/catalogue.h"
#include "tests/realm/live_files.h"
#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

class Recapture : public PosixRealm {
 protected:
  void make_tree() {
    make_directory("source/a");
    make_directory("source/b");
    for (int i = 0; i < 20; ++i) write("a/small" + std::to_string(i), noise(3000, static_cast<std::uint64_t>(i) + 1));
    write("b/large", noise(3 << 20, 77));
    write("b/other", noise(1 << 20, 78));
    let_time_pass();
  }
  std::vector<std::string> state_of_vaults() {
    std::vector<std::string> all;
    const auto holdings = must(site().holdings());
    for (const auto& object : holdings.objects) all.push_back(object.name.hex());
    all.push_back(std::to_string(holdings.streams.size()));
    return all;
  }
};

TEST_F(Recapture, an_unchanged_tree_is_not_read_and_adds_its_snapshot_only) {
  make_tree();
  const auto first = capture();
  const std::uint64_t before = puts();
  const auto second = capture();
  EXPECT_EQ(second.read_bytes, 0U);
  EXPECT_EQ(second.unchanged_files, 22U);
  EXPECT_EQ(second.totals, first.totals);
  EXPECT_EQ(second.packs.packs, 0U);
  EXPECT_EQ(second.entries, 1U);
  EXPECT_EQ(puts() - before, 3U) << "one snapshot object to each vault";
  EXPECT_EQ(second.number, 2U);
  expect_restores_as_source(second.snapshot);
}

TEST_F(Recapture, a_new_time_on_old_content_stores_the_listing_alone) {
  make_tree();
  static_cast<void>(capture());
  CHECK(::utimensat(AT_FDCWD, source("a/small3").c_str(), nullptr, 0) == 0);
  let_time_pass();
  const auto second = capture();
  EXPECT_EQ(second.read_bytes, 3000U);
  EXPECT_EQ(second.packs.chunks, 1U) << "the listing's chunk, and no content";
  expect_restores_as_source(second.snapshot);
}

TEST_F(Recapture, only_what_was_edited_is_read_again_and_the_past_stays) {
  make_tree();
  const auto first = capture();
  const std::string before = restored(first.snapshot);
  expect_equal(source(), before);
  write("b/other", noise(1 << 20, 1000));
  CHECK(::unlink(source("a/small7").c_str()) == 0);
  CHECK(::rename(source("a/small8").c_str(), source("b/moved").c_str()) == 0);
  let_time_pass();
  const auto second = capture();
  EXPECT_EQ(second.read_bytes, (1U << 20) + 3000U);
  EXPECT_EQ(second.totals.files, 21U);
  EXPECT_EQ(second.unchanged_files, 19U);
  expect_restores_as_source(second.snapshot);
  expect_equal(before, restored(first.snapshot));
}

// Found by simulation: the second of them was compared with an entry behind the catalogue's end.
TEST_F(Recapture, files_behind_all_that_the_catalogue_knows_are_new) {
  make_tree();
  static_cast<void>(capture());
  for (int i = 0; i < 3; ++i) write("z" + std::to_string(i), noise(3000, 500 + static_cast<std::uint64_t>(i)));
  let_time_pass();
  const auto second = capture();
  EXPECT_EQ(second.read_bytes, 3U * 3000);
  EXPECT_EQ(second.unchanged_files, 22U);
  expect_restores_as_source(second.snapshot);
}

TEST_F(Recapture, everything_can_be_read_again_without_storing_it_again) {
  make_tree();
  const auto first = capture();
  engine::TreeCaptureOptions options;
  options.source = source();
  options.rereading = engine::Rereading::Everything;
  const auto second = must(agent_->capture(options));
  EXPECT_EQ(second.read_bytes, first.read_bytes);
  EXPECT_EQ(second.packs.packs, 0U);
  expect_restores_as_source(second.snapshot);
}

TEST_F(Recapture, excluded_paths_and_what_is_below_them_are_left_out_and_counted) {
  make_tree();
  make_directory("source/b/cache");
  write("b/cache/x", "x");
  write("a/notes.tmp", "x");
  engine::TreeCaptureOptions options;
  options.source = source();
  options.excludes = {"cache/", "*.tmp", "/b/large"};
  options.border = engine::FileSystemBorder::Stay;
  const auto report = must(agent_->capture(options));
  EXPECT_EQ(report.excluded, 3U);
  EXPECT_EQ(report.totals.files, 21U);
  const std::string target = restored(report.snapshot);
  EXPECT_TRUE(failed_with(files().stat(target + "/b/cache"), Code::NotFound));
  EXPECT_TRUE(failed_with(files().stat(target + "/a/notes.tmp"), Code::NotFound));
  EXPECT_TRUE(failed_with(files().stat(target + "/b/large"), Code::NotFound));
  EXPECT_TRUE(is_ok(files().stat(target + "/b/other")));
}

TEST_F(Recapture, a_dry_run_counts_and_changes_nothing) {
  make_tree();
  static_cast<void>(capture());
  write("b/other", "new");
  const auto vaults = state_of_vaults();
  const Bytes catalogue = must(files().read_file(agent_->catalogues() + "/files.catalogue", 1 << 20));
  engine::TreeCaptureOptions options;
  options.source = source();
  options.mode = engine::CaptureMode::DryRun;
  const auto report = must(agent_->capture(options));
  EXPECT_EQ(report.read_bytes, 3U);
  EXPECT_EQ(report.unchanged_files, 21U);
  EXPECT_EQ(state_of_vaults(), vaults);
  EXPECT_EQ(must(files().read_file(agent_->catalogues() + "/files.catalogue", 1 << 20)), catalogue);
  EXPECT_EQ(must(files().list(agent_->catalogues())).size(), 1U);
}

TEST_F(Recapture, a_dry_run_ends_when_told_to_stop) {
  make_tree();
  engine::TreeCaptureOptions options;
  options.source = source();
  options.mode = engine::CaptureMode::DryRun;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(failed_with(agent_->capture(options, stop.get_token()), Code::Cancelled));
}

TEST_F(Recapture, another_tree_under_the_name_of_a_dataset_is_refused_unless_it_has_moved) {
  make_tree();
  const auto first = capture();
  make_directory("other");
  write_file(files(), at("other/x"), as_bytes("words"));
  engine::TreeCaptureOptions options;
  options.source = at("other");
  for (const auto mode : {engine::CaptureMode::Real, engine::CaptureMode::DryRun}) {
    options.mode = mode;
    const auto refused = agent_->capture(options);
    EXPECT_TRUE(failed_with(refused, Code::InvalidInput));
    EXPECT_NE(refused.error().message().find("holds '" + source() + "'"), std::string::npos);
  }
  options.mode = engine::CaptureMode::Real;
  EXPECT_EQ(must(site().holdings()).snapshots.size(), 1U) << "nothing was sent";
  EXPECT_EQ(capture().number, first.number + 1) << "the old tree goes on";

  options.dataset = "other";
  expect_equal(at("other"), restored(must(agent_->capture(options)).snapshot));
  options.dataset = "files";
  options.other_root = engine::OtherRoot::Accept;
  expect_equal(at("other"), restored(must(agent_->capture(options)).snapshot));
  options.other_root = engine::OtherRoot::Refuse;
  EXPECT_TRUE(is_ok(agent_->capture(options))) << "it lies there now";
}

TEST_F(Recapture, an_interrupted_capture_leaves_no_snapshot_and_no_draft) {
  make_tree();
  engine::TreeCaptureOptions options;
  options.source = source();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(failed_with(agent_->capture(options, stop.get_token()), Code::Cancelled));
  EXPECT_EQ(must(site().holdings()).snapshots.size(), 0U);
  EXPECT_EQ(must(files().list(agent_->catalogues())).size(), 0U);
  expect_restores_as_source(capture().snapshot);
}

TEST_F(Recapture, a_missing_or_damaged_catalogue_costs_reading_and_nothing_else) {
  make_tree();
  const auto first = capture();
  const std::string path = agent_->catalogues() + "/files.catalogue";
  const Bytes good = must(files().read_file(path, 1 << 20));
  must(files().remove_file(path));
  const auto without = capture();
  EXPECT_EQ(without.read_bytes, first.read_bytes);
  EXPECT_EQ(without.packs.packs, 0U) << "nothing is stored again";
  for (const std::size_t place : {std::size_t{3}, std::size_t{40}, std::size_t{16400}, good.size() - 3}) {
    Bytes damaged = good;
    damaged[place] ^= 1;
    write_file(files(), path, damaged);
    const auto report = must(agent_->capture(source()));
    EXPECT_FALSE(report.is_partial()) << place;
    EXPECT_EQ(report.packs.packs, 0U) << place;
    expect_restores_as_source(report.snapshot);
  }
  write_file(files(), path, ByteView(good).first(good.size() / 2));
  expect_restores_as_source(capture().snapshot);
}

TEST_F(Recapture, what_cannot_be_read_is_reported_and_the_rest_is_captured) {
  if (is_root()) GTEST_SKIP() << "root reads everything; tests/sim has the same with injected faults";
  make_tree();
  CHECK(::chmod(source("a/small1").c_str(), 0) == 0);
  make_directory("source/closed", 0);
  const auto report = capture();
  CHECK(::chmod(source("closed").c_str(), 0700) == 0);
  EXPECT_EQ(report.totals.unreadable, 2U);
  EXPECT_TRUE(report.is_partial());
  EXPECT_EQ(report.totals.files, 22U);
  const auto restored = must(site().restore(report.snapshot, at("target")));
  EXPECT_EQ(restored.problem_count, 2U);
}

TEST_F(Recapture, two_datasets_share_what_they_have_in_common) {
  make_tree();
  static_cast<void>(capture());
  engine::TreeCaptureOptions options;
  options.source = source();
  options.dataset = "copy";
  const auto copy = must(agent_->capture(options));
  EXPECT_EQ(copy.number, 1U);
  EXPECT_EQ(copy.packs.packs, 0U);
  expect_restores_as_source(copy.snapshot);
}

// --- trees that change while they are walked ---

class LiveTree : public Recapture {
 protected:
  // By an agent that knows no catalogue.
  engine::CaptureReport capture_with(LiveFiles& live) {
    const env::Env real = env();
    const env::Env with{real.clock, real.random, live, real.network, real.processes, real.log, real.threads};
    Agent agent(with, at("agent" + std::to_string(++agents_)), keys(), pointers(writer_taps_));
    return must(agent.capture(source()));
  }
  // A capture during which `change` is made right after the walk looked at `name`, and before it opens it.
  engine::CaptureReport capture_while(const std::string& name, const std::function<void()>& change) {
    LiveFiles live(files());
    bool is_done = false;
    live.after_stat = [&](std::string_view looked_at) {
      if (looked_at != name || std::exchange(is_done, true)) return;
      change();
    };
    auto report = capture_with(live);
    EXPECT_TRUE(is_done);
    return report;
  }
  // But for the time of the directory in which something changed after it was listed.
  void expect_restores_what_is_there(const format::ObjectName& snapshot) {
    auto all = differences(files(), source(), restored(snapshot));
    std::erase_if(all, [](const std::string& each) { return each.starts_with("'': mtime"); });
    EXPECT_EQ(all, std::vector<std::string>());
  }

 private:
  int agents_ = 0;
};

TEST_F(LiveTree, a_file_replaced_between_look_and_open_is_captured_as_the_one_that_was_read) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{2} << 20}) {
    write("config", as_bytes("old words, for everybody"), 0644);
    write("config.new", noise(size, size + 9), 0600);
    CHECK(::link(source("config.new").c_str(), source("other name").c_str()) == 0);
    let_time_pass();
    const auto report =
        capture_while("config", [&] { CHECK(::rename(source("config.new").c_str(), source("config").c_str()) == 0); });
    EXPECT_FALSE(report.is_partial()) << size;
    EXPECT_EQ(report.totals.files, 2U) << "and one that is gone";
    EXPECT_EQ(report.totals.bytes, 2 * size);
    expect_restores_what_is_there(report.snapshot);
    CHECK(::unlink(source("other name").c_str()) == 0);
  }
}

TEST_F(LiveTree, a_file_gone_before_it_is_opened_is_no_entry) {
  write("a", "stays");
  write("b", "goes");
  CHECK(::symlink("a", source("c").c_str()) == 0);
  make_directory("source/d");
  let_time_pass();
  for (const std::string name : {"b", "c", "d"}) {
    const auto report = capture_while(name, [&] { CHECK(::remove(source(name).c_str()) == 0); });
    EXPECT_FALSE(report.is_partial()) << name << ": " << (report.problems.empty() ? "" : report.problems[0].why);
    expect_restores_what_is_there(report.snapshot);
  }
  EXPECT_EQ(must(agent_->capture(source())).totals.files, 1U);
}

TEST_F(LiveTree, a_file_without_readable_attributes_keeps_its_content) {
  write("large", noise(2 << 20, 5));
  write("small", "words");
  let_time_pass();
  LiveFiles live(files());
  live.refuses_xattrs = [](std::string_view) { return true; };
  const auto report = capture_with(live);
  EXPECT_TRUE(report.is_partial());
  EXPECT_EQ(report.totals.unreadable, 2U);
  ASSERT_EQ(report.problems.size(), 2U);
  for (const auto& problem : report.problems) EXPECT_EQ(problem.why, "its extended attributes: input/output error");
  const auto target = at("restored");
  EXPECT_EQ(must(site().restore(report.snapshot, target)).problem_count, 2U);
  expect_equal(source(), target);
}

TEST_F(LiveTree, a_file_that_shrinks_while_it_is_read_counts_as_what_was_read) {
  for (const std::size_t size : {std::size_t{5000}, std::size_t{3} << 20}) {
    write("file", noise(size, 6));
    let_time_pass();
    LiveFiles live(files());
    live.after_open = [&](std::string_view name) {
      CHECK(name == "file" && ::truncate(source("file").c_str(), 1000) == 0);
    };
    const auto report = capture_with(live);
    EXPECT_TRUE(report.is_partial()) << "it changed";
    EXPECT_EQ(report.totals.bytes, 1000U);
    EXPECT_EQ(report.read_bytes, 1000U);
    EXPECT_EQ(must(site().open(report.snapshot))->record().totals, report.totals);
    const std::string target = at("shrunk" + std::to_string(size));
    must(site().restore(report.snapshot, target));
    EXPECT_EQ(must(files().read_file(target + "/file", 1 << 24)).size(), 1000U);
  }
}

TEST_F(LiveTree, names_that_no_listing_can_hold_are_reported_and_all_else_comes_back) {
  make_directory("source/d");
  write("d/f", "words");
  write("z", "more words");
  LiveFiles live(files());
  const std::string long_name(300, 'm');  // between the two; NTFS and CIFS have such
  live.relists = [&](std::vector<env::DirectoryEntry>& entries) { entries.push_back({long_name, {}}); };
  const auto report = capture_with(live);
  EXPECT_TRUE(report.is_partial());
  EXPECT_EQ(report.totals.unreadable, 2U);
  ASSERT_EQ(report.problems.size(), 2U);
  EXPECT_EQ(report.problems[0].path, "d/" + long_name);
  EXPECT_EQ(report.problems[1].path, long_name);
  EXPECT_NE(report.problems[0].why.find("300 bytes"), std::string::npos) << report.problems[0].why;
  EXPECT_EQ(report.totals.files, 2U);
  expect_restores_as_source(report.snapshot);
}

TEST_F(LiveTree, a_link_with_an_empty_target_is_reported_and_all_else_comes_back) {
  CHECK(::symlink("f", source("a").c_str()) == 0);
  CHECK(::symlink("f", source("link").c_str()) == 0);
  write("f", "words");
  LiveFiles live(files());
  live.retargets = [](std::string_view name, std::string target) { return name == "a" ? "" : target; };
  const auto report = capture_with(live);
  EXPECT_EQ(report.totals.unreadable, 1U);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.problems[0].path, "a");
  EXPECT_EQ(must(site().restore(report.snapshot, at("target"))).problem_count, 1U);
  EXPECT_EQ(differences(files(), source(), at("target")), std::vector<std::string>{"'a': is missing"});
}

TEST_F(LiveTree, a_name_that_a_directory_lists_twice_is_one_entry) {
  make_directory("source/d");
  write("d/f", "words");
  write("e", "more words");
  LiveFiles live(files());
  live.relists = [](std::vector<env::DirectoryEntry>& entries) {
    const auto once = entries;
    entries.insert(entries.end(), once.begin(), once.end());
  };
  const auto report = capture_with(live);
  EXPECT_FALSE(report.is_partial());
  EXPECT_EQ(report.totals.files, 2U);
  EXPECT_EQ(report.totals.directories, 2U);
  expect_restores_as_source(report.snapshot);
}

TEST_F(LiveTree, links_whose_attributes_cannot_be_reached_without_proc_are_reported_and_do_not_vanish) {
  CHECK(::symlink("f", source("a").c_str()) == 0);
  write("f", "words");
  LiveFiles live(files());
  live.has_proc = false;
  const auto report = capture_with(live);
  EXPECT_EQ(report.totals.others, 1U);
  EXPECT_EQ(report.totals.unreadable, 1U);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.problems[0].path, "a");
  EXPECT_NE(report.problems[0].why.find("/proc"), std::string::npos) << report.problems[0].why;
}

// The walk delivers none of these. One that came through all the same would make the whole snapshot unreadable.
TEST_F(Recapture, what_no_reader_would_take_is_left_out_of_the_listing_whoever_brings_it) {
  must(agent_->open());
  const engine::CaptureContext context = agent_->context();
  engine::StageTimes times;
  const auto session =
      must(engine::CaptureSession::begin(context, "files", nullptr, engine::Behind::GracePeriod, times));
  engine::CaptureSession::Facts facts;
  const auto add = [&](std::string path, format::EntryType type, std::uint32_t mode) {
    engine::PendingEntry pending;
    pending.entry.path = std::move(path);
    pending.entry.type = type;
    pending.entry.mode = mode;
    engine::add_to(facts.totals, pending.entry);
    must(session->pipeline().add_entry(std::move(pending)));
  };
  using format::EntryType;
  add("", EntryType::Directory, 0755);
  add("b", EntryType::Directory, 0755);
  add("b/f", EntryType::Regular, 0644);
  add("a", EntryType::Regular, 0644);       // out of order
  add("b/f", EntryType::Regular, 0644);     // twice
  add("m", EntryType::Directory, 0200755);  // no mode
  add("m/f", EntryType::Regular, 0644);     // in what is left out
  add("z", EntryType::Regular, 0644);
  engine::CaptureReport report;
  must(session->finish(facts, report));
  std::vector<std::string> left_out;
  for (const auto& problem : report.problems) left_out.push_back(problem.path);
  EXPECT_EQ(left_out, (std::vector<std::string>{"a", "b/f", "m", "m/f"}));
  EXPECT_EQ(report.totals.unreadable, 4U);
  EXPECT_EQ(report.totals.files, 2U);
  EXPECT_EQ(report.totals.directories, 2U);
  EXPECT_EQ(must(site().open(report.snapshot))->record().totals, report.totals);
  const std::string target = restored(report.snapshot);
  EXPECT_TRUE(is_ok(files().stat(target + "/b/f")));
  EXPECT_TRUE(is_ok(files().stat(target + "/z")));
}

// Every block of `path` as one that cannot go on as a whole: the same entries, other ends.
void take_blocks_apart(env::FileSystem& files, const std::string& directory) {
  auto reader = must(repo::CatalogueReader::open(files, directory, "files"));
  auto writer = repo::CatalogueWriter::create(files, directory);
  const repo::CatalogueHeader header = reader.header();
  while (const auto entry = must(reader.next())) {
    format::ListingEncoder encoder;
    format::BinaryWriter records;
    writer.begin_entry(entry->facts);
    encoder.append(entry->entry, records);
    writer.end_chunk(format::ChunkId(), records.view(), repo::ChunkEnd::WithListing);
  }
  must(std::move(writer).commit(header));
}

struct BlockBorder {
  std::string last_before;  // the path at the end of a block
  std::string first;        // and the next one
};
std::vector<BlockBorder> borders_of_blocks(env::FileSystem& files, const std::string& directory) {
  auto reader = must(repo::CatalogueReader::open(files, directory, "files"));
  std::vector<BlockBorder> borders;
  std::string last;
  while (must(reader.read_block())) {
    const std::string& first = reader.entries().front().entry.path;
    const bool between_files = last.find('/') != std::string::npos && first.find('/') != std::string::npos;
    if (between_files) borders.push_back({last, first});
    last = reader.entries().back().entry.path;
  }
  return borders;
}

TEST_F(Recapture, a_listing_of_kept_blocks_is_the_one_that_its_entries_one_by_one_would_make) {
  constexpr int kDirectories = 30;
  const auto name_of = [](int directory, int file) {  // differs at its begin: nothing is shared, the listing is long
    return "d" + std::to_string(100 + directory) + "/" + std::to_string(1000 + file) + std::string(120, 'x');
  };
  for (int d = 0; d < kDirectories; ++d) {
    make_directory("source/d" + std::to_string(100 + d));
    for (int f = 0; f < 50; ++f) write(name_of(d, f), noise(20, static_cast<std::uint64_t>(d * 1000 + f)));
  }
  let_time_pass();
  static_cast<void>(capture());
  const std::string path = agent_->catalogues() + "/files.catalogue";
  std::mt19937_64 random(7);
  for (int round = 0; round < 8; ++round) {
    // Nothing; then at the borders of blocks; then anywhere.
    const auto borders = borders_of_blocks(files(), agent_->catalogues());
    ASSERT_FALSE(borders.empty());
    const BlockBorder& border = borders[random() % borders.size()];
    if (round == 1 || round == 5) write(border.last_before + "!", "between two blocks");
    if (round == 2 || round == 6) write(border.first, "changed");
    if (round == 3 || round == 7) CHECK(::unlink(source(border.first).c_str()) == 0);
    if (round == 4) CHECK(::unlink(source(border.last_before).c_str()) == 0);
    const int changes = round < 5 ? 0 : 1 << (round - 4);
    for (int i = 0; i < changes; ++i) {
      const int d = static_cast<int>(random() % kDirectories);
      const int f = static_cast<int>(random() % 50);
      switch (random() % 4) {
        case 0:
          write(name_of(d, f), noise(30, random()));
          break;
        case 1:
          write(name_of(d, f) + "+", noise(30, random()));
          break;
        case 2:
          static_cast<void>(::unlink(source(name_of(d, f)).c_str()));
          break;
        default:
          static_cast<void>(::chmod(source("d" + std::to_string(100 + d)).c_str(), 0700 + random() % 8));
          break;
      }
    }
    let_time_pass();
    const Bytes before = must(files().read_file(path, 1 << 24));
    const auto in_blocks = capture();
    const Bytes after = must(files().read_file(path, 1 << 24));
    write_file(files(), path, before);
    take_blocks_apart(files(), agent_->catalogues());
    const auto one_by_one = capture();
    EXPECT_EQ(must(site().open(in_blocks.snapshot))->record().listing,
              must(site().open(one_by_one.snapshot))->record().listing)
        << round;
    EXPECT_EQ(in_blocks.totals, one_by_one.totals);
    EXPECT_EQ(in_blocks.unchanged_files, one_by_one.unchanged_files);
    constexpr std::size_t kHeader = 16384;  // names the snapshot
    const Bytes same = must(files().read_file(path, 1 << 24));
    EXPECT_TRUE(equal(ByteView(after).subspan(kHeader), ByteView(same).subspan(kHeader))) << round;
    if (round % 3 == 1) expect_restores_as_source(in_blocks.snapshot);
  }
}

TEST_F(Recapture, a_kept_block_that_the_era_does_not_hold_is_listed_again) {
  for (int f = 0; f < 1500; ++f) write(std::to_string(1000 + f) + std::string(120, 'x'), "x");
  let_time_pass();
  static_cast<void>(capture());
  // The same tree and its catalogue, but the agent has forgotten which listing chunks the vaults hold.
  const auto listing = must(site().open(capture().snapshot))->record().listing;
  ASSERT_GT(listing.size(), 1U);
  must(agent_->open());
  table::Batch forget;
  for (const format::ListingReference& reference : listing) {
    Bytes key = to_bytes("c");
    append(key, reference.id.view());
    forget.erase(key);
  }
  must(agent_->table().write(forget, table::Durability::Synced));
  const auto again = capture();
  EXPECT_EQ(again.read_bytes, 0U);
  EXPECT_EQ(again.packs.chunks, listing.size());
  EXPECT_EQ(must(site().open(again.snapshot))->record().listing, listing);
}

// --- streams ---

engine::ReadStream reader_of(const Bytes& bytes, std::size_t& at) {
  return [&bytes, &at](MutableByteView out) -> Result<std::size_t> {
    const std::size_t take = std::min({out.size(), bytes.size() - at, std::size_t{100'003}});
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), take, out.begin());
    at += take;
    return take;
  };
}

TEST_F(Recapture, a_catalogue_without_its_table_is_not_believed) {
  write("a", noise(300'000, 1));
  let_time_pass();
  capture();
  agent_.reset();
  start_agent();
  for (const std::string& name : must(files().list(at("agent/table")))) {
    must(files().remove_file(at("agent/table/" + name)));
  }
  const auto report = capture();
  EXPECT_EQ(report.unchanged_files, 0U);
  const std::string target = restored(report.snapshot);
  EXPECT_EQ(must(files().read_file(target + "/a", 1 << 30)), noise(300'000, 1));
}

TEST_F(Recapture, what_the_agent_cannot_write_down_after_its_snapshot_is_durable_is_said_and_is_no_failure) {
  write("a", "one");
  must(agent_->open());
  must(files().make_directories(agent_->catalogues() + "/files.catalogue", 0700));
  const auto report = must(agent_->capture(source()));
  ASSERT_EQ(report.not_kept.size(), 1U);
  EXPECT_NE(report.not_kept.front().find("the next capture reads again what changed since the catalogue before"),
            std::string::npos);
  EXPECT_TRUE(report.is_partial());
  EXPECT_TRUE(report.vaults_behind().empty());
  EXPECT_EQ(must(files().read_file(restored(report.snapshot) + "/a", 100)), to_bytes("one"));
}

TEST_F(Recapture, a_stream_comes_back_byte_for_byte) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{20'000'001}}) {
    const Bytes bytes = noise(size, size + 1);
    std::size_t at_byte = 0;
    const auto report = must(agent_->capture_stream({.dataset = "dump", .source = "a test", .behind = {}},
                                                    reader_of(bytes, at_byte), [] { return Status(); }));
    EXPECT_EQ(report.totals.bytes, size);
    const std::string target = restored(report.snapshot);
    EXPECT_EQ(must(files().read_file(target + "/dump", 1 << 30)), bytes);
  }
}

TEST_F(Recapture, a_dataset_is_of_one_kind) {
  write("a", "one");
  static_cast<void>(capture());
  const Bytes bytes = noise(1000, 4);
  std::size_t at_byte = 0;
  const auto stream =
      agent_->capture_stream({.dataset = engine::TreeCaptureOptions().dataset, .source = "a test", .behind = {}},
                             reader_of(bytes, at_byte), [] { return Status(); });
  ASSERT_TRUE(failed_with(stream, Code::InvalidInput));
  EXPECT_NE(stream.error().message().find("holds a tree of files, and this is a stream of bytes"), std::string::npos);
  EXPECT_EQ(at_byte, 0U) << "nothing was read";
}

TEST_F(Recapture, a_producer_that_fails_leaves_no_snapshot) {
  const Bytes bytes = noise(9'000'000, 4);
  std::size_t at_byte = 0;
  const auto failed =
      agent_->capture_stream({.dataset = "dump", .source = "a test", .behind = {}}, reader_of(bytes, at_byte),
                             [] { return Status(Error(Code::Cancelled, "pg_dump ended with status 1")); });
  EXPECT_TRUE(failed_with(failed, Code::Cancelled));
  const auto broken = agent_->capture_stream(
      {.dataset = "dump", .source = "a test", .behind = {}},
      [](MutableByteView) -> Result<std::size_t> { return Error(Code::Unavailable, "pipe broke"); },
      [] { return Status(); });
  EXPECT_TRUE(failed_with(broken, Code::Unavailable));
  EXPECT_EQ(must(site().holdings()).snapshots.size(), 0U);
  at_byte = 0;
  const auto report = must(agent_->capture_stream({.dataset = "dump", .source = "a test", .behind = {}},
                                                  reader_of(bytes, at_byte), [] { return Status(); }));
  EXPECT_EQ(report.number, 1U);
  EXPECT_EQ(must(files().read_file(restored(report.snapshot) + "/dump", 1 << 30)), bytes);
}

}  // namespace
}  // namespace exclave::realm_tests
