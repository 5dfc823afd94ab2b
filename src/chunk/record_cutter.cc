#include "chunk/record_cutter.h"

#include "chunk/detail/stable_hash.h"

namespace exclave::chunk {
namespace {

constexpr std::uint64_t kMeanDistanceBytes = 32 * kKiB;

}  // namespace

bool RecordCutter::ends_after(ByteView record) {
  CHECK(!record.empty());
  total_ += record.size();
  const bool ends = total_ >= kRecordHardBytes ||
                    (total_ >= kRecordSoftBytes && stable_hash(record) % kMeanDistanceBytes < record.size());
  if (ends) total_ = 0;
  return ends;
}

}  // namespace exclave::chunk
