// Cut service: an agent's door for coordinators of other registries, and the coordinator's side of that door.
// Hides: paths and texts of the cut protocol over HTTPS with mutual TLS.
//
//   POST /v1/cuts/CUT/hold?dataset=NAME       -> "TIMELINE POSITION"
//   POST /v1/cuts/CUT/release?dataset=NAME    -> "held" | "expired"
//   POST /v1/cuts/CUT/confirm?dataset=NAME    -> "confirmed"
//   POST /v1/cuts/CUT/keep?dataset=NAME       body: the cut's record (format/database_journal.h)
//
// I1  Only the writers of registries that this agent names as coordinators are let in; each by its key in the policy.
// I2  Whoever is let in can hold a database's acknowledgements for kLongestHold once in kHoldsApart, and have a record written
//     of a hold that ended well (cut_gate.h, I5), and nothing else: no data leaves.
// Threads: from any thread.
// Errors: Denied, NotFound (no such dataset here), and those of cut_gate.h; Unavailable (no answer in time).
// See: docs/protocols/cut.md.
#pragma once

#include <functional>
#include <set>

#include "agent/cut_coordinator.h"
#include "agent/database_stream.h"
#include "wire/connection_pool.h"
#include "wire/service.h"

namespace exclave::agent {

// The stream of a dataset of this agent; null if there is none.
using FindStream = std::function<DatabaseStream*(std::string_view dataset)>;

class CutService final : public wire::Service {
 public:
  CutService(env::Clock& clock, std::set<crypto::Ed25519PublicKey> coordinators, FindStream find)
      : clock_(clock), coordinators_(std::move(coordinators)), find_(std::move(find)) {}
  bool knows(const wire::Caller& caller) override { return coordinators_.contains(caller.identity); }
  Result<http::Response> answer(const wire::Caller& caller, const http::RequestHead& request,
                                http::BodyReader& body) override;

 private:
  env::Clock& clock_;
  const std::set<crypto::Ed25519PublicKey> coordinators_;
  const FindStream find_;
};

// A member in this process.
class LocalMember final : public CutMember {
 public:
  LocalMember(env::Clock& clock, const format::RegistryId& registry, std::string dataset, DatabaseStream& stream)
      : clock_(clock), registry_(registry), dataset_(std::move(dataset)), stream_(stream) {}
  const format::RegistryId& registry() const override { return registry_; }
  const std::string& dataset() const override { return dataset_; }
  Result<HeldPosition> hold(const format::CutId& cut) override { return stream_.gate().hold(cut); }
  Result<HoldEnd> release(const format::CutId& cut) override { return stream_.gate().release(cut); }
  Status confirm(const format::CutId& cut) override { return stream_.server().confirm(cut); }
  Status keep(const format::Cut& cut) override;

 private:
  env::Clock& clock_;
  const format::RegistryId registry_;
  const std::string dataset_;
  DatabaseStream& stream_;
};

// A member behind another agent's door.
class RemoteMember final : public CutMember {
 public:
  RemoteMember(const wire::ConnectionPool::Target& target, const format::RegistryId& registry, std::string dataset)
      : clock_(target.clock), registry_(registry), dataset_(std::move(dataset)), pool_(target, 1) {}
  const format::RegistryId& registry() const override { return registry_; }
  const std::string& dataset() const override { return dataset_; }
  Result<HeldPosition> hold(const format::CutId& cut) override;
  Result<HoldEnd> release(const format::CutId& cut) override;
  Status confirm(const format::CutId& cut) override;
  Status keep(const format::Cut& cut) override;

 private:
  Result<std::string> ask(const format::CutId& cut, std::string_view verb, ByteView body);

  env::Clock& clock_;
  const format::RegistryId registry_;
  const std::string dataset_;
  wire::ConnectionPool pool_;
};

// Short waits: a member that does not answer in this time has let go by itself.
http::Limits cut_limits();

}  // namespace exclave::agent
