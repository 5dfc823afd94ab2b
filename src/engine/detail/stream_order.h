// StreamOrder: where a new stream of this agent begins, so that what is captured last is the latest one for whoever
// restores. Internal to engine.
//
// Snapshots are ordered by era and start (snapshot_finder.h, I3). The agent's own memory of the newest start is not
// enough: a machine that was set back to an image has forgotten what it captured since, and if its clock was ahead then
// and is right now, everything new would count as older. So the vaults are asked, as every signer asks before it goes on
// (docs/threat-model.md, C7).
//
// I1  The start is later than that of every stream of this writer and era that k answering vaults show: with k that
//     acknowledge and b that lie, at least one honest vault that knows the newest durable snapshot has been asked
//     wherever 2k > n + b.
// I2  If the vaults show a later era of this registry, nothing begins: it would never be the latest.
// Cost: one answer of heads from each vault, all at once.
// Errors: Unavailable, Denied and others of the vaults (fewer than k answer), Precondition (I2), Corrupt (agent state).
#pragma once

#include <map>
#include <string>

#include "engine/capture.h"
#include "repo/dedup_index.h"

namespace exclave::engine {

// Time, so that streams can be put in order, and randomness, so that no two starts are the same. `away`: vaults that were
// found not to answer a moment ago, and why; they are not waited for again.
Result<format::StreamStart> next_stream_start(const CaptureContext& context, repo::DedupIndex& index,
                                              const std::map<std::string, Error>& away);

}  // namespace exclave::engine
