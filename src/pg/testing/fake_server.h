// FakeServer: speaks just enough of PostgreSQL's protocol to send what no real server would.
// Hides: framing, and the thread that serves one connection.
//
//   FakeServer server(env, {{rows({"1"}) + done(), ...}});      one reply per command, in order
//
// After its last reply it keeps the connection until the peer leaves. Threads: one of its own, joined when dropped.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "env/env.h"
#include "pg/server_facts.h"

namespace exclave::pg::testing {

inline std::string big_endian(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = bytes; i-- > 0;) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}
inline std::string message(char kind, std::string_view body) {
  return kind + big_endian(body.size() + 4, 4) + std::string(body);
}
inline std::string text_z(std::string_view text) {
  return std::string(text) + '\0';
}

using Cells = std::vector<std::optional<std::string>>;

// A result of any number of rows.
inline std::string rows(const std::vector<Cells>& content, std::size_t columns) {
  std::string description = big_endian(columns, 2);
  for (std::size_t i = 0; i < columns; ++i) {
    description += text_z("c") + std::string(6, '\0') + big_endian(25, 4) + big_endian(0xffff, 2) + big_endian(0, 4) +
                   big_endian(0, 2);
  }
  std::string all = message('T', description);
  for (const Cells& row : content) {
    std::string body = big_endian(row.size(), 2);
    for (const auto& cell : row) body += cell ? big_endian(cell->size(), 4) + *cell : big_endian(0xffffffff, 4);
    all += message('D', body);
  }
  return all + message('C', text_z("SELECT"));
}
inline std::string ready() {
  return message('Z', "I");
}
inline std::string copy_both() {
  return message('W', std::string(3, '\0'));
}
inline std::string copy_out() {
  return message('H', std::string(3, '\0'));
}
inline std::string copy_data(std::string_view bytes) {
  return message('d', bytes);
}
inline std::string copy_done() {
  return message('c', "");
}
inline std::string wal_data(std::uint64_t start, std::string_view bytes) {
  return copy_data("w" + big_endian(start, 8) + big_endian(start + bytes.size(), 8) + big_endian(0, 8) +
                   std::string(bytes));
}
inline std::string server_error(std::string_view state, std::string_view text) {
  return message('E', "S" + text_z("ERROR") + "V" + text_z("ERROR") + "C" + text_z(state) + "M" + text_z(text) + '\0');
}

class FakeServer {
 public:
  FakeServer(env::Env env, std::vector<std::string> replies, std::string_view version = "15.20")
      : env_(env),
        replies_(std::move(replies)),
        version_(version),
        listener_(env.network.listen("127.0.0.1:0").take()) {
    thread_ = env_.threads.start("fake server", [this] { serve(); }).take();
  }
  ~FakeServer() {
    listener_->close();
    thread_->join();
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  Endpoint endpoint() const {
    const std::string address = listener_->address();
    const std::string port = address.substr(address.rfind(':') + 1);
    return {"host=127.0.0.1 user=agent sslmode=disable gssencmode=disable port=" + port, "vault"};
  }

 private:
  env::Instant deadline() const { return env_.clock.monotonic() + std::chrono::seconds(30); }

  // False: the peer has left.
  bool read(env::Connection& peer, MutableByteView out) {
    while (!out.empty()) {
      const auto size = peer.read_some(out, deadline());
      if (!size.ok() || size.value() == 0) return false;
      out = out.subspan(size.value());
    }
    return true;
  }
  bool skip_body(env::Connection& peer) {
    Bytes size(4);
    if (!read(peer, size)) return false;
    Bytes body(load_u32(size) - 4);
    return read(peer, body);
  }
  // Skips what is no query (status messages, the end of a copy).
  bool read_query(env::Connection& peer) {
    for (;;) {
      Byte kind = 0;
      if (!read(peer, {&kind, 1}) || !skip_body(peer)) return false;
      if (kind == 'Q') return true;
    }
  }
  void serve() {
    auto accepted = listener_->accept();
    if (!accepted.ok()) return;
    env::Connection& peer = *accepted.value();
    if (!skip_body(peer)) return;
    const std::string hello = message('R', big_endian(0, 4)) +
                              message('S', text_z("server_version") + text_z(version_)) +
                              message('S', text_z("client_encoding") + text_z("UTF8")) + ready();
    if (!env::write_all(peer, as_bytes(hello), deadline()).ok()) return;
    for (const std::string& reply : replies_) {
      if (!read_query(peer)) return;
      if (!env::write_all(peer, as_bytes(reply), deadline()).ok()) return;
    }
    while (read_query(peer)) {
    }
  }

  const env::Env env_;
  const std::vector<std::string> replies_;
  const std::string version_;
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<env::Thread> thread_;
};

}  // namespace exclave::pg::testing
