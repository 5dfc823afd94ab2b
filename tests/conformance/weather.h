// Weather: the work of a suite goes on through several lives of one machine, whose disk and power fail by a seed.
// Hides: what a seed makes of the weather, and how a life ends and the next one begins.
//
//   class Deposits final : public Tenant {                    // stands outside the machine: it remembers
//     void move_in(sim::Machine&) override;                   // calm, once
//     void work(sim::Machine&, Draws&) override;              // the code under test; each call may fail, the power too
//     Status check(sim::Machine&, Death) override;            // calm, after the life's end: which promise is broken?
//   };
//   expect_sound([] { return std::make_unique<Deposits>(); }, {.seeds = 40});
//
//   life := weather -> work -> death -> calm -> check
//   weather := clear | errors rain on reads, writes and syncs | a spell: some calls of one kind fail in a row | full disk
//   death   := the process ends by itself | power is lost at the end | it is killed, or power is lost, at a call amid the work
//
// I1  Same seed, same trace hash: expect_sound looks at it.
// I2  A tenant that is never promised anything proves nothing: expect_sound fails it. So too if a kind of death was not met
//     in all seeds together, or a kind of weather in no life in which the tenant was refused something.
// Threads: one test; work may start threads of the machine, which end before it does.
// See: docs/testing.md, sim/universe.h.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "sim/detail/seeded.h"
#include "sim/universe.h"
#include "tests/conformance/seeds.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::conformance {

using Draws = sim::detail::Rng;

enum class Death : std::uint8_t { None, Kill, PowerLoss };

class Tenant {
 public:
  virtual ~Tenant() = default;
  virtual void move_in(sim::Machine& machine) = 0;
  virtual void work(sim::Machine& machine, Draws& draws) = 0;
  virtual Status check(sim::Machine& machine, Death death) = 0;

  std::uint64_t refused() const { return refused_; }
  std::uint64_t promised() const { return promised_; }

 protected:
  // Counts what a call under weather came to; true if it succeeded.
  template <typename T>
  bool took(const Result<T>& result) {
    ++(result.ok() ? promised_ : refused_);
    return result.ok();
  }

 private:
  std::uint64_t refused_ = 0;
  std::uint64_t promised_ = 0;
};
using MakeTenant = std::function<std::unique_ptr<Tenant>()>;

struct Climate {
  std::uint64_t seeds = 40;            // of the short form (seeds.h)
  int lives = 6;                       // of each seed
  std::uint64_t many_calls = 200;      // about as many file calls as a life makes: where power fails amid one
  std::uint64_t room = 300'000;        // bytes that a full disk has left at most
  std::uint32_t cuts_per_million = 0;  // of connections, while there is work (sim/faults.h)
};

// One seed's lives.
class Weather {
 public:
  Weather(std::uint64_t seed, const Climate& climate, const MakeTenant& make)
      : climate_(climate),
        universe_(seed),
        machine_(universe_.machine("lux")),
        draws_(seed, "weather"),
        tenant_(make()) {}

  // Until the last life, or the first broken promise.
  Status live() {
    inside([&] {
      tenant_->move_in(machine_);
      return Status();
    });
    for (int life = 0; life < climate_.lives && broken_.ok(); ++life) {
      universe_.network().set_cuts_per_million(climate_.cuts_per_million);
      const std::string sky = change_sky();
      const Death doom = draw_doom();
      const std::uint64_t refused = tenant_->refused();
      inside([&] {
        tenant_->work(machine_, draws_);
        return Status();
      });
      if (tenant_->refused() > refused || sky == kClear) meet(sky);
      const Death death = end_life(doom);
      inside([&] { return tenant_->check(machine_, death); });
      if (!broken_.ok()) broken_ = broken_.take_error().in("life " + std::to_string(life));
    }
    return broken_;
  }

  const Tenant& tenant() const { return *tenant_; }
  const std::map<std::string, std::uint64_t>& met() const { return met_; }
  std::uint64_t trace_hash() const { return universe_.trace_hash(); }
  std::string recent_calls() const { return universe_.recent_calls(); }

 private:
  void inside(const std::function<Status()>& body) {
    if (!broken_.ok()) return;
    machine_.run([&] {
      try {
        broken_ = body();
      } catch (const BodyAbandoned&) {
        broken_ = Error(Code::Bug, "what the test itself needs failed, as told above");
      }
    });
  }

  // What it is called.
  std::string change_sky() {
    switch (draws_.below(5)) {
      case 0:
        return kClear;
      case 1:
      case 2: {
        const auto rate = [&] {
          return static_cast<std::uint32_t>(draws_.below(std::uint64_t{1} << draws_.below(17)));
        };
        const std::uint32_t reads = rate();
        const std::uint32_t writes = rate();
        machine_.set_fault_rates(
            {.reads_per_million = reads, .writes_per_million = writes, .syncs_per_million = rate()});
        return "rain";
      }
      case 3: {
        constexpr std::array kCalls = {sim::FileCall::Open,  sim::FileCall::Look,      sim::FileCall::Read,
                                       sim::FileCall::Write, sim::FileCall::Sync,      sim::FileCall::SyncDirectory,
                                       sim::FileCall::Name,  sim::FileCall::Attributes};
        const sim::FileCall call = kCalls.at(draws_.below(kCalls.size()));
        const Code code = call == sim::FileCall::Read ? Code::Corrupt : Code::Unavailable;  // as env says it
        const std::uint64_t nth = 1 + draws_.below(20);
        machine_.inject({.call = call, .nth = nth, .times = 1 + draws_.below(8), .code = code});
        return "spell";
      }
      default:
        machine_.disk().set_capacity_bytes(machine_.disk().used_bytes() + draws_.below(climate_.room));
        return "full disk";
    }
  }

  // The death that is to come amid the work.
  Death draw_doom() {
    if (!draws_.percent(60)) return Death::None;
    const std::uint64_t call = draws_.below(climate_.many_calls);
    if (draws_.percent(60)) {
      machine_.crash_at_call(call);
      return Death::PowerLoss;
    }
    machine_.kill_at_call(call);
    return Death::Kill;
  }

  Death end_life(Death doom) {
    Death death = Death::None;
    if (!machine_.is_up()) {
      meet(doom == Death::Kill ? "killed amid" : "power lost amid");
      death = doom;
    } else if (doom != Death::None || draws_.percent(50)) {  // an order to die at a call ends with the machine only
      meet("power lost at the end");
      machine_.crash();
      death = Death::PowerLoss;
    }
    machine_.clear_faults();
    universe_.network().set_cuts_per_million(0);
    machine_.disk().set_capacity_bytes(std::uint64_t{1} << 40);
    if (!machine_.is_up()) machine_.restart();
    return death;
  }

  void meet(const std::string& what) { ++met_[what]; }

  static constexpr const char* kClear = "clear";

  const Climate climate_;
  sim::Universe universe_;
  sim::Machine& machine_;
  Draws draws_;
  const std::unique_ptr<Tenant> tenant_;
  std::map<std::string, std::uint64_t> met_;
  Status broken_;
};

// Runs `seed` and adds up what it met; false if a promise was broken.
struct Met {
  std::map<std::string, std::uint64_t> weather = {{"clear", 0},
                                                  {"rain", 0},
                                                  {"spell", 0},
                                                  {"full disk", 0},
                                                  {"killed amid", 0},
                                                  {"power lost amid", 0},
                                                  {"power lost at the end", 0}};
  std::uint64_t refused = 0;
  std::uint64_t promised = 0;
};
inline bool lives_soundly(std::uint64_t seed, const Climate& climate, const MakeTenant& make, Met& met) {
  Weather weather(seed, climate, make);
  const Status lived = weather.live();
  EXPECT_TRUE(is_ok(lived)) << "seed " << seed << " (again: EXCLAVE_SIM_SEED=" << seed << ")\n"
                            << weather.recent_calls();
  for (const auto& [what, times] : weather.met()) met.weather.at(what) += times;
  met.refused += weather.tenant().refused();
  met.promised += weather.tenant().promised();
  return lived.ok();
}

inline void expect_same_lives(std::uint64_t seed, const Climate& climate, const MakeTenant& make) {
  Weather once(seed, climate, make);
  Weather again(seed, climate, make);
  EXPECT_TRUE(is_ok(once.live()) && is_ok(again.live()));
  EXPECT_EQ(once.trace_hash(), again.trace_hash()) << "seed " << seed;
}

inline void expect_sound(const MakeTenant& make, const Climate& climate) {
  Met met;
  if (const auto only = only_seed(); only.has_value()) {
    lives_soundly(*only, climate, make, met);
    return;
  }
  const Seeds seeds = Seeds::chosen(climate.seeds);
  for (std::uint64_t seed = seeds.first; seed < seeds.end; ++seed) {
    if (!lives_soundly(seed, climate, make, met)) return;
  }
  std::cout << met.promised << " calls kept their word, " << met.refused << " refused\n";
  EXPECT_GT(met.promised, met.refused) << "more weather than work";
  for (const auto& [what, times] : met.weather) EXPECT_GT(times, 0U) << "never met: " << what;
  expect_same_lives(seeds.first, climate, make);
}

}  // namespace exclave::conformance
