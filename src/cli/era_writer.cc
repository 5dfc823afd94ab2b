#include "cli/era_writer.h"

#include <map>
#include <vector>

#include "base/text.h"
#include "cli/folders.h"
#include "crypto/hash.h"
#include "env/exists.h"

namespace exclave::cli {
namespace {

constexpr std::string_view kAnotherDisk = "hold the ceremony on another disk";
// Instead of a file's hash: of keys nothing is noted but what their era publishes.
constexpr std::string_view kKeysNote = "dedup-check=";

// One file of an era, by its path in the realm directory.
struct EraPart {
  std::string path;
  ByteView content;  // of the ceremony's result
  std::uint32_t mode;
};

std::vector<EraPart> parts_of(const std::string& registry, const custody::CeremonyResult& result) {
  const policy::Era& era = result.era.era;
  std::vector<EraPart> parts;
  for (const custody::ShareLeafFile& leaf : result.leaves) {
    const std::string official = env::join_path("officials", leaf.official);
    parts.push_back({official + "/share-book/" + custody::leaf_file_name(era.registry, era.number),
                     as_bytes(leaf.document), env::kPrivateFile});
    // Without the document no official could approve a release of what this leaf opens.
    parts.push_back({env::join_path(acts_folder(official), era_act_name(registry, era.number)),
                     as_bytes(result.era.document), 0644});
  }
  return parts;
}

std::string keys_path(const std::string& keeper, const std::string& registry, format::EraNumber era) {
  return env::join_path(keeper + "/" + registry, era_keys_name(era));
}

std::string keys_note(const policy::DedupCheck& check) {
  return std::string(kKeysNote) + check.hex();
}

// What a mark notes: hashes by paths, and a note of keys.
using Mark = std::map<std::string, std::string, std::less<>>;

std::string mark_path(const std::string& realm_directory, const std::string& registry, format::EraNumber era) {
  return env::join_path(realm_directory,
                        "ceremony/era-" + registry + "-" + std::to_string(era.value()) + ".unfinished");
}

// Empty if there is none. A line that means nothing speaks for no file, which is then refused.
Result<Mark> read_mark(env::FileSystem& files, const std::string& path) {
  auto text = read_document(files, path);
  if (!text.ok() && text.error().code() == Code::NotFound) return Mark();
  const Bytes bytes = TRY(std::move(text));
  Mark mark;
  for (const std::string_view line : split(as_text(bytes), '\n')) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space + 1 == line.size()) continue;
    mark.emplace(line.substr(space + 1), line.substr(0, space));
  }
  return mark;
}

Status write_mark(env::FileSystem& files, const std::string& path, const std::vector<EraPart>& parts,
                  const std::string& keys, const policy::Era& era) {
  std::string text;
  for (const EraPart& part : parts) text += crypto::sha256(part.content).hex() + " " + part.path + "\n";
  text += keys_note(era.dedup_check) + " " + keys + "\n";
  return env::replace_file_durably(files, path, as_bytes(text), env::kPrivateFile);
}

// Whether the file holds the keys of the note. What cannot be read as keys, no run left: they get their name whole.
Result<bool> are_keys_of_note(env::FileSystem& files, const std::string& path, const std::string& note) {
  auto keys = custody::read_agent_keys(files, path);
  if (keys.ok()) return keys_note(policy::check_of_dedup(keys.value().dedup.view())) == note;
  const Code code = keys.error().code();
  if (code == Code::InvalidInput || code == Code::Precondition) return false;
  return keys.take_error();
}

// Whether the run of this mark wrote the file, which exists.
Result<bool> is_left_by(env::FileSystem& files, const std::string& realm_directory, const Mark& mark,
                        const std::string& path) {
  const auto noted = mark.find(path);
  if (noted == mark.end()) return false;
  const std::string whole = env::join_path(realm_directory, path);
  if (noted->second.starts_with(kKeysNote)) return are_keys_of_note(files, whole, noted->second);
  return crypto::sha256(TRY(read_document(files, whole))).hex() == noted->second;
}

Status check_is_free(env::FileSystem& files, const std::string& realm_directory, const Mark& mark,
                     const std::string& path, const std::string& act) {
  const std::string whole = env::join_path(realm_directory, path);
  if (!TRY(env::exists(files, whole))) return {};
  if (TRY(is_left_by(files, realm_directory, mark, path))) return {};
  return Error(Code::AlreadyExists,
               "'" + printable(whole) + "' is there already, of an era that ceremony/acts does not know")
      .hint("go on with the copy of ceremony/ that opened it, or bring acts/" + act +
            " from there; nothing of this era was written");
}

// Only what the mark speaks for, and drafts.
Status remove_left(env::FileSystem& files, const std::string& realm_directory, const Mark& mark) {
  for (const auto& [path, noted] : mark) {
    const std::string whole = env::join_path(realm_directory, path);
    if (!TRY(env::exists(files, env::parent_path(whole)))) continue;
    // Also beside a file that stays: a draft of keys is a secret that nobody looks after.
    TRY(files.remove_temporaries(env::parent_path(whole)));
    if (TRY(env::exists(files, whole)) && !TRY(is_left_by(files, realm_directory, mark, path))) continue;
    TRY(remove_durably(files, whole));
  }
  return {};
}

enum class MadeBy : std::uint8_t { ThisCeremony, AnotherOne };

// Who left the mark that bears the number of an era that counts. Corrupt if its lines do not tell.
Result<MadeBy> maker_of(const Mark& mark, const policy::SignedEra& era, const std::string& path) {
  const std::string document = era.hash.hex();
  const std::string keys = keys_note(era.era.dedup_check);
  bool is_of_another = false;
  for (const auto& [file, noted] : mark) {
    if (noted == document || noted == keys) return MadeBy::ThisCeremony;
    is_of_another = is_of_another || noted.starts_with(kKeysNote);
  }
  if (is_of_another) return MadeBy::AnotherOne;
  return Error(Code::Corrupt, "'" + printable(path) + "' does not say which ceremony it is of")
      .hint(
          "if the officials' acts/ have the same document of this era as ceremony/acts, carry its files to their "
          "keepers; otherwise remove its files; then remove the mark");
}

Status write_and_read_back(env::FileSystem& files, const std::string& path, const EraPart& part) {
  TRY(files.make_directories(env::parent_path(path), env::kPrivateDirectory));
  TRY(env::create_file_durably(files, path, part.content, part.mode));
  const auto read = files.read_file(path, part.content.size());
  if (read.ok() && equal(read.value(), part.content)) return {};
  if (!read.ok() && read.error().code() != Code::Exhausted) return read.error();
  // No mark speaks for what it holds now.
  ignore(remove_durably(files, path), "the error that follows says more");
  return Error(Code::Corrupt, "'" + printable(path) + "' does not hold what was written to it")
      .hint(std::string(kAnotherDisk));
}

// An agent would seal for years under keys that a disk or a hand had changed on the way.
Status write_keys_and_read_back(env::FileSystem& files, const std::string& path,
                                const custody::CeremonyResult& result) {
  TRY(custody::write_agent_keys(files, path, result.agent_keys));
  auto read = custody::read_agent_keys(files, path);
  if (!read.ok() && read.error().code() != Code::InvalidInput) return read.take_error();
  const bool is_whole = read.ok() && read.value().periods.size() == result.era.era.periods.size();
  if (is_whole && custody::check_agent_keys(read.value(), result.era.era, path).ok()) return {};
  // No mark speaks for what it holds now.
  ignore(remove_durably(files, path), "the error that follows says more");
  return Error(Code::Corrupt, "'" + printable(path) + "' does not hold what was written to it")
      .hint(std::string(kAnotherDisk));
}

}  // namespace

Status begin_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                 const std::string& keeper, const custody::CeremonyResult& result) {
  const format::EraNumber number = result.era.era.number;
  const std::string act = era_act_name(registry, number);
  const std::string keys = keys_path(keeper, registry, number);
  const std::vector<EraPart> parts = parts_of(registry, result);
  const std::string path = mark_path(realm_directory, registry, number);
  const Mark mark = TRY(read_mark(files, path));
  for (const EraPart& part : parts) TRY(check_is_free(files, realm_directory, mark, part.path, act));
  TRY(check_is_free(files, realm_directory, mark, keys, act));
  // Home is given the document only after the ceremony's acts: no run that was interrupted before left it.
  TRY(check_is_free(files, realm_directory, mark, env::join_path(acts_folder("home/" + registry), act), act));
  TRY(remove_left(files, realm_directory, mark));
  return write_mark(files, path, parts, keys, result.era.era);
}

Status write_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                 const std::string& keeper, const custody::CeremonyResult& result) {
  for (const EraPart& part : parts_of(registry, result)) {
    TRY(write_and_read_back(files, env::join_path(realm_directory, part.path), part));
  }
  const std::string keys = env::join_path(realm_directory, keys_path(keeper, registry, result.era.era.number));
  TRY(files.make_directories(env::parent_path(keys), env::kPrivateDirectory));
  return write_keys_and_read_back(files, keys, result);
}

Result<bool> is_unsettled(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                          const policy::SignedEra& era) {
  const std::string path = mark_path(realm_directory, registry, era.era.number);
  if (!TRY(env::exists(files, path))) return false;
  return TRY(maker_of(TRY(read_mark(files, path)), era, path)) == MadeBy::ThisCeremony;
}

Status settle_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                  const policy::SignedEra& era) {
  const std::string path = mark_path(realm_directory, registry, era.era.number);
  if (!TRY(env::exists(files, path))) return {};
  const Mark mark = TRY(read_mark(files, path));
  if (TRY(maker_of(mark, era, path)) == MadeBy::AnotherOne) {
    // Its leaves fit no document that counts: carried to the officials, they would take the place of the right ones.
    TRY(remove_left(files, realm_directory, mark));
  }
  return remove_durably(files, path);
}

}  // namespace exclave::cli
