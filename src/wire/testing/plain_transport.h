// Plain transport: for simulations and tests only. Each end says who it is in a first line and is believed.
//
//   client -> server   "plain " own key, hex " " expected key, hex LF
//   server -> client   "plain " own key, hex LF            or nothing: the client expected somebody else
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "wire/transport.h"

namespace exclave::wire::testing {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(const crypto::Ed25519PublicKey& own) : own_(own) {}

  Result<AcceptedPeer> accept(std::unique_ptr<env::Connection> inner, env::Instant deadline) override {
    const std::string line = TRY(read_line(*inner, deadline));
    constexpr std::size_t kKeyDigits = 2 * crypto::Ed25519PublicKey::kSize;
    if (line.size() != kGreeting.size() + 2 * kKeyDigits + 1 || !line.starts_with(kGreeting)) {
      return Error(Code::Denied, "peer gave no greeting");
    }
    const auto peer = TRY(crypto::Ed25519PublicKey::from_hex(line.substr(kGreeting.size(), kKeyDigits)));
    if (line.substr(kGreeting.size() + kKeyDigits + 1) != own_.hex()) {
      return Error(Code::Denied, "peer expected another identity");
    }
    TRY(env::write_all(*inner, as_bytes(std::string(kGreeting) + own_.hex() + "\n"), deadline));
    return AcceptedPeer{std::move(inner), peer};
  }

  Result<std::unique_ptr<env::Connection>> connect(std::unique_ptr<env::Connection> inner,
                                                   const crypto::Ed25519PublicKey& expected,
                                                   env::Instant deadline) override {
    const std::string greeting = std::string(kGreeting) + own_.hex() + " " + expected.hex() + "\n";
    TRY(env::write_all(*inner, as_bytes(greeting), deadline));
    const std::string answer = TRY(read_line(*inner, deadline));
    if (answer.empty()) return Error(Code::Denied, "peer has another identity");
    if (answer != std::string(kGreeting) + expected.hex()) return Error(Code::Denied, "peer has another identity");
    return inner;
  }

 private:
  static constexpr std::string_view kGreeting = "plain ";

  // Without its end; what has come if the peer closes first.
  static Result<std::string> read_line(env::Connection& connection, env::Instant deadline) {
    std::string line;
    while (line.size() < 256) {
      Byte next = 0;
      if (TRY(connection.read_some(MutableByteView(&next, 1), deadline)) == 0 || next == '\n') break;
      line += static_cast<char>(next);
    }
    return line;
  }

  const crypto::Ed25519PublicKey own_;
};

}  // namespace exclave::wire::testing
