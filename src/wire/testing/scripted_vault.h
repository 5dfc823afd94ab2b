// Scripted vault: the other end of an HttpVault as a test wants it: lying, silent, vanishing. Plain transport.
//
//   request 1 -> answer 1, request 2 -> answer 2, ...      one connection after the other; 500 when the script has
//   ended
#pragma once

#include <deque>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "env/env.h"
#include "http/server.h"
#include "wire/testing/plain_transport.h"

namespace exclave::wire::testing {

class ScriptedVault {
 public:
  struct Answer {
    int status = 200;
    std::string body = {};
    http::Headers headers = {};
    bool vanishes = false;  // takes the request, and cuts the connection
  };
  struct Request {
    std::string line;
    std::uint64_t body_bytes = 0;
  };

  ScriptedVault(env::Env env, const crypto::Ed25519PublicKey& identity)
      : env_(env), identity_(identity), listener_(env.network.listen("127.0.0.1:0").take()) {
    thread_ = env_.threads.start("scripted vault", [this] { serve(); }).take();
  }
  ~ScriptedVault() {
    listener_->close();
    thread_->join();
  }
  ScriptedVault(const ScriptedVault&) = delete;
  ScriptedVault& operator=(const ScriptedVault&) = delete;

  std::string address() const { return listener_->address(); }
  void will(Answer answer) { script_.push_back(std::move(answer)); }
  void will_say(std::string body) { will({.body = std::move(body)}); }
  std::vector<Request> requests;  // what came; read it between calls

 private:
  void serve() {
    PlainTransport transport(identity_);
    for (;;) {
      auto bare = listener_->accept();
      if (!bare.ok()) return;
      auto peer = transport.accept(bare.take(), env_.clock.monotonic() + std::chrono::seconds(5));
      if (!peer.ok()) continue;
      std::stop_source stop;
      const http::Handler handler = [&](const http::RequestHead& head, http::BodyReader& body) {
        return answer(head, body, stop);
      };
      ignore(http::serve_connection(*peer.value().connection, env_.clock, {}, handler, stop.get_token()), "scripted");
    }
  }

  Result<http::Response> answer(const http::RequestHead& head, http::BodyReader& body, std::stop_source& stop) {
    const Bytes received = TRY(body.read_all(head.content_length));
    requests.push_back({head.method + " " + head.target, received.size()});
    if (script_.empty()) return Error(Code::Bug, "the script has ended");
    Answer next = std::move(script_.front());
    script_.pop_front();
    if (next.vanishes) stop.request_stop();
    http::Response response = http::text_response(next.status, next.body);
    for (const http::Header& line : next.headers.lines()) response.headers.add(line.name, line.value);
    if (next.vanishes) response.body = std::make_unique<Nothing>();
    return response;
  }

  // A body that ends before it begins: the connection is cut in the middle of the answer.
  class Nothing final : public http::BodySource {
    std::uint64_t size() const override { return 1'000; }
    Result<std::size_t> read(MutableByteView) override { return std::size_t{0}; }
  };

  env::Env env_;
  const crypto::Ed25519PublicKey identity_;
  const std::unique_ptr<env::Listener> listener_;
  std::deque<Answer> script_;
  std::unique_ptr<env::Thread> thread_;
};

}  // namespace exclave::wire::testing
