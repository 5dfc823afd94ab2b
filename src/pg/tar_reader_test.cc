#include "pg/detail/tar_reader.h"

#include <gtest/gtest.h>

#include "pg/testing/tar_writer.h"

namespace exclave::pg::detail {
namespace {

using testing::seal_tar_header;
using testing::tar_directory;
using testing::tar_end;
using testing::tar_file;
using testing::tar_header;

// Everything an archive says, fed in pieces of `piece` bytes.
Result<std::string> read_archive(std::string_view archive, std::size_t piece) {
  TarReader reader;
  std::string said;
  for (ByteView rest = as_bytes(archive); !rest.empty();) {
    ByteView part = rest.first(std::min(piece, rest.size()));
    rest = rest.subspan(part.size());
    for (;;) {
      const TarEvent event = TRY(reader.next(part));
      if (std::holds_alternative<TarNeedsMore>(event)) break;
      if (const auto* begins = std::get_if<TarEntry>(&event)) {
        const char* kinds[] = {"file ", "directory ", "link "};
        said += kinds[static_cast<std::size_t>(begins->entry.type)] + begins->entry.path + " " +
                std::to_string(begins->entry.mode) + " " + begins->entry.link_target + ":";
      }
      if (const auto* data = std::get_if<TarData>(&event)) said += as_text(data->bytes);
      if (std::holds_alternative<TarEntryEnds>(event)) said += ";";
    }
  }
  TRY(reader.finish());
  return said;
}

Code code_of_archive(const std::string& archive) {
  const auto result = read_archive(archive, archive.size());
  return result.ok() ? Code::Bug : result.error().code();
}

std::string whole() {
  return tar_file("backup_label", "hello") + tar_directory("base") + tar_directory("./base/1") +
         tar_file("base/1/PG_VERSION", "15\n") + tar_file("empty", "") +
         tar_header({.name = "pg_tblspc/16384/", .type = '2', .link = "/srv/space"}) + tar_end();
}

TEST(TarReader, reads_the_same_from_pieces_of_every_size) {
  const std::string expected =
      "file backup_label 384 :hello;directory base 384 :;directory base/1 384 :;file base/1/PG_VERSION 384 :15\n;"
      "file empty 384 :;link pg_tblspc/16384 384 /srv/space:;";
  for (std::size_t piece = 1; piece <= 1'300; ++piece)
    EXPECT_EQ(read_archive(whole(), piece).take(), expected) << piece;
}

TEST(TarReader, refuses_every_path_that_leads_elsewhere) {
  const std::string long_name(100, 'a');  // not ended within its field
  for (const std::string& path :
       {std::string("/etc/passwd"), std::string(".."), std::string("../x"), std::string("a/../b"), std::string("a//b"),
        std::string("./../x"), std::string("././x"), std::string("."), std::string("a/."), std::string("a/"),
        std::string(""), std::string("./"), std::string("a\nb"), std::string("a\x7f"), std::string("a\0b", 3),
        long_name}) {
    EXPECT_EQ(code_of_archive(tar_header({.name = path}) + tar_end()), Code::Corrupt) << path;
  }
  EXPECT_EQ(code_of_archive(tar_header({.name = "a//", .type = '5'}) + tar_end()), Code::Corrupt);
  EXPECT_EQ(code_of_archive(tar_header({.name = "/", .type = '5'}) + tar_end()), Code::Corrupt);
}

TEST(TarReader, refuses_headers_that_postgresql_does_not_write) {
  for (const char type : {'1', '3', '4', '6', '7', 'x', 'g', 'L', 'K', 'S'}) {
    EXPECT_EQ(code_of_archive(tar_header({.name = "a", .type = type}) + tar_end()), Code::Corrupt) << type;
  }
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .magic = std::string("ustar  \0", 8)}) + tar_end()),
            Code::Corrupt);
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .mode = "0010600 "}) + tar_end()), Code::Corrupt);
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .mode = "  00600 "}) + tar_end()), Code::Corrupt);
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .mode = "0000900 "}) + tar_end()), Code::Corrupt);
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .time = "77777777777 "}) + tar_end()), Code::Bug)
      << "in the year 2242";
  EXPECT_EQ(
      code_of_archive(tar_header({.name = "a", .time = std::string("\x80\0\0\0\0\0\0\x02\0\0\0\1", 12)}) + tar_end()),
      Code::Corrupt);
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .type = '5', .size = 1}) + tar_end()), Code::Corrupt);
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .type = '2'}) + tar_end()), Code::Corrupt) << "a link to nowhere";
  EXPECT_EQ(code_of_archive(tar_header({.name = "a", .link = "b"}) + tar_end()), Code::Corrupt)
      << "a file with a target";
  std::string prefixed = tar_header({.name = "a"});
  prefixed[345] = 'x';
  seal_tar_header(prefixed);
  EXPECT_EQ(code_of_archive(prefixed + tar_end()), Code::Corrupt);
}

TEST(TarReader, finds_every_flipped_bit_of_a_header_and_of_padding) {
  const std::string archive = tar_file("a", "hello") + tar_end();
  for (std::size_t at = 0; at < archive.size(); ++at) {
    const bool is_content = at >= 512 && at < 517;
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string flipped = archive;
      flipped[at] = static_cast<char>(static_cast<unsigned char>(flipped[at]) ^ (1U << bit));
      EXPECT_EQ(code_of_archive(flipped), is_content ? Code::Bug : Code::Corrupt) << at << " " << bit;
    }
  }
}

TEST(TarReader, an_archive_that_ends_early_is_corrupt) {
  const std::string archive = whole();
  for (std::size_t size = 1; size < archive.size(); ++size)
    EXPECT_EQ(code_of_archive(archive.substr(0, size)), Code::Corrupt) << size;
  EXPECT_EQ(code_of_archive(archive + tar_file("late", "x")), Code::Corrupt);
  EXPECT_EQ(code_of_archive(archive + std::string(512, '\0')), Code::Bug) << "more zeros are fine";
  EXPECT_FALSE(TarReader().finish().ok());
}

TEST(TarReader, reads_sizes_beyond_eight_gigabytes) {
  std::string header = tar_header({.name = "big"});
  header.replace(124, 12, std::string("\x80\0\0\0\0\0\0\x02\0\0\0\0", 12));
  seal_tar_header(header);
  TarReader reader;
  ByteView bytes = as_bytes(header);
  EXPECT_EQ(std::get<TarEntry>(reader.next(bytes).take()).entry.size, std::uint64_t{1} << 33);
}

}  // namespace
}  // namespace exclave::pg::detail
