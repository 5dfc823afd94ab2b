// What the records of a journal (format/database_journal.h) say of a database's log, in the terms of pg.
// Threads: pure functions.
#pragma once

#include <string_view>

#include "format/database_journal.h"
#include "pg/lsn.h"

namespace exclave::engine {

inline pg::Lsn lsn(format::LogPosition position) {
  return pg::Lsn(position.value());
}
inline pg::Timeline timeline(format::LogTimeline number) {
  return pg::Timeline(number.value());
}

// Where a dataset stands in a cut; nullptr: it takes no part.
inline const format::CutMember* member_of(const format::Cut& cut, const format::RegistryId& registry,
                                          std::string_view dataset) {
  for (const format::CutMember& member : cut.members) {
    if (member.registry == registry && member.dataset == dataset) return &member;
  }
  return nullptr;
}

}  // namespace exclave::engine
