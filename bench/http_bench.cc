// HTTP over mutual TLS over loopback: throughput, and core-seconds per GB at either end. Bodies stay in memory.
//
//   http_bench [bodies]          each of 16 MiB; default 128 (2 GiB each way)
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/text.h"
#include "http/client.h"
#include "http/server.h"
#include "posix/network.h"
#include "posix/threads.h"
#include "posix/time.h"
#include "tls/secure_connection.h"

namespace exclave {
namespace {

constexpr std::size_t kBodyBytes = 16 * 1024 * 1024;

double thread_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

tls::Identity identity(Byte fill) {
  crypto::Secret<32> seed;
  std::fill(seed.mutable_view().begin(), seed.mutable_view().end(), fill);
  return tls::Identity::from_key(crypto::Ed25519SigningKey::from_seed(seed));
}

class Zeros final : public http::BodySource {
 public:
  std::uint64_t size() const override { return kBodyBytes; }
  Result<std::size_t> read(MutableByteView out) override { return out.size(); }
};

Result<http::Response> handle(const http::RequestHead& head, http::BodyReader& body) {
  http::Response response;
  if (head.method == "GET") {
    response.body = std::make_unique<Zeros>();
    return response;
  }
  Bytes piece(64 * 1024);
  while (!body.is_done()) TRY(body.read(piece));
  response.status = 201;
  return response;
}

struct Mark {
  env::Instant at;
  double client_cpu = 0;
  double server_cpu = 0;
};

Status run(std::size_t bodies) {
  posix::Clock clock;
  posix::Network network;
  posix::Threads threads;
  const auto soon = [&] { return clock.monotonic() + std::chrono::seconds(10); };
  const tls::Identity client_identity = identity(1), server_identity = identity(2);
  const auto listener = TRY(network.listen("127.0.0.1:0"));
  const http::Limits limits;
  // Set by the handler between requests, read by the client between requests: the answer orders the two.
  double server_cpu = 0;
  const http::Handler measuring = [&](const http::RequestHead& head, http::BodyReader& body) {
    if (head.target == "/mark") server_cpu = thread_cpu_seconds();
    return head.target == "/mark" ? Result<http::Response>(http::Response()) : handle(head, body);
  };
  const auto server = threads.start("server", [&] {
    auto accepted = listener->accept();
    auto secured = tls::accept(accepted.take(), server_identity, soon());
    const std::stop_source never;
    ignore(http::serve_connection(*secured.value(), clock, limits, measuring, never.get_token()), "the client ends it");
  });
  auto raw = TRY(network.connect(listener->address(), soon()));
  http::Client client(TRY(tls::connect(std::move(raw), client_identity, server_identity.key(), soon())), clock, limits);
  const auto mark = [&]() -> Result<Mark> {
    TRY(client.request("HEAD", "/mark", {}, {}));
    return Mark{clock.monotonic(), thread_cpu_seconds(), server_cpu};
  };
  const auto report = [&](std::string_view what, const Mark& begin, const Mark& end) {
    const double gigabytes = static_cast<double>(bodies * kBodyBytes) / 1e9;
    const double seconds = std::chrono::duration<double>(end.at - begin.at).count();
    const double client_cost = (end.client_cpu - begin.client_cpu) / gigabytes;
    const double server_cost = (end.server_cpu - begin.server_cpu) / gigabytes;
    fmt::print("{:<14} {:7.0f} MB/s   client {:.2f}  server {:.2f}  both {:.2f} core-s/GB\n", what,
               gigabytes * 1e3 / seconds, client_cost, server_cost, client_cost + server_cost);
  };
  Bytes body(kBodyBytes, 0x5a);
  const Mark begin = TRY(mark());
  for (std::size_t i = 0; i < bodies; ++i) TRY(client.request("PUT", "/object", {}, body));
  const Mark middle = TRY(mark());
  for (std::size_t i = 0; i < bodies; ++i) {
    TRY(client.request("GET", "/object", {}, {}));
    TRY(client.read_body_into(body));
  }
  const Mark end = TRY(mark());
  report("PUT 16 MiB", begin, middle);
  report("GET 16 MiB", middle, end);

  for (const std::size_t size : {200U, 16'384U, 65'536U}) {
    std::vector<std::int64_t> times;
    for (int i = 0; i < 2000; ++i) {
      const env::Instant sent = clock.monotonic();
      TRY(client.request("PUT", "/object", {}, ByteView(body).first(size)));
      times.push_back((clock.monotonic() - sent).count());
    }
    std::nth_element(times.begin(), times.begin() + 1000, times.end());
    fmt::print("PUT {:<10} {:7.1f} us median, request to answer\n", size, static_cast<double>(times[1000]) / 1e3);
  }
  client.shutdown();
  return {};
}

}  // namespace
}  // namespace exclave

int main(int argc, char** argv) {
  const std::size_t bodies = argc > 1 ? static_cast<std::size_t>(std::strtoul(argv[1], nullptr, 10)) : 128;
  const exclave::Status done = exclave::run(bodies);
  if (!done.ok()) fmt::print(stderr, "http_bench: {}\n", done.error().message());
  return done.ok() ? 0 : 1;
}
