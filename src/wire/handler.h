// Handler: what a vault answers, with the caller named. The server calls it for each request, EmbeddedVault directly.
// Hides: nothing; it is the seam between transport (wire) and rules (vault). The verbs are those of store::VaultApi,
// but objects stream through it instead of lying in memory, and long answers come in pages.
//
// I1  The transport has proved that the caller holds the key it is named by. What it may do is the handler's business.
// I2  A role is looked up in the current policy at every call, so that a revoked caller is refused from the next one
//     on.
// Threads: all calls from any thread.
// Errors: those of store::VaultApi.
// See: store/vault_api.h, docs/protocols/vault-http.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "format/journal.h"
#include "store/vault_api.h"
#include "wire/service.h"

namespace exclave::wire {

// The bytes of an object on their way in.
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual std::uint64_t size() const = 0;  // constant, known before the first read
  // Fills all of `out`. Precondition: no more is asked for than is left. An error ends the source.
  virtual Status read_exactly(MutableByteView out) = 0;
  // The next buffer.size() bytes, in `buffer` or where they lie already; good until the next call.
  virtual Result<ByteView> next(MutableByteView buffer) {
    TRY(read_exactly(buffer));
    return ByteView(buffer);
  }
  // The object's name, if who made the bytes gave it in this process and they have not been written to since. nullopt: it
  // is to be found by reading.
  virtual std::optional<format::ObjectName> name() const { return std::nullopt; }
};

struct HeadsPage {
  std::vector<store::StreamHead> heads;
  std::optional<format::StreamId> next;  // where the next page begins; none on the last one
};
inline constexpr std::size_t kHeadsPerPage = 500;

class Handler : public Service {
 public:
  // As the vault's HTTP API (routes.h).
  Result<http::Response> answer(const Caller& caller, const http::RequestHead& request, http::BodyReader& body) final;

  virtual const std::string& name() const = 0;
  virtual Result<store::VaultStatus> status(const Caller& caller) = 0;

  virtual Status open_stream(const Caller& caller, const format::SignedStream& stream) = 0;
  // An empty source means "you hold the object already"; NotFound if that is not so. The source may be left unread.
  virtual Result<std::optional<format::SignedReceipt>> put(const Caller& caller, const format::SignedEntry& entry,
                                                           ObjectSource& source) = 0;
  virtual Result<store::QuotaUse> quota(const Caller& caller, const format::RegistryId& registry) = 0;
  // See store::VaultApi. A handler without journals, such as a test's: Unsupported.
  virtual Result<std::uint64_t> append_frames(const Caller& caller, const format::SegmentPlace& place,
                                              std::uint8_t size_class, std::uint64_t offset, ByteView bytes);
  virtual Result<format::SignedMarkReceipt> put_mark(const Caller& caller, const format::SignedMark& mark);
  virtual Result<std::vector<store::OpenSegment>> open_segments(const Caller& caller,
                                                                const format::RegistryId& registry);
  virtual Status read_frames(const Caller& caller, const format::SegmentPlace& place, std::uint64_t offset,
                             MutableByteView out);
  virtual Status announce_reading(const Caller& caller, const format::SignedReading& reading) = 0;

  // Of an object whose entry is durable; a writer sees its own registry's alone, a vault reads what it announced.
  virtual Result<std::uint64_t> size_of(const Caller& caller, const format::ObjectName& name) = 0;
  virtual Status read(const Caller& caller, const format::ObjectName& name, std::uint64_t offset,
                      MutableByteView out) = 0;
  // Streams by id, from `from` (the first one if none), at most kHeadsPerPage.
  virtual Result<HeadsPage> heads(const Caller& caller, const format::RegistryId& registry,
                                  const std::optional<format::StreamId>& from) = 0;
  virtual Result<std::vector<store::HeldEntry>> entries(const Caller& caller, const format::StreamId& stream,
                                                        format::EntryIndex from, std::size_t limit) = 0;

  virtual Result<std::vector<store::Act>> acts(const Caller& caller) = 0;
  virtual Result<Bytes> act(const Caller& caller, const crypto::Hash256& hash) = 0;
  virtual Status put_act(const Caller& caller, ByteView document) = 0;
};

inline Error no_journals() {
  return {Code::Unsupported, "this vault keeps no journals"};
}
inline Result<std::uint64_t> Handler::append_frames(const Caller&, const format::SegmentPlace&, std::uint8_t,
                                                    std::uint64_t, ByteView) {
  return no_journals();
}
inline Result<format::SignedMarkReceipt> Handler::put_mark(const Caller&, const format::SignedMark&) {
  return no_journals();
}
inline Result<std::vector<store::OpenSegment>> Handler::open_segments(const Caller&, const format::RegistryId&) {
  return no_journals();
}
inline Status Handler::read_frames(const Caller&, const format::SegmentPlace&, std::uint64_t, MutableByteView) {
  return no_journals();
}

}  // namespace exclave::wire
