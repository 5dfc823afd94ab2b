// LeftSpools: the journals of a database that lie in their spools, and what of them the vaults have by now.
// Hides: the folders' names; which of them stay although nothing is in them.
//
//   FOLDER/<start>/    a journal's spool; <start>: its place in the order of all journals
//
//   --use--> in use --leave--> left --recover--> ... --every vault has all: empty--> removed
//                                                              '-- awaited: stays until it is not any more
//
// I1  The journal in use is left alone.
// I2  is_held() says so only when k vaults have all that the journal's spool holds, and that is at least what is asked for. A
//     spool that is not there says nothing.
// I3  The folder of an awaited journal stays, empty, when every vault has all of it: that tells the next run so. A spool
//     that has less than what is awaited stays as it is. That, and one that is awaited and not there, is a trouble.
// I4  A spool that cannot be read holds up no other one.
// Threads: recover by one; the rest from any.
// Errors: recover tells them for people.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/stream_memory.h"
#include "base/mutex.h"
#include "spread/journal_writer.h"

namespace exclave::agent {

class LeftSpools {
 public:
  // `files` outlives it.
  LeftSpools(env::FileSystem& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

  std::string path_of(std::uint64_t start) const;
  // By their start. NotFound is none.
  Result<std::vector<std::uint64_t>> starts() const;

  // --- the journal that is written ---
  void use(std::uint64_t start);
  // It has ended, or did not come to be. `awaited`: from now on as well.
  void leave(const std::vector<ExposedJournal>& awaited);
  std::optional<std::uint64_t> in_use() const;

  // --- of journals that have ended ---
  // These, and no others. Before it is called, every folder stays.
  void await_only(const std::vector<ExposedJournal>& journals);
  bool is_held(const ExposedJournal& journal) const;

  struct Vaults {
    const spread::JournalWriter::World& world;
    const std::vector<store::VaultApi*>& all;
    const crypto::Ed25519SigningKey& writer;
    std::uint32_t durable_copies = 1;  // k
  };
  // Brings what is left to the vaults that lack it, the oldest first. What stands in the way, the gravest first, and once for
  // all spools that wait for the same. Before it is known what is awaited, the vaults get all of it, and nothing leaves its
  // spool.
  std::vector<std::string> recover(const Vaults& vaults);

 private:
  struct Standing {
    std::string losses;   // of the spool
    std::string reasons;  // of vaults
  };
  Result<Standing> recover_one(const Vaults& vaults, std::uint64_t start);
  // `frames`: so many that k vaults hold; nullopt: there is nothing.
  void note(std::uint64_t start, std::optional<std::uint64_t> frames);
  std::optional<std::uint64_t> awaited_of(std::uint64_t start) const;  // frames; 0: nobody awaits it; none: not known
  bool stays(std::uint64_t start) const;
  std::vector<std::string> missing() const;

  env::FileSystem& files_;
  const std::string folder_;

  mutable Mutex mutex_;
  std::optional<std::uint64_t> in_use_ GUARDED_BY(mutex_);
  std::optional<std::map<std::uint64_t, std::uint64_t>> awaited_ GUARDED_BY(mutex_);  // by start: frames
  std::map<std::uint64_t, std::uint64_t> held_ GUARDED_BY(mutex_);                    // the same
};

}  // namespace exclave::agent
