#include "tls/secure_connection.h"

#include <gmock/gmock.h>

#include <atomic>
#include <optional>

#include "posix/network.h"
#include "posix/threads.h"
#include "posix/time.h"
#include "tls/testing/raw_peer.h"

namespace exclave::tls {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::CertificateOrder;
using ::testing::HasSubstr;
using testing::new_certificate;
using testing::new_key;
using testing::RawPeer;

using Secured = Result<std::unique_ptr<SecureConnection>>;

crypto::Ed25519SigningKey signing_key(Byte fill) {
  crypto::Secret<32> seed;
  std::fill(seed.mutable_view().begin(), seed.mutable_view().end(), fill);
  return crypto::Ed25519SigningKey::from_seed(seed);
}

// The private key of signing_key(fill), for raw peers.
EVP_PKEY* native(const crypto::Ed25519SigningKey& key) {
  return static_cast<EVP_PKEY*>(key.native());
}

// Counts writes, and flips a bit in one byte of the input.
class Tap final : public env::Connection {
 public:
  explicit Tap(std::unique_ptr<env::Connection> inner) : inner_(std::move(inner)) {}
  void flip_next_read() { flips_ = true; }
  int writes() const { return writes_; }

  Result<std::size_t> read_some(MutableByteView out, env::Instant deadline) override {
    Result<std::size_t> got = inner_->read_some(out, deadline);
    if (flips_.exchange(false) && got.ok() && got.value() > 0) out[got.value() - 1] ^= 1;
    return got;
  }
  Result<std::size_t> write_some(ByteView data, env::Instant deadline) override {
    ++writes_;
    return inner_->write_some(data, deadline);
  }
  bool is_readable() override { return inner_->is_readable(); }
  bool takes_at_once(std::size_t bytes) override { return inner_->takes_at_once(bytes); }
  std::shared_ptr<const env::Watch> wake_when_readable(env::Waker& waker) override {
    return inner_->wake_when_readable(waker);
  }
  void shutdown() override { inner_->shutdown(); }
  std::string peer_address() const override { return inner_->peer_address(); }

 private:
  const std::unique_ptr<env::Connection> inner_;
  std::atomic<bool> flips_ = false;
  std::atomic<int> writes_ = 0;
};

class Tls : public ::testing::Test {
 protected:
  Tls() {
    auto listener = network_.listen("127.0.0.1:0").take();
    client_end = network_.connect(listener->address(), in(seconds(10))).take();
    server_end = listener->accept().take();
  }

  env::Instant in(std::chrono::nanoseconds time) { return clock_.monotonic() + time; }
  std::unique_ptr<env::Thread> start(std::function<void()> body) {
    return threads_.start("tls-test", std::move(body)).take();
  }

  // Our client and our server meet. The server runs on a thread of its own.
  void meet(const PeerKey& expected) {
    auto serving = start([&] { server = accept(std::move(server_end), server_identity, in(seconds(10))); });
    client = connect(std::move(client_end), client_identity, expected, in(seconds(10)));
  }
  // Our server meets a raw client (which ignores its own success: in TLS 1.3 it learns of a refusal later).
  Error refusal_of(RawPeer& raw) {
    auto serving = start([&] { server = accept(std::move(server_end), server_identity, in(seconds(10))); });
    if (raw.handshake()) raw.read();
    serving->join();
    return server->ok() ? Error(Code::Bug, "was accepted") : server->error();
  }
  // The same, and the server takes it.
  void meet_raw(RawPeer& raw) {
    const detail::Certificate certificate = new_certificate({.subject_key = native(client_key)});
    raw.show(certificate.get(), native(client_key));
    auto serving = start([&] { server = accept(std::move(server_end), server_identity, in(seconds(10))); });
    ASSERT_TRUE(raw.handshake());
    serving->join();
    ASSERT_TRUE(server->ok());
  }
  // Our client meets a raw server.
  Secured connect_to(RawPeer& raw, const PeerKey& expected) {
    auto serving = start([&] { raw.handshake(); });
    return connect(std::move(client_end), client_identity, expected, in(seconds(10)));
  }
  // For all that they do, floods among it.
  RawPeer raw_client() { return {RawPeer::Side::Client, *client_end, in(seconds(240))}; }
  RawPeer raw_server() { return {RawPeer::Side::Server, *server_end, in(seconds(240))}; }

  Result<std::string> read_text(env::Connection& from, std::size_t size) {
    std::string text(size, '\0');
    std::size_t at = 0;
    while (at < size) {
      const MutableByteView room(reinterpret_cast<Byte*>(text.data()) + at, size - at);
      const std::size_t got = TRY(from.read_some(room, in(seconds(10))));
      if (got == 0) return text.substr(0, at);
      at += got;
    }
    return text;
  }
  Status write_text(env::Connection& to, std::string_view text) {
    return env::write_all(to, as_bytes(text), in(seconds(10)));
  }

  posix::Clock clock_;
  posix::Network network_;
  posix::Threads threads_;
  const crypto::Ed25519SigningKey client_key = signing_key(1);
  const crypto::Ed25519SigningKey server_key = signing_key(2);
  const Identity client_identity = Identity::from_key(client_key);
  const Identity server_identity = Identity::from_key(server_key);
  std::unique_ptr<env::Connection> client_end;
  std::unique_ptr<env::Connection> server_end;
  std::optional<Secured> client;
  std::optional<Secured> server;
};

TEST_F(Tls, proves_each_sides_key_to_the_other_and_carries_bytes_both_ways) {
  meet(server_key.public_key());
  ASSERT_TRUE(client->ok()) << client->error().message();
  ASSERT_TRUE(server->ok()) << server->error().message();
  env::Connection& c = *client->value();
  env::Connection& s = *server->value();
  EXPECT_EQ(client->value()->peer_key(), server_key.public_key());
  EXPECT_EQ(server->value()->peer_key(), client_key.public_key());
  for (const std::size_t size : {1U, 16'384U, 16'385U, 131'072U, 1'000'003U}) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i % 251);
    auto writing = start([&] { EXPECT_TRUE(write_text(c, text).ok()); });
    EXPECT_EQ(read_text(s, size).value(), text);
    writing->join();
    auto answering = start([&] { EXPECT_TRUE(write_text(s, text).ok()); });
    EXPECT_EQ(read_text(c, size).value(), text);
  }
}

TEST_F(Tls, gathers_records_into_writes_of_128_KiB) {
  auto tap = std::make_unique<Tap>(std::move(client_end));
  const Tap& counter = *tap;
  client_end = std::move(tap);
  meet(server_key.public_key());
  const int before = counter.writes();
  constexpr std::size_t kSize = 1024 * 1024;
  auto reading = start([&] { EXPECT_EQ(read_text(*server->value(), kSize).value().size(), kSize); });
  EXPECT_TRUE(write_text(*client->value(), std::string(kSize, 'x')).ok());
  reading->join();
  EXPECT_GE(counter.writes() - before, 8);
  EXPECT_LE(counter.writes() - before, 32);  // sockets take less than was offered at times
}

TEST_F(Tls, connect_refuses_a_server_with_another_key) {
  const std::string address = client_end->peer_address();
  const PeerKey pinned = signing_key(3).public_key();
  meet(pinned);
  ASSERT_FALSE(client->ok());
  EXPECT_EQ(client->error().code(), Code::Denied);
  EXPECT_EQ(client->error().message(), "peer at " + address + " has identity " +
                                           server_key.public_key().hex().substr(0, 8) + ", the policy pins " +
                                           pinned.hex().substr(0, 8));
  ASSERT_FALSE(server->ok());
  EXPECT_EQ(server->error().code(), Code::Denied) << server->error().message();
}

TEST_F(Tls, accept_refuses_a_client_without_a_certificate) {
  RawPeer raw = raw_client();
  const Error error = refusal_of(raw);
  EXPECT_EQ(error.code(), Code::Denied);
  EXPECT_THAT(error.message(), HasSubstr("did not return a certificate"));
}

TEST_F(Tls, tells_a_client_that_its_certificate_was_refused) {
  // Our own client always shows one; a server that wants another kind refuses it after the client's handshake is done.
  RawPeer raw = raw_server();
  const detail::Certificate certificate = new_certificate({.subject_key = native(server_key)});
  raw.show(certificate.get(), native(server_key));
  SSL_CTX_set_cert_verify_callback(
      raw.context(),
      [](X509_STORE_CTX* store, void*) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
        return 0;
      },
      nullptr);
  const Secured met = connect_to(raw, server_key.public_key());
  ASSERT_TRUE(met.ok()) << met.error().message();
  Byte byte = 0;
  EXPECT_EQ(met.value()->read_some({&byte, 1}, in(seconds(10))).error().code(), Code::Denied);
}

class OtherKeys : public Tls, public ::testing::WithParamInterface<int> {};

TEST_P(OtherKeys, are_refused_from_clients) {
  const detail::Key key = new_key(GetParam());
  const detail::Certificate certificate = new_certificate({.subject_key = key.get()});
  RawPeer raw = raw_client();
  raw.show(certificate.get(), key.get());
  EXPECT_EQ(refusal_of(raw).code(), Code::Denied);
}

TEST_P(OtherKeys, are_refused_from_servers) {
  const detail::Key key = new_key(GetParam());
  const detail::Certificate certificate = new_certificate({.subject_key = key.get()});
  RawPeer raw = raw_server();
  raw.show(certificate.get(), key.get());
  const Secured met = connect_to(raw, server_key.public_key());
  ASSERT_FALSE(met.ok());
  EXPECT_EQ(met.error().code(), Code::Unsupported) << met.error().message();
}

TEST_P(OtherKeys, do_not_vouch_for_an_identity) {
  const detail::Key issuer = new_key(GetParam());
  const detail::Certificate certificate =
      new_certificate({.subject_key = native(server_key), .issuer_key = issuer.get()});
  RawPeer raw = raw_server();
  raw.show(certificate.get(), native(server_key));
  const Secured met = connect_to(raw, server_key.public_key());
  ASSERT_FALSE(met.ok());
  EXPECT_EQ(met.error().code(), Code::Denied) << met.error().message();
}

INSTANTIATE_TEST_SUITE_P(tls, OtherKeys, ::testing::Values(EVP_PKEY_RSA, EVP_PKEY_EC));

TEST_F(Tls, refuses_an_identity_that_another_ed25519_key_signed) {
  const detail::Key issuer = new_key(EVP_PKEY_ED25519);
  const detail::Certificate certificate =
      new_certificate({.subject_key = native(client_key), .issuer_key = issuer.get()});
  RawPeer raw = raw_client();
  raw.show(certificate.get(), native(client_key));
  const Error error = refusal_of(raw);
  EXPECT_EQ(error.code(), Code::Denied);
  EXPECT_THAT(error.message(), HasSubstr("not one self-signed Ed25519 key"));
}

TEST_F(Tls, refuses_a_chain_of_two_certificates_from_either_side) {
  const detail::Certificate leaf = new_certificate({.subject_key = native(server_key)});
  const detail::Key other = new_key(EVP_PKEY_ED25519);
  const detail::Certificate second = new_certificate({.subject_key = other.get(), .subject = "authority"});
  {
    RawPeer raw = raw_server();
    raw.show(leaf.get(), native(server_key), second.get());
    const Secured met = connect_to(raw, server_key.public_key());
    ASSERT_FALSE(met.ok());
    EXPECT_EQ(met.error().code(), Code::Denied);
  }
  auto listener = network_.listen("127.0.0.1:0").take();
  client_end = network_.connect(listener->address(), in(seconds(10))).take();
  server_end = listener->accept().take();
  RawPeer raw = raw_client();
  raw.show(leaf.get(), native(server_key), second.get());
  EXPECT_THAT(refusal_of(raw).message(), HasSubstr("not one self-signed Ed25519 key"));
}

TEST_F(Tls, ignores_dates_and_names) {
  const detail::Certificate expired = new_certificate({.subject_key = native(server_key),
                                                       .subject = "somebody else",
                                                       .not_before = "19900101000000Z",
                                                       .not_after = "19910101000000Z"});
  RawPeer raw = raw_server();
  raw.show(expired.get(), native(server_key));
  const Secured met = connect_to(raw, server_key.public_key());
  ASSERT_TRUE(met.ok()) << met.error().message();
  EXPECT_EQ(met.value()->peer_key(), server_key.public_key());
}

TEST_F(Tls, refuses_a_certificate_larger_than_4_KiB) {
  const detail::Certificate large =
      new_certificate({.subject_key = native(client_key), .subject = std::string(6000, 'x')});
  RawPeer raw = raw_client();
  raw.show(large.get(), native(client_key));
  EXPECT_EQ(refusal_of(raw).code(), Code::Denied);
}

TEST_F(Tls, refuses_tls_1_2_from_either_side) {
  {
    RawPeer raw = raw_client();
    SSL_CTX_set_max_proto_version(raw.context(), TLS1_2_VERSION);
    EXPECT_EQ(refusal_of(raw).code(), Code::Unsupported);
  }
  auto listener = network_.listen("127.0.0.1:0").take();
  client_end = network_.connect(listener->address(), in(seconds(10))).take();
  server_end = listener->accept().take();
  RawPeer raw = raw_server();
  const detail::Certificate certificate = new_certificate({.subject_key = native(server_key)});
  raw.show(certificate.get(), native(server_key));
  SSL_CTX_set_max_proto_version(raw.context(), TLS1_2_VERSION);
  const Secured met = connect_to(raw, server_key.public_key());
  ASSERT_FALSE(met.ok());
  EXPECT_EQ(met.error().code(), Code::Unsupported) << met.error().message();
}

TEST_F(Tls, refuses_suites_other_than_aes_256_gcm) {
  RawPeer raw = raw_client();
  SSL_CTX_set_ciphersuites(raw.context(), "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256");
  EXPECT_EQ(refusal_of(raw).code(), Code::Unsupported);
}

TEST_F(Tls, gives_no_ticket_to_resume_with) {
  RawPeer raw = raw_client();
  const detail::Certificate certificate = new_certificate({.subject_key = native(client_key)});
  raw.show(certificate.get(), native(client_key));
  auto serving = start([&] {
    server = accept(std::move(server_end), server_identity, in(seconds(10)));
    if (server->ok()) {
      EXPECT_TRUE(write_text(*server->value(), "hello").ok());
    }
  });
  ASSERT_TRUE(raw.handshake());
  EXPECT_EQ(raw.read(), "hello");
  EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get_session(raw.ssl())), 0);
  EXPECT_EQ(SSL_SESSION_get_max_early_data(SSL_get_session(raw.ssl())), 0U);
}

TEST_F(Tls, cuts_garbage_at_once) {
  ASSERT_TRUE(write_text(*client_end, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").ok());
  const env::Instant begin = clock_.monotonic();
  const Secured met = accept(std::move(server_end), server_identity, in(seconds(10)));
  ASSERT_FALSE(met.ok());
  EXPECT_EQ(met.error().code(), Code::Unavailable) << met.error().message();
  EXPECT_LT(clock_.monotonic() - begin, seconds(5));
}

TEST_F(Tls, cuts_a_silent_handshake_at_its_deadline) {
  const env::Instant begin = clock_.monotonic();
  const Secured met = connect(std::move(client_end), client_identity, server_key.public_key(), in(milliseconds(200)));
  ASSERT_FALSE(met.ok());
  EXPECT_EQ(met.error().code(), Code::Unavailable);
  EXPECT_GE(clock_.monotonic() - begin, milliseconds(200));
  EXPECT_LT(clock_.monotonic() - begin, seconds(2));
}

TEST_F(Tls, cuts_a_dripping_handshake_at_its_deadline) {
  std::atomic<bool> done = false;
  auto dripping = start([&] {
    // A record header that promises 512 bytes of hello, then a byte every 20 ms.
    ignore(write_text(*client_end, "\x16\x03\x01\x02"), "the test watches the other end");
    while (!done) {
      const std::string byte(1, '\0');
      if (!write_text(*client_end, byte).ok() || !clock_.sleep_until(in(milliseconds(20))).ok()) return;
    }
  });
  const env::Instant begin = clock_.monotonic();
  const Secured met = accept(std::move(server_end), server_identity, in(milliseconds(300)));
  done = true;
  ASSERT_FALSE(met.ok());
  EXPECT_LT(clock_.monotonic() - begin, seconds(2));
}

TEST_F(Tls, tells_an_end_with_goodbye_from_a_cut) {
  meet(server_key.public_key());
  Byte byte = 0;
  ASSERT_TRUE(write_text(*client->value(), "x").ok());
  client->value()->shutdown();
  EXPECT_EQ(server->value()->read_some({&byte, 1}, in(seconds(10))).value(), 1U);
  EXPECT_EQ(server->value()->read_some({&byte, 1}, in(seconds(10))).value(), 0U);
}

TEST_F(Tls, takes_a_connection_cut_without_goodbye_for_an_error) {
  meet(server_key.public_key());
  Byte byte = 0;
  ASSERT_TRUE(write_text(*client->value(), "x").ok());
  client->take().reset();
  EXPECT_EQ(server->value()->read_some({&byte, 1}, in(seconds(10))).value(), 1U);
  const Result<std::size_t> end = server->value()->read_some({&byte, 1}, in(seconds(10)));
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code(), Code::Unavailable);
  EXPECT_THAT(end.error().message(), HasSubstr("without a TLS goodbye"));
}

TEST_F(Tls, refuses_a_record_that_was_altered_on_the_way) {
  auto tap = std::make_unique<Tap>(std::move(server_end));
  Tap& flipper = *tap;
  server_end = std::move(tap);
  meet(server_key.public_key());
  flipper.flip_next_read();
  ASSERT_TRUE(write_text(*client->value(), "pay 100 to Bob").ok());
  Bytes out(100);
  const Result<std::size_t> got = server->value()->read_some(out, in(seconds(10)));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code(), Code::Unavailable);
}

TEST_F(Tls, lets_a_read_be_repeated_after_its_deadline) {
  meet(server_key.public_key());
  Byte byte = 0;
  EXPECT_EQ(server->value()->read_some({&byte, 1}, in(milliseconds(20))).error().code(), Code::Unavailable);
  ASSERT_TRUE(write_text(*client->value(), "x").ok());
  EXPECT_EQ(server->value()->read_some({&byte, 1}, in(seconds(10))).value(), 1U);
  EXPECT_EQ(byte, 'x');
}

TEST_F(Tls, knows_without_waiting_whether_something_can_be_read) {
  meet(server_key.public_key());
  env::Connection& reader = *server->value();
  const auto becomes_readable = [&] {
    const env::Instant until = in(seconds(10));
    while (!reader.is_readable() && clock_.monotonic() < until)
      ignore(clock_.sleep_until(in(milliseconds(1))), "looks again");
    return reader.is_readable();
  };
  EXPECT_FALSE(reader.is_readable());
  ASSERT_TRUE(write_text(*client->value(), "ab").ok());
  EXPECT_TRUE(becomes_readable());
  Byte byte = 0;
  EXPECT_EQ(reader.read_some({&byte, 1}, in(seconds(10))).value(), 1U);
  EXPECT_TRUE(reader.is_readable()) << "the record's other half has left the socket already";
  EXPECT_EQ(reader.read_some({&byte, 1}, in(seconds(10))).value(), 1U);
  EXPECT_FALSE(reader.is_readable());
  client->value()->shutdown();
  EXPECT_TRUE(becomes_readable()) << "the goodbye";
  reader.shutdown();
  EXPECT_TRUE(reader.is_readable()) << "read_some has an error to tell";
}

TEST_F(Tls, does_not_let_a_write_be_repeated_after_its_deadline) {
  meet(server_key.public_key());
  const std::string text(32 * 1024 * 1024, 'x');
  const Status first = env::write_all(*client->value(), as_bytes(text), in(milliseconds(100)));
  EXPECT_EQ(first.error().code(), Code::Unavailable);
  const Result<std::size_t> again = client->value()->write_some(as_bytes("y"), in(seconds(10)));
  ASSERT_FALSE(again.ok());
  EXPECT_THAT(again.error().message(), HasSubstr("an earlier write failed"));
}

TEST_F(Tls, wakes_a_waiting_reader_when_another_thread_shuts_down) {
  meet(server_key.public_key());
  std::atomic<bool> is_reading = false;
  Result<std::size_t> got = std::size_t{7};
  auto reading = start([&] {
    Byte byte = 0;
    is_reading = true;
    got = server->value()->read_some({&byte, 1}, in(seconds(60)));
  });
  while (!is_reading) ASSERT_TRUE(clock_.sleep_until(in(milliseconds(1))).ok());
  ASSERT_TRUE(clock_.sleep_until(in(milliseconds(50))).ok());
  const env::Instant begin = clock_.monotonic();
  server->value()->shutdown();
  reading->join();
  EXPECT_LT(clock_.monotonic() - begin, seconds(5));
  EXPECT_FALSE(got.ok());
  EXPECT_FALSE(server->value()->write_some(as_bytes("x"), in(seconds(1))).ok());
}

TEST_F(Tls, answers_two_threads_at_once_with_an_error_instead_of_a_race) {
  meet(server_key.public_key());
  auto reading = start([&] {
    Byte byte = 0;
    ignore(server->value()->read_some({&byte, 1}, in(seconds(60))), "shut down below");
  });
  const auto until = in(seconds(60));
  auto written = server->value()->write_some(as_bytes("x"), in(seconds(1)));
  while (written.ok() && clock_.monotonic() < until) {  // it does not read yet
    ASSERT_TRUE(clock_.sleep_until(in(milliseconds(1))).ok());
    written = server->value()->write_some(as_bytes("x"), in(seconds(1)));
  }
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), Code::Bug);
  server->value()->shutdown();
}

TEST_F(Tls, cuts_a_peer_that_floods_it_with_key_updates) {
  RawPeer raw = raw_client();
  ASSERT_NO_FATAL_FAILURE(meet_raw(raw));
  std::atomic<bool> done = false;
  auto flooding = start([&] {
    while (!done && raw.update_key()) {
    }
  });
  Byte byte = 0;
  const Result<std::size_t> got = server->value()->read_some({&byte, 1}, in(seconds(60)));
  done = true;
  server->value()->shutdown();
  ASSERT_FALSE(got.ok());
  EXPECT_THAT(got.error().message(), HasSubstr("TLS records without data"));
}

// A byte of data now and then pays for no flood, nor does a call of its own for each piece.
TEST_F(Tls, cuts_a_peer_that_hides_key_updates_among_bytes_of_data) {
  RawPeer raw = raw_client();
  ASSERT_NO_FATAL_FAILURE(meet_raw(raw));
  std::atomic<bool> done = false;
  auto flooding = start([&] {
    while (!done && raw.write("x")) {
      for (int i = 0; i < 1'000 && !done && raw.update_key(); ++i) {
      }
    }
  });
  std::size_t bytes = 0;
  Result<std::size_t> got = std::size_t{1};
  // 256 KiB are 9,700 key updates; a busy machine sends fewer than a thousand between two bytes.
  while (got.ok() && got.value() > 0 && bytes < 2'000) {
    Byte byte = 0;
    got = server->value()->read_some({&byte, 1}, in(seconds(60)));
    bytes += got.ok() ? got.value() : 0;
  }
  done = true;
  server->value()->shutdown();
  ASSERT_FALSE(got.ok());
  EXPECT_THAT(got.error().message(), HasSubstr("TLS records without data"));
}

TEST_F(Tls, reads_bytes_that_come_one_in_a_record_for_as_long_as_they_come) {
  RawPeer raw = raw_client();
  ASSERT_NO_FATAL_FAILURE(meet_raw(raw));
  constexpr std::size_t kBytes = 20'000;  // 460 kB of records
  auto sending = start([&] {
    for (std::size_t i = 0; i < kBytes && raw.write("x"); ++i) {
    }
  });
  for (std::size_t i = 0; i < kBytes; ++i) {
    Byte byte = 0;
    const Result<std::size_t> got = server->value()->read_some({&byte, 1}, in(seconds(60)));
    ASSERT_TRUE(got.ok()) << i << ": " << got.error().message();
    ASSERT_EQ(got.value(), 1U);
  }
}

TEST(identity, is_the_same_certificate_every_time) {
  const Identity one = Identity::from_key(signing_key(1));
  const Identity two = Identity::from_key(signing_key(1));
  EXPECT_EQ(one.certificate(), two.certificate());
  EXPECT_NE(one.certificate(), Identity::from_key(signing_key(2)).certificate());
  EXPECT_EQ(one.key(), signing_key(1).public_key());
  EXPECT_LT(one.certificate().size(), 300U);
}

}  // namespace
}  // namespace exclave::tls
