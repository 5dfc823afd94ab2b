#include "format/signed_text.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::format {
namespace {

constexpr std::size_t kMaxDocumentBytes = 4U << 20;
constexpr std::size_t kMaxValueBytes = 8192;

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool is_valid_key(std::string_view key) {
  return !key.empty() && key.size() <= 64 && std::all_of(key.begin(), key.end(), is_key_character);
}

// "exclave/policy" of "exclave/policy/v1".
std::string_view family_of(std::string_view domain) {
  return domain.substr(0, domain.rfind('/'));
}

Result<ByteView> only_signature(const TextReader& reader, std::string_view signer, std::size_t size,
                                std::string_view algorithm) {
  if (reader.signatures().size() != 1) {
    return Error(Code::InvalidInput, reader.source() + ": must carry exactly one signature");
  }
  const TextSignature& found = reader.signatures().front();
  if (found.signer != signer || found.value.size() != size) {
    return Error(Code::InvalidInput, reader.source() + ": its signature is not " + std::string(algorithm) +
                                         " signature by '" + std::string(signer) + "'");
  }
  return ByteView(found.value);
}

}  // namespace

bool is_valid_text_value(std::string_view value) {
  return !value.empty() && value.size() <= kMaxValueBytes && value.front() != ' ' && value.back() != ' ' &&
         is_clean_utf8(value);
}

bool is_valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), is_key_character);
}

Status check_name(std::string_view what, std::string_view name) {
  if (is_valid_name(name)) return {};
  return Error(Code::InvalidInput, std::string(what) + " name '" + printable(name) + "' is not usable")
      .hint("use 1 to 63 characters of a-z, 0-9 and '-', not starting with '-'");
}

TextWriter::TextWriter(std::string_view domain) : text_(domain) {
  text_ += '\n';
}

TextWriter& TextWriter::field(std::string_view key, std::string_view value) {
  CHECK(is_valid_key(key));
  CHECK(is_valid_text_value(value));
  text_.append(key).append(" ").append(value).append("\n");
  return *this;
}

TextWriter& TextWriter::field(std::string_view key, std::uint64_t value) {
  return field(key, std::to_string(value));
}

void append_signature(std::string& document, std::string_view signer, ByteView signature) {
  if (document.find("\n\n") == std::string::npos) document += '\n';
  document.append("signature ").append(signer).append(" ").append(to_base64(signature)).append("\n");
}

std::string_view domain_of(ByteView document) {
  const std::string_view text = as_text(document);
  const std::size_t end = text.find('\n');  // npos is beyond any limit
  if (end > 128 || !text.starts_with("exclave/")) return {};
  return text.substr(0, end);
}

namespace {

// "key value", checked against the grammar; the error says what is wrong with the line.
Result<ScannedText::Field> scan_line(std::string_view line) {
  const auto fail = [](std::string_view why) { return Error(Code::InvalidInput, std::string(why)); };
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return fail("has no value");
  const ScannedText::Field field{line.substr(0, space), line.substr(space + 1)};
  if (!is_valid_key(field.key)) return fail("has an ill-formed key");
  if (!is_valid_text_value(field.value)) return fail("has an ill-formed value");
  return field;
}

Result<TextSignature> scan_signature(std::string_view line) {
  const auto fail = [](std::string_view why) { return Error(Code::InvalidInput, std::string(why)); };
  if (line.empty()) return fail("has a second empty line");
  const ScannedText::Field field = TRY(scan_line(line));
  const std::size_t separator = field.value.find(' ');
  if (field.key != "signature" || separator == std::string_view::npos) return fail("is not a signature line");
  const std::string_view signer = field.value.substr(0, separator);
  if (!is_valid_key(signer)) return fail("has an ill-formed signer");
  auto value = from_base64(field.value.substr(separator + 1));
  if (!value.ok()) return fail("holds a signature that is not base64");
  return TextSignature{std::string(signer), value.take()};
}

Error at_line(std::string_view source, std::size_t number, std::string_view why) {
  return {Code::InvalidInput, std::string(source) + ": line " + std::to_string(number) + ": " + std::string(why)};
}

// The line of `text` that begins at `at`; its line feed is checked.
Result<std::string_view> line_at(std::string_view text, std::size_t at, std::string_view source, std::size_t number) {
  const std::size_t end = text.find('\n', at);
  if (end == std::string_view::npos) return at_line(source, number, "does not end with a line feed");
  return text.substr(at, end - at);
}

}  // namespace

Result<ScannedText> scan_text(ByteView document, std::string_view domain, std::string_view source) {
  if (document.size() > kMaxDocumentBytes) return at_line(source, 1, "document is larger than 4 MiB");
  const std::string_view found = domain_of(document);
  if (found.ends_with('\r')) {
    return at_line(source, 1, "ends with CR LF: its line ends were changed on the way; have it sent as a file");
  }
  if (found != domain) {
    if (!found.empty() && family_of(found) == family_of(domain)) {
      return Error(Code::Unsupported,
                   std::string(source) + ": is " + printable(found) + ", this program knows " + std::string(domain))
          .hint("use a newer exclave");
    }
    return at_line(source, 1, "is not an " + std::string(domain) + " document");
  }
  const std::string_view text = as_text(document);
  ScannedText scanned;
  scanned.size = domain.size() + 1;
  while (scanned.size < text.size()) {
    const std::size_t number = scanned.fields.size() + 2;
    const std::string_view line = TRY(line_at(text, scanned.size, source, number));
    if (line.empty()) return scanned;
    auto field = scan_line(line);
    if (!field.ok()) return at_line(source, number, field.error().message());
    scanned.fields.push_back(field.value());
    scanned.size += line.size() + 1;
  }
  return scanned;
}

Result<TextReader> TextReader::open(ByteView document, std::string_view domain, std::string source) {
  const ScannedText scanned = TRY(scan_text(document, domain, source));
  TextReader reader;
  reader.source_ = std::move(source);
  const std::string_view text = as_text(document);
  reader.text_ = std::string(text.substr(0, scanned.size));
  for (const ScannedText::Field& field : scanned.fields)
    reader.lines_.push_back({std::string(field.key), std::string(field.value)});
  if (scanned.size == text.size()) return reader;
  std::size_t number = scanned.fields.size() + 2;  // the empty line
  std::size_t at = scanned.size + 1;
  if (at == text.size()) {
    return at_line(reader.source_, number, "has an empty line without signatures after it");
  }
  while (at < text.size()) {
    const std::string_view line = TRY(line_at(text, at, reader.source_, ++number));
    auto signature = scan_signature(line);
    if (!signature.ok()) return at_line(reader.source_, number, signature.error().message());
    reader.signatures_.push_back(signature.take());
    at += line.size() + 1;
  }
  return reader;
}

bool TextReader::next_is(std::string_view key) const {
  return next_ < lines_.size() && lines_[next_].key == key;
}

Result<std::string> TextReader::field(std::string_view key) {
  if (!next_is(key)) {
    const std::string found = next_ < lines_.size() ? "'" + lines_[next_].key + "'" : "the end";
    return at_line(source_, next_ + 2, "expected '" + std::string(key) + "', found " + found);
  }
  return lines_[next_++].value;
}

Result<std::uint64_t> TextReader::number(std::string_view key) {
  const std::string value = TRY(field(key));
  auto parsed = parse_u64(value);
  if (!parsed.ok()) return bad(parsed.error().message());
  return parsed;
}

Result<std::int64_t> TextReader::seconds(std::string_view key) {
  const std::string value = TRY(field(key));
  auto parsed = parse_i64(value);
  if (!parsed.ok()) return bad(parsed.error().message());
  return parsed;
}

Status TextReader::end() {
  if (next_ == lines_.size()) return {};
  return at_line(source_, next_ + 2, "unexpected field '" + lines_[next_].key + "'");
}

Error TextReader::bad(std::string_view why) const {
  return at_line(source_, next_ + 1, why);
}

Result<crypto::Ed25519Signature> single_signature(const TextReader& reader, std::string_view signer) {
  return crypto::Ed25519Signature::from_view(
      TRY(only_signature(reader, signer, crypto::Ed25519Signature::kSize, "an Ed25519")));
}

Result<crypto::P384Signature> single_p384_signature(const TextReader& reader, std::string_view signer) {
  return crypto::P384Signature::from_view(TRY(only_signature(reader, signer, crypto::P384Signature::kSize, "a P-384")));
}

std::string with_signature(std::string text, std::string_view signer, ByteView signature) {
  append_signature(text, signer, signature);
  return text;
}

}  // namespace exclave::format
