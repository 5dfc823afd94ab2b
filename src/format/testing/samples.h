// Samples: the fixed keys of testdata/format, sealing with them, and reading worked examples out of docs/formats.
// Hides: how fixed keys are made, and how pages fence examples.
//
//   key of a label := SHA-256("exclave format sample: " || label)
//
// I1  What is missing or empty stops the test run: a test never passes by reading nothing.
// Threads: pure.
#pragma once

#include <string>
#include <string_view>

#include "format/object.h"
#include "format/stream.h"

namespace exclave::format::testing {

inline crypto::Hash256 labelled(std::string_view label) {
  return crypto::sha256(as_bytes("exclave format sample: " + std::string(label)));
}
inline crypto::Secret<32> secret_of(std::string_view label) {
  return crypto::Secret<32>::from_view(labelled(label).view());
}
template <typename AnyId>
AnyId id_of(std::string_view label) {
  return AnyId::from_view(labelled(label).view().first(AnyId::kSize));
}

// 256 KiB: the size of every sample.
inline constexpr std::uint8_t kSampleClass = 18;

inline RealmId sample_realm() {
  return id_of<RealmId>("realm");
}
inline KeyId sample_key_id(std::uint32_t period = 3) {
  return {id_of<RegistryId>("registry"), EraNumber(1), PeriodNumber(period)};
}
inline OpeningKey sample_key(std::uint32_t period = 3) {
  return derive_opening_key(sample_key_id(period), secret_of("period secret " + std::to_string(period)));
}

// Seals `plain` (exactly plain_capacity(size_class) bytes); salt and ephemeral follow from `label`.
inline Bytes seal_sample(const OpeningKey& key, const RealmId& realm, std::uint8_t size_class, ByteView plain,
                         std::string_view label) {
  CHECK(plain.size() == plain_capacity(size_class));
  const HeaderBytes header = encode_header({size_class, key.id});
  const crypto::Secret<32> ephemeral = secret_of("ephemeral " + std::string(label));
  crypto::SegmentSalt salt{};
  std::copy_n(labelled("salt " + std::string(label)).view().begin(), salt.size(), salt.begin());
  auto cipher = sealing_cipher(sealing_half(key), realm, header, ephemeral, salt);
  CHECK(cipher.ok());
  Bytes object(header.begin(), header.end());
  append(object, crypto::x25519_public_key(ephemeral).view());
  append(object, salt);
  append(object, cipher.value().commitment());
  for (std::uint32_t index = 0; object.size() < object_bytes(size_class); ++index) {
    const std::size_t text = std::min(plain.size(), crypto::kSegmentPlainBytes);
    append(object, plain.first(text));
    object.resize(object.size() + crypto::kTagBytes);
    cipher.value().seal_segment(index, MutableByteView(object).last(text + crypto::kTagBytes));
    plain = plain.subspan(text);
  }
  CHECK(object.size() == object_bytes(size_class));
  return object;
}

// A file of the repository; defined in samples_test.cc, because only tests read files by themselves.
std::string repository_file(const std::string& path);
inline std::string page(const std::string& name) {
  return repository_file("docs/formats/" + name);
}

// The block that a page fences with "```<kind> <name>", as it stands, ending with LF.
inline std::string block_in(std::string_view page, std::string_view kind, std::string_view name) {
  const std::string begin = "\n```" + std::string(kind) + " " + std::string(name) + "\n";
  const std::size_t at = page.find(begin);
  CHECK(at != std::string_view::npos);
  const std::size_t from = at + begin.size();
  const std::size_t end = page.find("\n```\n", from);
  CHECK(end != std::string_view::npos);
  return std::string(page.substr(from, end + 1 - from));
}

// The bytes of a block of kind "hex": white space does not matter, and '#' begins a remark.
inline Bytes hex_in(std::string_view page, std::string_view name) {
  const std::string block = block_in(page, "hex", name);
  std::string digits;
  bool remark = false;
  for (const char c : block) {
    remark = c == '\n' ? false : remark || c == '#';
    if (!remark && c != '\n' && c != ' ') digits += c;
  }
  auto bytes = from_hex(digits);
  CHECK(bytes.ok() && !bytes.value().empty());
  return bytes.take();
}

// The value of the line "| name | `value` |" of a table.
inline std::string value_in(std::string_view text, std::string_view name) {
  const std::string begin = "\n| " + std::string(name) + " | `";
  const std::size_t at = text.find(begin);
  CHECK(at != std::string_view::npos);
  const std::size_t end = text.find('`', at + begin.size());
  CHECK(end != std::string_view::npos);
  return std::string(text.substr(at + begin.size(), end - at - begin.size()));
}

}  // namespace exclave::format::testing
