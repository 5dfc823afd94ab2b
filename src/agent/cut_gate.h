// CutGate: holds a database's acknowledgements for the moment of a cut.
// Hides: nothing but the rule; the stream asks before it reports a position, whoever takes part in a cut holds and releases.
//
//   hold() ----- the position reported last; nothing later is reported --- release(): Held, or Expired
//                until at most kLongestHold
//          ----- confirm(): the server's settings are those of before the hold --- admit(): it may be written down
//
// Why that is an instant: what depends on a commit began after the commit was acknowledged. If every database reports
// nothing between its hold and its release, and every release was answered Held, then whatever was acknowledged by one
// before its hold cannot depend on anything that another acknowledged after its own.
//
// I1  Between hold and release no later position is reported than the one that hold returned.
// I2  A hold ends by itself after kLongestHold, whether or not anybody releases it: commits never wait longer for a cut.
//     Then, and after the connection to the server broke, release says Expired, and the cut is void.
// I3  At most one hold in kHoldsApart.
// I4  Only a database takes part whose every acknowledgement is by vaults (not degraded), that waits for us, and that has
//     acknowledged all that its server had when it connected: after a crash of the server, transactions that waited then are
//     visible before anyone has them.
// I5  Nobody is believed that a cut was held here: only the one that was released last as Held and then confirmed is admitted,
//     at the position that it was held at, and once. That commits waited for the vaults all the time is known by the
//     settings, which are looked at now and then: confirm compares those from before the hold with those after it.
// Threads: any.
// Errors: Precondition (I4, I5), Conflict (held already, or I3).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "env/time.h"
#include "format/database_journal.h"
#include "pg/lsn.h"

namespace exclave::agent {

inline constexpr std::chrono::milliseconds kLongestHold(250);
inline constexpr std::chrono::seconds kHoldsApart(1);

enum class HoldEnd { Held, Expired };

struct HeldPosition {
  pg::Timeline timeline;
  pg::Lsn position;
  friend bool operator==(const HeldPosition&, const HeldPosition&) = default;
};

class CutGate {
 public:
  // `on_release`: called after a release, so that what was held back is reported at once.
  explicit CutGate(env::Clock& clock, std::function<void()> on_release = {})
      : clock_(clock), on_release_(std::move(on_release)) {}

  // --- the stream ---
  // Reports through `report(position)` what may be reported of `wanted`: it, or the held position. Under the gate's lock, so
  // that nobody holds between the decision and the report; `report` only writes to the server's socket.
  template <typename Report>
  Status pass(pg::Lsn wanted, Report&& report) {
    const MutexLock lock(mutex_);
    const pg::Lsn allowed = is_holding() ? position_ : wanted;
    TRY(report(allowed));
    position_ = allowed;
    return {};
  }
  bool is_held() {
    const MutexLock lock(mutex_);
    return is_holding();
  }
  // A connection begins: `server_end` is what the server had then; nothing has been reported on it yet.
  void connected(pg::Timeline timeline, pg::Lsn server_end);
  void disconnected();
  // What lies before `end` may be visible without having been acknowledged: commits did not wait for it.
  void unproven_below(pg::Lsn end);
  // No cut before that time: commits may not wait yet.
  void unproven_until(env::Instant time);
  // Whether acknowledgements are by vaults alone, and waited for, at this moment, and the vaults hold what was not.
  void set_trusted(bool trusted);
  // The server's settings were looked at: they are those that it loaded then (pg::ServerFacts::settings_loaded).
  void saw_settings(const std::string& loaded);

  // --- the cut ---
  Result<HeldPosition> hold(const format::CutId& cut);
  HoldEnd release(const format::CutId& cut);
  // Whether this is the cut that was released last as Held. Asked before anybody looks at the server for it.
  Status check_held(const format::CutId& cut);
  // The server was looked at after the release: its settings, and whether commits wait for us alone. Refused once, it stays so.
  Status confirm(const format::CutId& cut, const std::string& loaded, bool is_waited_for);
  Status admit(const format::CutId& cut, const HeldPosition& position);

 private:
  struct Hold {
    format::CutId cut;
    HeldPosition position;
    std::string settings;  // loaded when
  };
  bool is_holding() const REQUIRES(mutex_);
  Status look_for_held(const format::CutId& cut) const REQUIRES(mutex_);

  env::Clock& clock_;
  const std::function<void()> on_release_;
  Mutex mutex_;
  bool is_connected_ GUARDED_BY(mutex_) = false;
  bool is_trusted_ GUARDED_BY(mutex_) = false;
  pg::Timeline timeline_ GUARDED_BY(mutex_);
  pg::Lsn proven_from_ GUARDED_BY(mutex_);
  pg::Lsn position_ GUARDED_BY(mutex_);  // reported last
  std::string settings_ GUARDED_BY(mutex_);
  env::Instant settles_at_ GUARDED_BY(mutex_);
  std::optional<Hold> hold_ GUARDED_BY(mutex_);
  std::optional<Hold> held_ GUARDED_BY(mutex_);       // released as Held
  std::optional<Hold> confirmed_ GUARDED_BY(mutex_);  // and not admitted yet
  env::Instant until_ GUARDED_BY(mutex_);
  std::optional<env::Instant> last_hold_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent
