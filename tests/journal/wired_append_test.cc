// Direct appends as the agent wires them: vaults' daemons behind TLS, a waker, real threads. A wake-up that gets lost leaves a
// commit to a lane, which looks after half a second; so does a machine that stands still, now and then.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "tests/conformance/worlds.h"
#include "tests/journal/journal_bench.h"
#include "wire/http_vault.h"
#include "wire/server.h"
#include "wire/transport.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kCommits = 200;
constexpr int kMostByLanes =
    kCommits / 4;  // an answer that a busy machine hears late is its lane's; else there are none

// A vault's daemon and the writer's client of it.
class WiredVault {
 public:
  WiredVault(env::Env env, VaultHost& host)
      : transport_(wire::make_tls_transport(
            tls::Identity::from_key(policy::testing::machine_key(host.entry().name + " identity")))),
        server_(must(wire::Server::start({env.clock, env.log, env.threads}, must(env.network.listen("127.0.0.1:0")),
                                         *transport_, host.vault()))),
        writers_transport_(wire::make_tls_transport(tls::Identity::from_key(keys().writer()))),
        client_(wire::HttpVault::World{env.clock, env.random, env.network, env.threads}, *writers_transport_,
                reached_at(host, server_->address()), keys().policy().realm, wire::HttpVaultOptions{.connections = 2}) {
  }

  store::VaultApi& client() { return client_; }
  void stop(env::Instant deadline) { server_->stop(deadline); }

 private:
  static policy::VaultEntry reached_at(const VaultHost& host, const std::string& address) {
    policy::VaultEntry entry = host.entry();
    entry.address = address;
    return entry;
  }
  const std::unique_ptr<wire::Transport> transport_;
  const std::unique_ptr<wire::Server> server_;
  const std::unique_ptr<wire::Transport> writers_transport_;
  wire::HttpVault client_;
};

class WiredWriter {
 public:
  WiredWriter(env::Env env, JournalBench& bench) : clock_(env.clock), waker_(must(env.network.make_waker())) {
    std::vector<store::VaultApi*> all;
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i) {
      vaults_.push_back(std::make_unique<WiredVault>(env, bench.host(i)));
      all.push_back(&vaults_.back()->client());
    }
    auto options = bench.options();
    options.classes.first = 22;  // no segment is opened ahead or closed meanwhile
    options.mark_every = 1h;
    options.sends_directly = true;
    options.waker = waker_.get();
    options.on_news = [this] {
      ++told_by_lanes_;
      waker_->wake();
    };
    writer_ = must(spread::JournalWriter::open(
        bench.world(), all, JournalBench::stream_named("wired"), keys().writer(),
        [this]() -> Result<const format::SealingKey*> { return &agent_.periods.at(3); }, options));
    // The lanes open the segment and rest.
    must(writer_->wait_beyond(must(writer_->append(content_of(0, 100))), bench.in(1min)));
    while (std::ranges::any_of(writer_->progress().vaults, [](const auto& vault) { return vault.frames == 0; })) {
      must(env.clock.sleep_until(bench.in(1ms)));
    }
    must(env.clock.sleep_until(bench.in(100ms)));
    told_by_lanes_ = 0;
  }

  spread::JournalWriter& writer() { return *writer_; }
  env::Waker& waker() { return *waker_; }
  WiredVault& vault(std::size_t i) { return *vaults_.at(i); }

  // Until so many frames are durable; no test hangs for it.
  [[nodiscard]] bool wait_until(std::uint64_t frames) {
    const env::Instant deadline = clock_.monotonic() + 1min;
    while (writer_->durable() < frames) {
      waker_->wait(10s);
      writer_->take_answers();
      if (clock_.monotonic() > deadline) return false;
    }
    return true;
  }
  int told_by_lanes() const { return told_by_lanes_; }

 private:
  env::Clock& clock_;
  const custody::AgentKeys agent_ = keys().agent_keys();
  const std::unique_ptr<env::Waker> waker_;
  std::atomic<int> told_by_lanes_{0};
  std::vector<std::unique_ptr<WiredVault>> vaults_;
  std::unique_ptr<spread::JournalWriter> writer_;
};

void with_wired_writer(const std::function<void(JournalBench&, WiredWriter&)>& body) {
  const auto world = conformance::real_world().make();
  world->run([&](env::Env env) {
    try {
      JournalBench bench(env, world->directory());
      WiredWriter wired(env, bench);
      body(bench, wired);
    } catch (const conformance::BodyAbandoned&) {
      SUCCEED() << "the failure is already recorded";
    }
  });
}

TEST(WiredAppend, who_appends_is_woken_by_the_answers) {
  with_wired_writer([](JournalBench& bench, WiredWriter& wired) {
    for (std::uint64_t next = 1; next <= kCommits; ++next) {
      must(wired.writer().append(content_of(next, 100 + next * 7)));
      ASSERT_TRUE(wired.wait_until(next + 1));
    }
    EXPECT_LE(wired.told_by_lanes(), kMostByLanes);
    EXPECT_TRUE(is_ok(wired.writer().finish(bench.in(1min))));
    for (const auto& vault : wired.writer().progress().vaults) EXPECT_EQ(vault.frames, kCommits + 1) << vault.vault;
  });
}

TEST(WiredAppend, who_waits_is_woken_by_answers_to_what_another_thread_appends) {
  with_wired_writer([](JournalBench& bench, WiredWriter& wired) {
    std::atomic<std::uint64_t> allowed{0};  // the last frame that may be appended
    auto appender = must(bench.env().threads.start("appender", [&] {
      for (std::uint64_t next = 1; next <= kCommits; ++next) {
        if (allowed < next) allowed.wait(next - 1);
        if (!is_ok(wired.writer().append(content_of(next, 100 + next * 7)))) return;
      }
    }));
    for (std::uint64_t next = 1; next <= kCommits; ++next) {
      allowed = next;
      allowed.notify_one();
      if (wired.wait_until(next + 1)) continue;
      ADD_FAILURE() << "frame " << next << " does not become durable";
      break;
    }
    allowed = kCommits;
    allowed.notify_one();
    appender->join();
    EXPECT_LE(wired.told_by_lanes(), kMostByLanes);
    EXPECT_TRUE(is_ok(wired.writer().finish(bench.in(1min))));
  });
}

TEST(WiredAppend, answers_are_heard_by_who_is_too_busy_to_wait) {
  with_wired_writer([](JournalBench& bench, WiredWriter& wired) {
    for (std::uint64_t next = 1; next <= kCommits; ++next) {
      must(wired.writer().append(content_of(next, 1000)));
      const env::Instant deadline = bench.in(1min);
      while (wired.writer().durable() <= next && bench.env().clock.monotonic() < deadline)
        wired.writer().take_answers();  // as long as the server sends, nobody waits, and so nobody clears the waker
      ASSERT_GT(wired.writer().durable(), next);
      ASSERT_LE(wired.told_by_lanes(), kMostByLanes);
    }
  });
}

TEST(WiredAppend, who_waits_is_woken_by_the_other_vaults_when_one_is_gone) {
  with_wired_writer([](JournalBench& bench, WiredWriter& wired) {
    wired.vault(0).stop(bench.in(1s));
    for (std::uint64_t next = 1; next <= kCommits / 4; ++next) {
      must(wired.writer().append(content_of(next, 1000)));
      ASSERT_TRUE(wired.wait_until(next + 1));
    }
    EXPECT_LE(wired.told_by_lanes(), kMostByLanes);
  });
}

}  // namespace
}  // namespace exclave::journal_tests
