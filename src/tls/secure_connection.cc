#include "tls/secure_connection.h"

#include <openssl/err.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "tls/detail/openssl.h"

namespace exclave::tls {
namespace {

constexpr std::size_t kWriteBytes = 128 * 1024;              // plaintext per write_some: eight full records
constexpr std::size_t kBatchBytes = kWriteBytes + 4 * 1024;  // their ciphertext
constexpr std::size_t kHandshakeInputBytes = 64 * 1024;
constexpr std::size_t kInputBytesWithoutData = 256 * 1024;
constexpr std::size_t kInputBytesForOneOfData = 64;  // the smallest record with a byte has less

// Who uses the SSL object now. libssl knows no locks; this turns misuse into an error and lets shutdown() in when idle.
enum class Turn { Idle, InCall, Ended };

std::string short_hex(const PeerKey& key) {
  return key.hex().substr(0, 8);
}

}  // namespace

struct SecureConnection::State {
  State(std::unique_ptr<env::Connection> connection, std::optional<PeerKey> pinned)
      : inner(std::move(connection)), expected(pinned) {}

  std::string peer() const { return "peer at " + inner->peer_address(); }
  bool flush();
  Status handshake(SSL_CTX* context, int (*step)(SSL*), env::Instant until);
  // The error behind a failed SSL call that returned `outcome`.
  Error failure(int outcome);
  Status judge(X509_STORE_CTX* store);
  Result<std::size_t> read(MutableByteView out);
  Result<std::size_t> write(ByteView data);

  const std::unique_ptr<env::Connection> inner;
  const std::optional<PeerKey> expected;
  std::optional<PeerKey> key;
  detail::Ssl ssl;
  Bytes outgoing;  // records not yet given to `inner`; at most kBatchBytes
  env::Instant deadline;
  std::size_t input_budget = 0;      // bytes that may still be read before data comes
  std::optional<Error> inner_error;  // of the last wait, until reported
  std::optional<Error> refusal;      // why verify_peer said no
  bool input_ended = false;          // the inner connection's end, with or without goodbye
  bool write_failed = false;
  std::atomic<Turn> turn = Turn::Idle;
};

namespace {

using State = SecureConnection::State;

State& state_of(BIO* bio) {
  return *static_cast<State*>(BIO_get_data(bio));
}

int bio_read(BIO* bio, char* out, std::size_t size, std::size_t* got) {
  State& state = state_of(bio);
  BIO_clear_retry_flags(bio);
  *got = 0;
  if (state.input_budget == 0) {
    state.inner_error = Error(Code::Unavailable, "sends TLS records without data");
    return -1;
  }
  Result<std::size_t> read = state.inner->read_some({reinterpret_cast<Byte*>(out), size}, state.deadline);
  if (!read.ok()) {
    state.inner_error = read.take_error();
    BIO_set_retry_read(bio);  // keeps the SSL object usable: a passed deadline may be followed by another try
    return -1;
  }
  *got = read.value();
  if (*got == 0) {
    state.input_ended = true;
    return 0;
  }
  state.input_budget -= std::min(state.input_budget, *got);
  return 1;
}

int bio_write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  State& state = state_of(bio);
  BIO_clear_retry_flags(bio);
  *written = 0;
  if (state.write_failed) return -1;
  if (state.outgoing.size() + size > kBatchBytes && !state.flush()) return -1;
  append(state.outgoing, as_bytes({data, size}));
  *written = size;
  return 1;
}

long bio_control(BIO* bio, int command, long, void*) {
  State& state = state_of(bio);
  if (command == BIO_CTRL_FLUSH) return state.flush() ? 1 : -1;
  if (command == BIO_CTRL_EOF) return state.input_ended ? 1 : 0;
  return 0;
}

// Made once, never changed: libssl needs its BIO methods to outlive every connection.
const BIO_METHOD* connection_bio() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* const fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "exclave connection");
    CHECK(fresh != nullptr);
    CHECK(BIO_meth_set_read_ex(fresh, bio_read) == 1);
    CHECK(BIO_meth_set_write_ex(fresh, bio_write) == 1);
    CHECK(BIO_meth_set_ctrl(fresh, bio_control) == 1);
    return fresh;
  }();
  return kMethod;
}

// What the caller should do about a TLS failure that is not the network's.
Code code_of_reason(int reason) {
  switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return Code::Denied;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return Code::Unsupported;
    default:
      return Code::Unavailable;
  }
}

}  // namespace

bool SecureConnection::State::flush() {
  if (write_failed) return false;
  const Status sent = env::write_all(*inner, outgoing, deadline);
  outgoing.clear();
  if (sent.ok()) return true;
  write_failed = true;
  inner_error = sent.error();
  return false;
}

Error SecureConnection::State::failure(int outcome) {
  if (refusal.has_value()) return *refusal;
  if (inner_error.has_value()) {
    Error error = *std::move(inner_error);
    inner_error.reset();
    return std::move(error).in(peer());
  }
  const unsigned long queued = ERR_peek_error();
  if (input_ended) return {Code::Unavailable, peer() + " ended the connection without a TLS goodbye"};
  if (queued == 0) return {Code::Unavailable, peer() + ": TLS error " + std::to_string(outcome)};
  const int reason = ERR_GET_REASON(queued);
  const char* const text = ERR_reason_error_string(queued);
  return {code_of_reason(reason), peer() + ": TLS: " + (text == nullptr ? std::to_string(reason) : text)};
}

Status SecureConnection::State::judge(X509_STORE_CTX* store) {
  const Error malformed(Code::Denied, peer() + " shows a certificate that is not one self-signed Ed25519 key");
  X509* const leaf = X509_STORE_CTX_get0_cert(store);
  if (leaf == nullptr || sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) != 1) return malformed;
  const std::optional<PeerKey> shown = detail::key_shown_by(leaf);
  if (!shown.has_value()) return malformed;
  if (expected.has_value() && *shown != *expected) {
    return Error(Code::Denied,
                 peer() + " has identity " + short_hex(*shown) + ", the policy pins " + short_hex(*expected));
  }
  key = shown;
  return {};
}

std::optional<PeerKey> detail::key_shown_by(X509* leaf) {
  EVP_PKEY* const found = X509_get0_pubkey(leaf);
  if (found == nullptr || EVP_PKEY_get_id(found) != EVP_PKEY_ED25519) return std::nullopt;
  PeerKey raw;
  std::size_t size = PeerKey::kSize;
  if (EVP_PKEY_get_raw_public_key(found, raw.mutable_view().data(), &size) != 1 || size != PeerKey::kSize) {
    return std::nullopt;
  }
  if (X509_verify(leaf, found) != 1) return std::nullopt;
  return raw;
}

int detail::verify_peer(X509_STORE_CTX* store, void*) {
  const auto* const ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& state = *static_cast<SecureConnection::State*>(SSL_get_app_data(ssl));
  Status judged = state.judge(store);
  X509_STORE_CTX_set_error(store, judged.ok() ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
  if (judged.ok()) return 1;
  state.refusal = judged.take_error();
  return 0;
}

Status SecureConnection::State::handshake(SSL_CTX* context, int (*step)(SSL*), env::Instant until) {
  ssl.reset(SSL_new(context));
  BIO* const bio = BIO_new(connection_bio());
  CHECK(ssl != nullptr && bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);
  SSL_set_app_data(ssl.get(), this);
  deadline = until;
  input_budget = kHandshakeInputBytes;
  ERR_clear_error();
  const int outcome = step(ssl.get());
  if (outcome != 1) return failure(SSL_get_error(ssl.get(), outcome));
  if (!flush()) return failure(SSL_ERROR_SYSCALL);
  if (!key.has_value()) return Error(Code::Denied, peer() + " proved no identity");
  input_budget = kInputBytesWithoutData;
  return {};
}

Result<std::size_t> SecureConnection::State::read(MutableByteView out) {
  ERR_clear_error();
  std::size_t got = 0;
  if (SSL_read_ex(ssl.get(), out.data(), out.size(), &got) == 1) {
    // What data earns, and no more: one byte of it now and then pays for no flood.
    input_budget = std::min(kInputBytesWithoutData, input_budget + got * kInputBytesForOneOfData);
    return got;
  }
  const int outcome = SSL_get_error(ssl.get(), 0);
  if (outcome == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
  return failure(outcome);
}

Result<std::size_t> SecureConnection::State::write(ByteView data) {
  if (write_failed) return Error(Code::Unavailable, peer() + ": an earlier write failed");
  ERR_clear_error();
  std::size_t taken = 0;
  const ByteView piece = data.first(std::min(data.size(), kWriteBytes));
  if (SSL_write_ex(ssl.get(), piece.data(), piece.size(), &taken) == 1 && flush()) return taken;
  write_failed = true;
  return failure(SSL_get_error(ssl.get(), 0));
}

SecureConnection::SecureConnection(std::unique_ptr<State> state) : state_(std::move(state)) {}
SecureConnection::~SecureConnection() = default;

const PeerKey& SecureConnection::peer_key() const {
  return *state_->key;
}
std::string SecureConnection::peer_address() const {
  return state_->inner->peer_address();
}

namespace {

// Takes the turn, runs `call`, gives the turn back unless shutdown() ended the connection meanwhile.
template <typename F>
Result<std::size_t> in_turn(State& state, env::Instant deadline, F&& call) {
  Turn turn = Turn::Idle;
  if (!state.turn.compare_exchange_strong(turn, Turn::InCall)) {
    if (turn == Turn::InCall) return Error(Code::Bug, "two threads use one TLS connection");
    return Error(Code::Unavailable, state.peer() + ": the connection was shut down");
  }
  state.deadline = deadline;
  state.inner_error.reset();
  Result<std::size_t> result = call();
  turn = Turn::InCall;
  state.turn.compare_exchange_strong(turn, Turn::Idle);
  return result;
}

}  // namespace

Result<std::size_t> SecureConnection::read_some(MutableByteView out, env::Instant deadline) {
  CHECK(!out.empty());
  return in_turn(*state_, deadline, [&] { return state_->read(out); });
}

Result<std::size_t> SecureConnection::write_some(ByteView data, env::Instant deadline) {
  CHECK(!data.empty());
  return in_turn(*state_, deadline, [&] { return state_->write(data); });
}

bool SecureConnection::is_readable() {
  bool has_pending = true;  // for whoever has no turn: read_some says why
  static_cast<void>(in_turn(*state_, env::Instant{}, [&]() -> Result<std::size_t> {
    has_pending = SSL_pending(state_->ssl.get()) > 0;
    return std::size_t{0};
  }));
  return has_pending || state_->inner->is_readable();
}

bool SecureConnection::takes_at_once(std::size_t bytes) {
  return bytes <= kWriteBytes && state_->inner->takes_at_once(bytes + (kBatchBytes - kWriteBytes));
}

std::shared_ptr<const env::Watch> SecureConnection::wake_when_readable(env::Waker& waker) {
  return state_->inner->wake_when_readable(waker);
}

void SecureConnection::shutdown() {
  if (state_->turn.exchange(Turn::Ended) == Turn::Idle) {
    state_->deadline = env::Instant{};  // long passed: offer the goodbye once, wait for nothing
    ERR_clear_error();
    SSL_shutdown(state_->ssl.get());
    state_->flush();
  }
  state_->inner->shutdown();
}

namespace {

Result<std::unique_ptr<SecureConnection>> establish(std::unique_ptr<env::Connection> inner, SSL_CTX* context,
                                                    int (*step)(SSL*), std::optional<PeerKey> expected,
                                                    env::Instant deadline) {
  auto state = std::make_unique<State>(std::move(inner), expected);
  TRY(state->handshake(context, step, deadline));
  return std::make_unique<SecureConnection>(std::move(state));
}

}  // namespace

Result<std::unique_ptr<SecureConnection>> connect(std::unique_ptr<env::Connection> inner, const Identity& identity,
                                                  const PeerKey& expected, env::Instant deadline) {
  return establish(std::move(inner), identity.contexts().client.get(), SSL_connect, expected, deadline);
}

Result<std::unique_ptr<SecureConnection>> accept(std::unique_ptr<env::Connection> inner, const Identity& identity,
                                                 env::Instant deadline) {
  return establish(std::move(inner), identity.contexts().server.get(), SSL_accept, std::nullopt, deadline);
}

}  // namespace exclave::tls
