// Builds archives as PostgreSQL's BASE_BACKUP does, and ones as it never would. For tests and seeds. Threads: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace exclave::pg::testing {

// `digits` octal digits and a space.
inline std::string octal(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (std::size_t i = digits; i-- > 0; value >>= 3) text[i] = static_cast<char>('0' + (value & 7));
  return text + " ";
}

struct TarFields {
  std::string name;
  char type = '0';
  std::uint64_t size = 0;
  std::string link{};
  std::string mode = "0000600 ";
  std::string time = "14712345670 ";
  std::string magic{"ustar\00000", 8};
};

// Fills in the header's checksum.
inline void seal_tar_header(std::string& header) {
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 8, octal(sum, 7));
}

inline std::string tar_header(const TarFields& fields) {
  std::string header(512, '\0');
  const auto put = [&header](std::size_t at, std::string_view text) { header.replace(at, text.size(), text); };
  put(0, fields.name);
  put(100, fields.mode);
  put(108, "0000146 ");
  put(116, "0000152 ");
  put(124, octal(fields.size, 11));
  put(136, fields.time);
  header[156] = fields.type;
  put(157, fields.link);
  put(257, fields.magic);
  put(265, "postgres");
  put(297, "postgres");
  seal_tar_header(header);
  return header;
}

inline std::string tar_file(std::string_view name, std::string_view content) {
  std::string text = tar_header({.name = std::string(name), .size = content.size()});
  text += content;
  text.append((512 - content.size() % 512) % 512, '\0');
  return text;
}
inline std::string tar_directory(std::string_view name) {
  return tar_header({.name = std::string(name) + "/", .type = '5'});
}
inline std::string tar_end() {
  return std::string(1'024, '\0');
}

}  // namespace exclave::pg::testing
