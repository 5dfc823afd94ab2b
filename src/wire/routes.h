// Routes: one HTTP request to one call of a Handler, and its result to an answer.
// Hides: paths, header names and statuses of the vault's HTTP API.
//
//   GET  /v1/status                                  GET  /v1/acts    GET, PUT /v1/acts/HASH
//   PUT  /v1/streams/STREAM                          GET  /v1/streams/STREAM/entries?from=INDEX&limit=N
//   PUT  /v1/streams/STREAM/INDEX                    GET  /v1/registries/REGISTRY/heads[?from=STREAM]
//   HEAD, GET /v1/objects/NAME                       GET  /v1/registries/REGISTRY/quota
//   PUT  /v1/readings/NAME                           GET  /v1/registries/REGISTRY/segments
//   POST, GET /v1/streams/STREAM/INDEX/frames        (POST: ?class=N&offset=N)
//   PUT  /v1/streams/STREAM/INDEX/mark
//
// Units/limits: an object's body is never in memory as a whole: 256 KiB at a time.
// I1  There is no other verb: everything else is 404 or 405. Nothing can be deleted or replaced through here.
// Threads: from any thread.
// Errors: as answers, see http/detail/status.h; 422 for an entry or object that is not as it must be.
// Source: docs/protocols/vault-http.md.
#pragma once

#include "http/server.h"
#include "wire/handler.h"

namespace exclave::wire {

// Names of the request headers that carry an entry besides its path.
inline constexpr std::string_view kObjectHeader = "exclave-object";
inline constexpr std::string_view kChainHeader = "exclave-chain";
inline constexpr std::string_view kSnapshotHeader = "exclave-snapshot";  // only on snapshots' objects
// In the answer to appended frames, which has no body: where the segment ends now.
inline constexpr std::string_view kEndHeader = "exclave-end";
inline constexpr std::string_view kSignatureHeader = "exclave-signature";

// `handler` outlives the response, whose body may still come from it.
Result<http::Response> answer(Handler& handler, const Caller& caller, const http::RequestHead& request,
                              http::BodyReader& body);

}  // namespace exclave::wire
