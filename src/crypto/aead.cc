#include "crypto/aead.h"

#include "crypto/detail/openssl.h"
#include "crypto/nonce_ledger.h"
#include "crypto/secret.h"

namespace exclave::crypto {

// One context for both directions: GCM uses the same key schedule, and init with a null key keeps it.
struct Aes256Gcm::State {
  Secret<32> key;  // for the nonce ledger only
  detail::CipherContext context{EVP_CIPHER_CTX_new()};

  // Starts a message and feeds the associated data.
  void start(int direction, const Nonce& nonce, ByteView associated) {
    CHECK(EVP_CipherInit_ex2(context.get(), nullptr, nullptr, nonce.data(), direction, nullptr) == 1);
    if (associated.empty()) return;
    int written = 0;
    const int size = detail::checked_int(associated.size());
    CHECK(EVP_CipherUpdate(context.get(), nullptr, &written, associated.data(), size) == 1);
  }
  // A null output would mean associated data, so an empty text is not fed at all.
  void transform(ByteView from, Byte* to) {
    if (from.empty()) return;
    int written = 0;
    const int size = detail::checked_int(from.size());
    CHECK(EVP_CipherUpdate(context.get(), to, &written, from.data(), size) == 1);
    CHECK(written == size);
  }
  bool finish() {
    Byte nothing[kTagBytes];
    int written = 0;
    return EVP_CipherFinal_ex(context.get(), nothing, &written) == 1;
  }
};

namespace {
constexpr int kOpen = 0;
constexpr int kSeal = 1;
}  // namespace

Aes256Gcm::Aes256Gcm(ByteView key) : state_(std::make_unique<State>()) {
  CHECK(state_->context != nullptr);
  state_->key = Secret<32>::from_view(key);
  CHECK(EVP_CipherInit_ex2(state_->context.get(), detail::aes_256_gcm_algorithm(), key.data(), nullptr, kSeal,
                           nullptr) == 1);
  CHECK(EVP_CIPHER_CTX_get_iv_length(state_->context.get()) == static_cast<int>(kNonceBytes));
}
Aes256Gcm::~Aes256Gcm() = default;
Aes256Gcm::Aes256Gcm(Aes256Gcm&&) noexcept = default;
Aes256Gcm& Aes256Gcm::operator=(Aes256Gcm&&) noexcept = default;

void Aes256Gcm::seal_in_place(const Nonce& nonce, ByteView associated, MutableByteView text, MutableByteView tag) {
  CHECK(tag.size() == kTagBytes);
  state_->start(kSeal, nonce, associated);
  state_->transform(text, text.data());
  CHECK(state_->finish());
  CHECK(EVP_CIPHER_CTX_ctrl(state_->context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagBytes), tag.data()) ==
        1);
  record_nonce(state_->key.view(), nonce, tag);
}

Status Aes256Gcm::open(const Nonce& nonce, ByteView associated, ByteView ciphertext, ByteView tag,
                       MutableByteView out) {
  CHECK(tag.size() == kTagBytes);
  CHECK(out.size() == ciphertext.size());
  const detail::ErrorScope errors;
  std::array<Byte, kTagBytes>
      expected;  // the control call takes a mutable pointer, and `out` may be the tag's neighbour
  std::copy(tag.begin(), tag.end(), expected.begin());
  state_->start(kOpen, nonce, associated);
  CHECK(EVP_CIPHER_CTX_ctrl(state_->context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagBytes),
                            expected.data()) == 1);
  state_->transform(ciphertext, out.data());
  if (!state_->finish()) {
    wipe(out);
    return Error(Code::Corrupt, "authentication tag does not match");
  }
  return {};
}

}  // namespace exclave::crypto
