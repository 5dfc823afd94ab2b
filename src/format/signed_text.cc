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

Result<TextReader> TextReader::open(ByteView document, std::string_view domain, std::string source) {
  TextReader reader;
  reader.source_ = std::move(source);
  const auto fail = [&](std::size_t line, std::string_view why) {
    return Error(Code::InvalidInput, reader.source_ + ": line " + std::to_string(line) + ": " + std::string(why));
  };
  if (document.size() > kMaxDocumentBytes) return fail(1, "document is larger than 4 MiB");
  const std::string_view found = domain_of(document);
  if (found.ends_with('\r'))
    return fail(1, "ends with CR LF: its line ends were changed on the way; have it sent as a file");
  if (found != domain) {
    if (!found.empty() && family_of(found) == family_of(domain)) {
      return Error(Code::Unsupported,
                   reader.source_ + ": is " + printable(found) + ", this program knows " + std::string(domain))
          .hint("use a newer exclave");
    }
    return fail(1, "is not an " + std::string(domain) + " document");
  }
  const std::string_view text = as_text(document);
  std::size_t at = 0;
  std::size_t number = 0;
  bool in_signatures = false;
  while (at < text.size()) {
    ++number;
    const std::size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return fail(number, "does not end with a line feed");
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (number == 1) continue;
    if (line.empty()) {
      if (in_signatures) return fail(number, "has a second empty line");
      if (at == text.size()) return fail(number, "has an empty line without signatures after it");
      in_signatures = true;
      reader.text_ = std::string(text.substr(0, at - 1));
      continue;
    }
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return fail(number, "has no value");
    const std::string_view key = line.substr(0, space);
    const std::string_view value = line.substr(space + 1);
    if (!is_valid_key(key)) return fail(number, "has an ill-formed key");
    if (!is_valid_text_value(value)) return fail(number, "has an ill-formed value");
    if (!in_signatures) {
      reader.lines_.push_back({std::string(key), std::string(value)});
      continue;
    }
    const std::size_t separator = value.find(' ');
    if (key != "signature" || separator == std::string_view::npos) return fail(number, "is not a signature line");
    if (!is_valid_key(value.substr(0, separator))) return fail(number, "has an ill-formed signer");
    auto decoded = from_base64(value.substr(separator + 1));
    if (!decoded.ok()) return fail(number, "holds a signature that is not base64");
    reader.signatures_.push_back({std::string(value.substr(0, separator)), decoded.take()});
  }
  if (!in_signatures) reader.text_ = std::string(text);
  return reader;
}

bool TextReader::next_is(std::string_view key) const {
  return next_ < lines_.size() && lines_[next_].key == key;
}

Result<std::string> TextReader::field(std::string_view key) {
  if (!next_is(key)) {
    const std::string found = next_ < lines_.size() ? "'" + lines_[next_].key + "'" : "the end";
    return Error(Code::InvalidInput, source_ + ": line " + std::to_string(next_ + 2) + ": expected '" +
                                         std::string(key) + "', found " + found);
  }
  return lines_[next_++].value;
}

Result<std::uint64_t> TextReader::number(std::string_view key) {
  const std::string value = TRY(field(key));
  auto parsed = parse_u64(value);
  if (!parsed.ok()) return bad(parsed.error().message());
  return parsed;
}

Status TextReader::end() {
  if (next_ == lines_.size()) return {};
  return Error(Code::InvalidInput,
               source_ + ": line " + std::to_string(next_ + 2) + ": unexpected field '" + lines_[next_].key + "'");
}

Error TextReader::bad(std::string_view why) const {
  return Error(Code::InvalidInput, source_ + ": line " + std::to_string(next_ + 1) + ": " + std::string(why));
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
