// NetworkControl: what a test does to the simulated network: partitions, cuts, delays.
// Hides: links and their bytes in flight (detail/fabric.h, which also tells what each end sees).
//
//   home ----- lux        partition("home", "lux"): both stay up, neither hears the other
//      \----- narva       isolate("home"): from everybody
//
// I1  A partition loses nothing by itself: what was under way waits. heal() delivers it or (seeded) resets the
//     connection; without heal the peers' deadlines pass.
// I2  Nothing here is an env call: no scheduling point, no virtual time.
// Threads: any actor, or the test itself. Preconditions: the named machines exist.
// See: docs/testing.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace exclave::sim {

namespace detail {
struct World;
}  // namespace detail

class NetworkControl {
 public:
  explicit NetworkControl(detail::World& world) : world_(world) {}
  NetworkControl(const NetworkControl&) = delete;
  NetworkControl& operator=(const NetworkControl&) = delete;

  void partition(std::string_view a, std::string_view b);
  // Only what `from` sends to `to` is held back. (New connections need both directions.)
  void block(std::string_view from, std::string_view to);
  void isolate(std::string_view name);  // from every machine that exists now
  void heal(std::string_view a, std::string_view b);
  void heal_all();

  // Resets each connection that exists between the two.
  void cut(std::string_view a, std::string_view b);
  // From now on, of writes: the connection breaks instead.
  void set_cuts_per_million(std::uint32_t rate);
  // From now on, one way, for each write and each half of a connection's making.
  void set_delay(std::chrono::nanoseconds min, std::chrono::nanoseconds max);
  // The same, on top of that, of whatever goes to or from one machine: a slow one beside quick ones. Stays.
  void set_delay_of(std::string_view machine, std::chrono::nanoseconds min, std::chrono::nanoseconds max);

 private:
  std::uint32_t id_of(std::string_view machine) const;

  detail::World& world_;
};

}  // namespace exclave::sim
