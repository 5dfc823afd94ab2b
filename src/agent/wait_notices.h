// WaitNotices: when the log of a database says that commits wait for vaults: not for a moment's wait, rarely during a long
// one, and once when it is over.
// Hides: nothing but arithmetic; no I/O, no clock.
//
//   oldest frame that waits:  none .. 5 s .......... 65 s ......... 125 s ... none, or younger than 5 s
//   told:                              Waits(5 s)     Waits(65 s)    Waits(125 s)   Over(130 s)
//
// I1  A wait is told when it has lasted kFirst, and then every kAgain; its end once, and only if it was told.
// I2  While what gathered behind it drains, the wait is not over: whatever waits is older than kFirst still.
// Threads: a value; one at a time.
#pragma once

#include <optional>
#include <string>

#include "env/time.h"
#include "spread/journal_writer.h"

namespace exclave::agent {

class WaitNotices {
 public:
  static constexpr std::chrono::seconds kFirst{5};
  static constexpr std::chrono::seconds kAgain{60};

  struct Notice {
    enum class Kind { Waits, Over };
    Kind kind = Kind::Waits;
    std::chrono::nanoseconds lasted{};
  };
  // `oldest`: since when the oldest frame waits.
  std::optional<Notice> look(env::Instant now, std::optional<env::Instant> oldest);

 private:
  struct Told {
    env::Instant since;
    env::Instant last;
  };
  std::optional<Told> told_;
};

// For the log. `needed`: how many vaults (k) have to hold a frame.
std::string in_words(const WaitNotices::Notice& notice, const spread::JournalProgress& journal, std::uint32_t needed);

}  // namespace exclave::agent
