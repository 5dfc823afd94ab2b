// Configuration: a TOML text as typed values that know their line, and a check that nothing in it was overlooked.
// Hides: the TOML library.
//
//   auto config = TRY(parse_toml(text, "vault.toml"));          Section, the root
//   settings.listen = TRY(config->require_string("vault.listen"));
//   settings.quota = TRY(config->optional_size("vault.quota")).value_or(20'000'000'000);
//   for (Section* peer : TRY(config->sections("peer"))) settings.peers.push_back(TRY(read_peer(*peer)));   // [[peer]]
//   TRY(config->finish());                                      refuses every key that nobody asked for
//
// A path is keys joined by dots: "vault.listen" is key `listen` of table `vault`. Keys that hold a dot cannot be
// reached so; tables with free names are listed by named_sections.
// Units/limits: a text of at most 1 MiB; sizes in bytes, durations in milliseconds (quantity.h).
// I1  An error about a value names source, line and full path: "vault.toml:12: vault.listen must be a string, not an
//     integer". It shows values of numbers, sizes and durations only: strings may be secrets.
// I2  finish() fails if the text holds a key that was never asked for; it names the nearest one that was. So asking is
//     what makes a key known: ask for everything, in one place, then finish. Whoever judges what was read only behind that
//     tells a misspelt key before what is missing because of it.
// Threads: one thread.
// Errors: InvalidInput (syntax, wrong type, out of range, missing, unknown key).
// Source: TOML 1.0; ADR-0013.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace exclave::config {

inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

struct Bounds {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::int64_t>::max();  // TOML's integers end there
};

class Section {
 public:
  // Made by parse_toml and its builder only.
  struct Value;
  Section(std::string source, std::string path, std::uint32_t line);
  ~Section();
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  Result<std::string> require_string(std::string_view path);
  Result<std::optional<std::string>> optional_string(std::string_view path);
  Result<std::uint64_t> require_u64(std::string_view path, const Bounds& bounds = {});
  Result<std::optional<std::uint64_t>> optional_u64(std::string_view path, const Bounds& bounds = {});
  Result<bool> require_bool(std::string_view path);
  Result<std::optional<bool>> optional_bool(std::string_view path);
  Result<std::uint64_t> require_size(std::string_view path);
  Result<std::optional<std::uint64_t>> optional_size(std::string_view path);
  Result<std::chrono::milliseconds> require_duration(std::string_view path);
  Result<std::optional<std::chrono::milliseconds>> optional_duration(std::string_view path);
  // An array of strings; empty if absent.
  Result<std::vector<std::string>> strings(std::string_view path);

  // Tables within. The pointers are owned by the root and live as long as it; none is null.
  Result<Section*> require_section(std::string_view path);
  Result<std::vector<Section*>> sections(std::string_view path);  // [[path]]; empty if absent
  // [path.NAME] for every NAME, sorted; empty if absent.
  Result<std::vector<std::pair<std::string, Section*>>> named_sections(std::string_view path);

  // For errors that the reader of a value finds: "vault.toml:12: vault.listen MESSAGE". The table's own line if absent.
  Error error_at(std::string_view path, std::string_view message) const;

  Status finish() const;

 private:
  friend class SectionBuilder;

  struct Found {
    Section* section = nullptr;  // that holds, or would hold, the last key of the path
    std::string key;
    const Value* value = nullptr;  // null: absent
  };
  Result<Found> find(std::string_view path);
  Error wrong_type(const Found& found, std::string_view wanted) const;
  Error missing(std::string_view path) const;
  std::string full_path(std::string_view key) const;
  const Value* look_up(std::string_view path) const;
  Error unknown_key(const std::string& key, const Value& value) const;

  const std::string source_;
  const std::string path_;  // "" for the root
  const std::uint32_t line_;
  std::map<std::string, std::unique_ptr<Value>, std::less<>> values_;
  std::set<std::string, std::less<>> known_;  // asked for, present or not
};

// `source_name` is put before every message; usually the file's path.
Result<std::unique_ptr<Section>> parse_toml(std::string_view text, std::string_view source_name);

}  // namespace exclave::config
