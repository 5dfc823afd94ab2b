// The worked examples of docs/formats/database-journal.md and wal-plan.md, read from the pages. tools/restorer/self_test_logs.py, which was
// written from the same pages, reads them too.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "engine/wal_directory.h"
#include "format/database_journal.h"
#include "format/testing/samples.h"

namespace exclave::journal_tests {
namespace {

using format::testing::hex_in;

std::string page(const std::string& name) {
  std::ifstream file(std::string(EXCLAVE_SOURCE_DIR) + "/docs/formats/" + name);
  CHECK(file.good());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool equal(ByteView a, ByteView b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

TEST(Pages, database_journal_shows_an_opening_and_the_log_that_follows_it) {
  const std::string text = page("database-journal.md");
  const Bytes first = hex_in(text, "opening");
  auto opening = format::decode_record(first);
  ASSERT_TRUE(opening.ok());
  const auto& fields = std::get<format::JournalOpening>(opening.value());
  EXPECT_EQ(fields.dataset, "people");
  EXPECT_EQ(fields.source, (format::LogSource{0x68f1c2a3b4c5d6e7, 15, 1 << 24}));
  EXPECT_EQ(fields.timeline, format::LogTimeline(1));
  EXPECT_EQ(fields.start, format::LogPosition(0x3000148));
  EXPECT_TRUE(equal(format::encode_record(opening.value()), first));

  const Bytes second = hex_in(text, "wal");
  auto wal = format::decode_record(second);
  ASSERT_TRUE(wal.ok());
  const auto& log = std::get<format::JournalLog>(wal.value());
  EXPECT_EQ(log.log, format::log_id("people", fields.source));
  EXPECT_EQ(log.start, fields.start);
  EXPECT_EQ(to_hex(log.stored), "deadbeef");
  EXPECT_TRUE(equal(format::encode_record(wal.value()), second));
}

TEST(Pages, wal_plan_shows_a_plan_over_two_timelines) {
  const std::string text = page("wal-plan.md");
  const std::string begin = "\n```\nexclave/wal-plan/v1\nsystem 7";
  const std::size_t from = text.find(begin);
  ASSERT_NE(from, std::string::npos);
  const std::size_t to = text.find("```\n", from + begin.size());
  const std::string document = text.substr(from + 5, to - from - 5);
  auto plan = engine::WalPlan::parse(as_bytes(document), "wal-plan.md");
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan.value().text(), document);
  EXPECT_EQ(plan.value().ranges.size(), 2U);
}

}  // namespace
}  // namespace exclave::journal_tests
