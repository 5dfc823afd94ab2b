// Ids and numbers that appear in formats. One type per concept; none converts to another.
// Hides: nothing. Units: era, period and index count from 0 or 1 as said here.
#pragma once

#include "base/tagged.h"
#include "crypto/agreement.h"
#include "crypto/hash.h"
#include "crypto/signature.h"

namespace exclave::format {

using RealmId = Id<16, struct RealmIdTag>;          // random, made at the realm's creation
using RegistryId = Id<16, struct RegistryIdTag>;    // random, opaque to hosts
using ObjectName = Id<32, struct ObjectNameTag>;    // tree hash of the sealed object's bytes
using ChunkId = Id<32, struct ChunkIdTag>;          // keyed by the era's dedup key D
using ContentId = Id<16, struct ContentIdTag>;      // first half of a small file's keyed hash
using StreamId = Id<32, struct StreamIdTag>;        // SHA-256 of the stream's descriptor text
using ChainHash = Id<32, struct ChainHashTag>;      // h_i
using StreamStart = Id<16, struct StreamStartTag>;  // agent clock (u64, ns) || 8 random bytes; one per agent start

using EraNumber = Tagged<std::uint32_t, struct EraNumberTag>;          // from 1
using PeriodNumber = Tagged<std::uint32_t, struct PeriodNumberTag>;    // from 0, inside its era
using EntryIndex = Tagged<std::uint64_t, struct EntryIndexTag>;        // from 0, inside its stream
using FrameNumber = Tagged<std::uint64_t, struct FrameNumberTag>;      // from 0, through a whole journal stream
using Term = Tagged<std::uint64_t, struct TermTag>;                    // from 1
using PolicyVersion = Tagged<std::uint64_t, struct PolicyVersionTag>;  // from 1

// Which key sealed an object.
struct KeyId {
  RegistryId registry;
  EraNumber era;
  PeriodNumber period;
  friend auto operator<=>(const KeyId&, const KeyId&) = default;
};
std::string to_string(const KeyId& id);  // "registry 1a2b3c4d era 1 period 3"

}  // namespace exclave::format
