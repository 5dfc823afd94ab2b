#include "cli/database_restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "posix/world.h"
#include "sim/universe.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::cli {
namespace {

using ::testing::HasSubstr;

// The log's directory is locked while a restore is at work in it, as the target is: of one directory that would say
// that another restore is.
TEST(DatabaseRestorePlaces, a_log_that_would_lie_in_the_target_is_refused_by_name) {
  posix::World world;
  env::FileSystem& files = world.env().files;
  conformance::ScratchDirectory scratch("places");
  std::filesystem::create_directory_symlink(scratch.path(), scratch / "same");
  const RestoreTarget target = claim_restore_target(files, scratch / "back").take();
  std::filesystem::create_directory_symlink(scratch / "back", scratch / "link");
  std::filesystem::create_directories(scratch / "back/base");
  std::filesystem::create_directory_symlink(scratch / "back/base", scratch / "logs");
  for (const std::string log : {"back", "back/", "back/wal", "back/far/below", "same/back", "link", "link/wal", "logs",
                                "logs/people", "logs/far/below/", "logs/../wal", "back/far/../wal"}) {
    const Status refused = check_lies_beside(files, target, scratch / log);
    ASSERT_FALSE(refused.ok()) << log;
    EXPECT_EQ(refused.error().code(), Code::InvalidInput);
    EXPECT_THAT(refused.error().message(), HasSubstr("would lie in the target"));
  }
  for (const std::string log : {"back.wal", "far/away", "back/../back.wal", "logs/../../wal"})
    EXPECT_TRUE(check_lies_beside(files, target, scratch / log).ok()) << log;
}

TEST(DatabaseRestoreGoal, what_is_not_quite_a_time_or_a_cut_is_told_how_one_looks) {
  for (const std::string time :
       {"2026-11-30T12:56:56.97Z", "2026-11-30T12:56:56+02:00", "2026-11-30 12:56:56", "2026-11-30"}) {
    const auto refused = parse_goal(time);
    ASSERT_FALSE(refused.ok()) << time;
    EXPECT_EQ(refused.error().code(), Code::InvalidInput);
    EXPECT_THAT(refused.error().message(), HasSubstr("'" + time + "' names no place in a database's log"));
    EXPECT_THAT(refused.error().hint_text(),
                HasSubstr("whole seconds and is in UTC, and looks like 2026-11-30T12:56:56Z"));
  }
  EXPECT_TRUE(parse_goal("2026-11-30T12:56:56Z").ok());
  EXPECT_THAT(parse_goal("sometime").error().hint_text(), HasSubstr("say latest, a position"));
  EXPECT_EQ(parse_goal("cut:").error().message(), "--to 'cut:' names no cut");
  EXPECT_TRUE(parse_goal("cut:1a").ok());
}

class Words final : public Terminal {
 public:
  void out(std::string_view text) override { text_ += text; }
  void err(std::string_view text) override { text_ += text; }
  Status written() const override { return {}; }
  bool shows_progress() const override { return false; }
  bool can_ask() const override { return false; }
  Result<std::string> read_line(const std::stop_token&) override { return Error(Code::NotFound, "no input"); }
  Result<std::size_t> read_input(MutableByteView, const std::stop_token&) override { return std::size_t{0}; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Two targets of one restore, with the marks of what is unfinished in them.
class Distrusting : public ::testing::Test {
 protected:
  Distrusting() {
    for (const std::string& target : targets_) {
      const std::string text = "aa boot 1 2 3 boot\n";
      CHECK(env::create_file_durably(env_.files, mark(target), as_bytes(text), env::kPrivateFile).ok());
    }
  }
  static std::string mark(const std::string& target) { return target + ".exclave-restore"; }
  // Of which boot finished files are trusted: "boot", or of none.
  std::string trusted(const std::string& target) {
    const Bytes content = env_.files.read_file(mark(target), 1000).take();
    const std::string text(as_text(content));
    return text.substr(3, text.find(' ', 3) - 3);
  }

  const std::vector<std::string> targets_ = {"/a", "/b"};
  sim::Universe universe_{1};
  sim::Machine& machine_ = universe_.machine("site");
  env::Env env_ = machine_.env();
  Words words_;
  const Context context_{env_, words_, {}, {}, {}, false, false};
};

// Denied is what a file system answers that the kernel has closed to writing, after its disk failed.
TEST_F(Distrusting, what_a_failing_disk_may_have_lost_is_trusted_in_no_target) {
  for (const Code code : {Code::Denied, Code::Unavailable, Code::Corrupt, Code::Exhausted}) {
    SCOPED_TRACE(name_of(code));
    const Code told = code == Code::Exhausted ? code : Code::Precondition;  // not as if a vault had said it
    EXPECT_EQ(distrusting(context_, targets_, Error(code, "no")).code(), told);
    for (const std::string& target : targets_) {
      EXPECT_EQ(trusted(target), "-");
      const std::string text = "aa boot 1 2 3 boot\n";
      CHECK(env::replace_file_durably(env_.files, mark(target), as_bytes(text), env::kPrivateFile).ok());
    }
  }
  EXPECT_EQ(words_.text(), "");
}

TEST_F(Distrusting, what_was_refused_without_a_disk_costs_nothing_that_is_finished) {
  for (const Code code :
       {Code::Precondition, Code::InvalidInput, Code::Conflict, Code::AlreadyExists, Code::NotFound, Code::Cancelled}) {
    EXPECT_EQ(distrusting(context_, targets_, Error(code, "no")).code(), code);
    for (const std::string& target : targets_) EXPECT_EQ(trusted(target), "boot") << name_of(code);
  }
}

TEST_F(Distrusting, a_target_whose_mark_cannot_be_written_any_more_is_named) {
  machine_.inject({.call = sim::FileCall::Name, .path_part = ".tmp-", .times = sim::kForEver, .code = Code::Denied});
  EXPECT_EQ(distrusting(context_, targets_, Error(Code::Denied, "no")).code(), Code::Precondition);
  EXPECT_THAT(words_.text(), HasSubstr("what is in '/a' cannot be trusted: restore into a fresh directory"));
  EXPECT_THAT(words_.text(), HasSubstr("what is in '/b' cannot be trusted: restore into a fresh directory"));
}

// The report is all that there is: the command cannot be run again.
TEST_F(Distrusting, a_report_of_a_restore_whose_server_cannot_recover_yet_holds_the_error) {
  const Status allowed = Error(Code::Exhausted, "'/a/recovery.signal' could not be made").hint("make it");
  config::Json json = config::Json::object();
  json.set("ok", true);
  add_outcome(json, allowed);
  EXPECT_EQ(json["ok"], config::Json(false));
  EXPECT_EQ(json["message"].string(), "'/a/recovery.signal' could not be made");
  EXPECT_EQ(json["hint"].string(), "make it");
  EXPECT_EQ(end_of_restore(context_, allowed, IsPartial::Yes), kFailed);
  EXPECT_THAT(words_.text(), HasSubstr("exclave: '/a/recovery.signal' could not be made\n  hint: make it\n"));
  EXPECT_EQ(end_of_restore(context_, {}, IsPartial::Yes), kPartial);
  EXPECT_EQ(end_of_restore(context_, {}, IsPartial::No), kOk);
}

}  // namespace
}  // namespace exclave::cli
