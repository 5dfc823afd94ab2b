// Signed text: the one grammar of every document that somebody signs or reads aloud.
// Hides: how lines are scanned. There is no canonicaliser: a signature covers the file's bytes.
//
//   document  := text [ LF signature+ ]
//   text      := domain LF field*             domain := "exclave/" name "/v" number
//   field     := key SP value LF              key    := [a-z0-9-]+
//   value     := 1..8192 bytes of UTF-8 without control characters, not starting or ending with a space
//   signature := "signature" SP signer SP base64 LF            signer := [a-z0-9-]{1,64}
//
// Units/limits: a document is at most 4 MiB.
// I1  Fields come in the order the document type fixes; an unknown, missing, repeated or misplaced one is an error,
//     so each statement has one spelling.
// I2  signed_bytes() is exactly text: everything up to and including the LF of the last field.
// Threads: values. Errors: InvalidInput that names the document, the line and what was expected; Unsupported for
//          another version of a known domain.
// Source: docs/formats/signed-text.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/signature.h"

namespace exclave::format {

struct TextSignature {
  std::string signer;
  Bytes value;
};

class TextWriter {
 public:
  explicit TextWriter(std::string_view domain);
  // Precondition: key and value obey the grammar (CHECK: values from outside are validated before).
  TextWriter& field(std::string_view key, std::string_view value);
  TextWriter& field(std::string_view key, std::uint64_t value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Appends one signature line, and before the first one the empty line.
void append_signature(std::string& document, std::string_view signer, ByteView signature);

bool is_valid_text_value(std::string_view value);
// [a-z0-9][a-z0-9-]{0,62}: names of officials, vaults, sites, registries, datasets.
bool is_valid_name(std::string_view name);
// InvalidInput naming `what` and the rule.
Status check_name(std::string_view what, std::string_view name);

// The lines of a document's text, in place: for readers that may not copy a value (key files). Checked: the domain, the
// grammar of every line.
struct ScannedText {
  struct Field {
    std::string_view key;
    std::string_view value;
  };
  std::vector<Field> fields;
  std::size_t size = 0;  // of the text: all of the document, or up to the empty line before the signatures
};
Result<ScannedText> scan_text(ByteView document, std::string_view domain, std::string_view source);

class TextReader {
 public:
  // `source` names the document in errors (a path, or "policy from vault lux").
  static Result<TextReader> open(ByteView document, std::string_view domain, std::string source);

  Result<std::string> field(std::string_view key);
  Result<std::uint64_t> number(std::string_view key);
  Result<std::int64_t> seconds(std::string_view key);  // since 1970, perhaps with a minus sign
  bool next_is(std::string_view key) const;
  Status end();  // no fields are left

  ByteView signed_bytes() const { return as_bytes(text_); }
  const std::vector<TextSignature>& signatures() const { return signatures_; }
  const std::string& source() const { return source_; }
  // InvalidInput at the field read last.
  Error bad(std::string_view why) const;

 private:
  struct Line {
    std::string key;
    std::string value;
  };
  std::string source_;
  std::string text_;
  std::vector<Line> lines_;
  std::size_t next_ = 0;
  std::vector<TextSignature> signatures_;
};

// A field that is an id in hexadecimal.
template <typename AnyId>
Result<AnyId> id_field(TextReader& reader, std::string_view key) {
  auto id = AnyId::from_hex(TRY(reader.field(key)));
  if (!id.ok()) return reader.bad(id.error().message());
  return id;
}

// The single Ed25519 signature of a document, by a machine that signs under its role's name.
Result<crypto::Ed25519Signature> single_signature(const TextReader& reader, std::string_view signer);
// The same by a person, under their name.
Result<crypto::P384Signature> single_p384_signature(const TextReader& reader, std::string_view signer);

// `text` with `signature` by `signer` under it: the document.
std::string with_signature(std::string text, std::string_view signer, ByteView signature);

// The domain line of a document, for telling kinds apart; empty if it has none.
std::string_view domain_of(ByteView document);

}  // namespace exclave::format
