// Service: what a Server serves: requests of peers whose keys it knows. A vault is one (handler.h), an agent that takes part
// in cuts another (agent/cut_service.h).
//
// Threads: all calls from any thread.
// Errors: answer's become answers (http/server.h).
#pragma once

#include "crypto/signature.h"
#include "http/server.h"

namespace exclave::wire {

struct Caller {
  crypto::Ed25519PublicKey identity;
};

class Service {
 public:
  virtual ~Service() = default;
  // Whether a policy knows this key at all, by now: others are dropped early.
  virtual bool knows(const Caller& caller) = 0;
  // The service outlives the response, whose body may still come from it.
  virtual Result<http::Response> answer(const Caller& caller, const http::RequestHead& request,
                                        http::BodyReader& body) = 0;
};

}  // namespace exclave::wire
