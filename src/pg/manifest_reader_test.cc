// Real manifests are read in base_backup_test; here are the ways to be wrong.
#include "pg/detail/manifest_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace exclave::pg::detail {
namespace {

const std::string kSha(64, 'a');

std::string file_line(std::string_view path, std::string_view rest = "\"Size\": 12") {
  return fmt::format(
      "{{ {}, {}, \"Last-Modified\": \"2026-11-28 08:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", "
      "\"Checksum\": \"01020304\" }}",
      path, rest);
}

std::string manifest_of(
    std::string_view files, std::string_view version = "1,\n",
    std::string_view range = "{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }") {
  return fmt::format(
      "{{ \"PostgreSQL-Backup-Manifest-Version\": {}\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{}\n],\n"
      "\"Manifest-Checksum\": \"{}\"}}\n",
      version, files, range, kSha);
}

struct Read {
  std::vector<ManifestFile> files;
  ManifestSummary summary;
};

Result<Read> read_manifest(std::string_view text, std::size_t piece) {
  ManifestReader reader;
  Read all;
  for (ByteView rest = as_bytes(text); !rest.empty();) {
    ByteView part = rest.first(std::min(piece, rest.size()));
    rest = rest.subspan(part.size());
    while (!part.empty()) {
      if (auto file = TRY(reader.next(part))) all.files.push_back(*file);
    }
  }
  all.summary = TRY(reader.finish());
  return all;
}

Code code_of_manifest(const std::string& text) {
  const auto result = read_manifest(text, text.size());
  return result.ok() ? Code::Bug : result.error().code();
}

TEST(ManifestReader, reads_the_same_from_pieces_of_every_size) {
  const std::string text = manifest_of(file_line("\"Path\": \"base/1/\\\"q\\\\\\u001f\"") + ",\n" +
                                       file_line("\"Encoded-Path\": \"ff2f61\"", "\"Size\": 0"));
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    const Read all = read_manifest(text, piece).take();
    ASSERT_EQ(all.files.size(), 2U);
    EXPECT_EQ(all.files[0].path, "base/1/\"q\\\x1f");
    EXPECT_EQ(all.files[0].size, 12U);
    EXPECT_EQ(all.files[0].crc32c, 0x04030201U);
    EXPECT_EQ(all.files[1].path, "\xff/a");
    EXPECT_EQ(all.summary.bytes, text.size());
    EXPECT_EQ(all.summary.hashed_bytes, text.find("\"Manifest-Checksum\""));
    EXPECT_EQ(all.summary.sha256, kSha);
    EXPECT_EQ(to_text(all.summary.start), "0/2000028");
    EXPECT_EQ(to_text(all.summary.end), "0/2000100");
    EXPECT_EQ(all.summary.timeline, Timeline(1));
    EXPECT_FALSE(all.summary.system.has_value());
  }
}

TEST(ManifestReader, reads_version_2_with_its_system_and_several_ranges) {
  const std::string range =
      "{ \"Timeline\": 2, \"Start-LSN\": \"0/3000000\", \"End-LSN\": \"0/4000100\" },\n"
      "{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/3000000\" }";
  const Read all =
      read_manifest(manifest_of(file_line("\"Path\": \"a\""), "2,\n\"System-Identifier\": 7,\n", range), 100).take();
  EXPECT_EQ(all.summary.system, SystemIdentifier(7));
  EXPECT_EQ(all.summary.timeline, Timeline(2));
  EXPECT_EQ(to_text(all.summary.start), "0/2000028");
  EXPECT_EQ(to_text(all.summary.end), "0/4000100");
}

TEST(ManifestReader, refuses_each_way_of_being_wrong) {
  const std::string good = file_line("\"Path\": \"a\"");
  EXPECT_EQ(code_of_manifest(manifest_of(good)), Code::Bug);
  EXPECT_EQ(code_of_manifest(manifest_of(good, "3,\n")), Code::Unsupported);
  EXPECT_EQ(code_of_manifest(manifest_of(good, "2,\n")), Code::Corrupt) << "version 2 without a system";
  EXPECT_EQ(code_of_manifest(manifest_of(good + ",")), Code::Corrupt) << "a comma before the end";
  EXPECT_EQ(code_of_manifest(manifest_of(good + "\n" + good)), Code::Corrupt) << "no comma between two";
  EXPECT_EQ(code_of_manifest(manifest_of(good + " ")), Code::Corrupt);
  EXPECT_EQ(code_of_manifest(manifest_of("")), Code::Corrupt);
  EXPECT_EQ(code_of_manifest(manifest_of(file_line("\"Path\": \"a", "\"Size\": 1"))), Code::Corrupt);
  EXPECT_EQ(code_of_manifest(manifest_of(file_line("\"Path\": \"\\u0041\""))), Code::Corrupt)
      << "an escape nobody writes";
  EXPECT_EQ(code_of_manifest(manifest_of(file_line("\"Path\": \"\\x\""))), Code::Corrupt);
  EXPECT_EQ(code_of_manifest(manifest_of(file_line("\"Encoded-Path\": \"f\""))), Code::Corrupt);
  for (const char* size :
       {"\"Size\": -1", "\"Size\": 01", "\"Size\": 99999999999999999999", "\"Size\": 1.5", "\"Size\":1"}) {
    EXPECT_EQ(code_of_manifest(manifest_of(file_line("\"Path\": \"a\"", size))), Code::Corrupt) << size;
  }
  std::string sha = good;
  sha.replace(sha.find("CRC32C"), 6, "SHA256");
  EXPECT_EQ(code_of_manifest(manifest_of(sha)), Code::Unsupported);
  std::string crc = good;
  crc.replace(crc.find("01020304"), 8, "0102030G");
  EXPECT_EQ(code_of_manifest(manifest_of(crc)), Code::Corrupt);
  for (const char* range : {"", "{ \"Timeline\": 0, \"Start-LSN\": \"0/1\", \"End-LSN\": \"0/2\" }",
                            "{ \"Timeline\": 1, \"Start-LSN\": \"0/3\", \"End-LSN\": \"0/2\" }",
                            "{ \"Timeline\": 1, \"Start-LSN\": \"x\", \"End-LSN\": \"0/2\" }"}) {
    EXPECT_EQ(code_of_manifest(manifest_of(good, "1,\n", range)), Code::Corrupt) << range;
  }
  EXPECT_EQ(code_of_manifest(manifest_of(good) + "\n"), Code::Corrupt) << "something after its end";
  EXPECT_EQ(code_of_manifest(std::string(ManifestReader::kMaximumLineBytes + 1, 'x')), Code::Corrupt);
}

TEST(ManifestReader, a_manifest_that_ends_early_is_corrupt) {
  const std::string text = manifest_of(file_line("\"Path\": \"a\""));
  for (std::size_t size = 1; size < text.size(); ++size)
    EXPECT_EQ(code_of_manifest(text.substr(0, size)), Code::Corrupt) << size;
}

}  // namespace
}  // namespace exclave::pg::detail
