// Direct appends: few frames go to the vaults from the thread that appended them, and it takes their answers, too. On the path
// of a commit no thread wakes another one (ADR-0031).
// Hides: when a lane may be passed by, and who has the vault's word in hand.
//
//   its lane rests --send_or_ring--> in flight --take_answers--> confirmed: the next frames, or rest
//                                        |  |--what cannot be--> the lane is behind, with an alarm
//                                        |  `--any other answer--> the lane sends them again, and judges what it is told
//                                        `--a part of an answer; none for kLongestDirect; the end is near--> the lane waits for it
//
// I1  While frames are in flight directly, the lane's thread calls nothing at that vault; while it calls something, nothing is
//     sent directly. So a vault is sent one thing at a time, in order, as without.
// I2  Who sends, or takes answers, waits for no vault. One that answers in parts, or does not confirm, is left to its lane for
//     kLaneOnly.
// Threads: any; two at once find an answer once. is_direct_overdue, take_over and finish_for are for the lane's own.
// Source: ADR-0031.
#pragma once

#include "spread/detail/journal_state.h"

namespace exclave::spread::detail {

// More than that fills a segment, not a commit. What a socket does not take at once is the lane's as well (PendingAppend).
inline constexpr std::uint64_t kMostDirectBytes = std::uint64_t{64} << 10;
inline constexpr std::chrono::milliseconds kLongestDirect{500};
inline constexpr std::chrono::seconds kLaneOnly{1};

// After frames were appended, without the monitor: a lane that rests, or has frames in flight already, need not be rung.
void send_or_ring(JournalState& state);
// Without the monitor. Whether somebody outside should look.
bool take_answers(JournalState& state);

// Under the monitor.
bool is_direct_overdue(const JournalState& state, const JournalLane& lane);
// Under the monitor, if it is overdue: nothing is in flight directly then.
DirectAppend take_over(JournalLane& lane);
// Without the monitor: waits for the answer as long as it takes. nullopt: an answer was there already, and did not confirm; why
// is what the vault says when the frames are sent again.
std::optional<Status> finish_for(JournalState& state, JournalLane& lane, DirectAppend& direct);

}  // namespace exclave::spread::detail
