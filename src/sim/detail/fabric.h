// Fabric: the simulated network: listeners, links between machines, delays, cuts and partitions.
// Hides: what TCP does to bytes in flight when an end closes, dies or is cut off.
//
//   end 0 --pipe[0]--> end 1        a pipe is a queue of chunks, each with the time at which it arrives
//   end 0 <--pipe[1]-- end 1        at most Options.network.pipe_bytes in flight or unread
//
//   how an end goes          what the other end sees
//   shutdown, dropped        what was sent before, then the end of the stream; its later writes may vanish, then fail
//   dropped with unread data the same, or (seeded) a reset that destroys what was under way
//   process killed           one of the two above
//   power loss               silence; after the restart, its next write meets a reset
//   cut                      a reset
//   partition                silence; after heal, what was under way arrives, or (seeded) a reset
//
// Units: virtual nanoseconds.
// I1  Bytes arrive in order, once, and only while the two machines are not partitioned in that direction.
// Threads: the holder of the baton.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/detail/scheduler.h"

namespace exclave::sim::detail {

class MachineCore;
struct World;
enum class Death : std::uint8_t;

struct Chunk {
  std::int64_t arrives = 0;
  Bytes data;
  std::size_t read = 0;
};

struct Pipe {
  std::deque<Chunk> chunks;
  std::size_t bytes = 0;
  std::int64_t last_arrival = 0;
  bool closed = false;  // by its writer; seen after the last chunk
};

struct Link {
  MachineCore* machine[2] = {};
  std::uint64_t incarnation[2] = {};
  Pipe pipe[2];       // pipe[i] is written by end i
  bool shut[2] = {};  // end i called shutdown or was dropped
  bool reset = false;
  WaitList changed;
};
// Owned by its two ends (or the listener's backlog); the fabric only watches.
using LinkPtr = std::shared_ptr<Link>;

struct Port {
  std::deque<LinkPtr> backlog;
  bool closed = false;
  WaitList changed;
};

class Fabric {
 public:
  explicit Fabric(World& world);

  // --- for the control ---
  void block_direction(std::uint32_t from, std::uint32_t to) { blocked_.insert({from, to}); }
  void unblock(std::uint32_t a, std::uint32_t b);
  void unblock_all();
  void cut(std::uint32_t a, std::uint32_t b);
  void set_cuts_per_million(std::uint32_t rate) { cuts_per_million_ = rate; }
  struct Delay {
    std::int64_t min = 0;
    std::int64_t max = 0;
  };
  void set_delay(Delay delay);
  void set_delay_of(std::uint32_t machine, Delay delay);

  // --- for connections ---
  bool is_blocked(std::uint32_t from, std::uint32_t to) const { return blocked_.contains({from, to}); }
  std::int64_t draw_delay(std::uint32_t a, std::uint32_t b);
  std::size_t draw_transfer(std::size_t possible);  // 1..possible
  bool draw_cut() { return rng_.per_million(cuts_per_million_); }
  bool draw_coin() { return rng_.percent(50); }

  // Nullptr if somebody listens there already. Port 0: any free one, returned.
  std::pair<std::shared_ptr<Port>, std::uint16_t> listen(const MachineCore& machine, std::uint16_t port);
  void close(const MachineCore& machine, std::uint16_t port, Port& listener);
  std::shared_ptr<Port> find(const MachineCore& machine, std::uint16_t port) const;
  LinkPtr make_link(MachineCore& from, MachineCore& to);

  void reset(Link& link);
  void close_end(Link& link, unsigned end);
  void machine_died(MachineCore& machine, Death cause);
  WaitList& changed() { return changed_; }

 private:
  using Key = std::pair<std::uint32_t, std::uint16_t>;  // machine, port
  void heal(Link& link);
  std::vector<LinkPtr> links();

  World& world_;
  Rng rng_;
  std::int64_t draw(const Delay& delay);
  Delay delay_;
  std::map<std::uint32_t, Delay> delays_of_;  // by machine
  std::uint32_t cuts_per_million_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> blocked_;
  std::map<Key, std::shared_ptr<Port>> ports_;  // owned with the listener, until either closes it
  std::vector<std::weak_ptr<Link>> links_;      // in order of making
  WaitList changed_;                            // partitions, listeners, lives
};

}  // namespace exclave::sim::detail
