// ObjectStore: sealed objects by name, create-only. What a vault keeps its objects in.
// Hides: where the bytes lie (`dir`: files; later `s3`).
//
//   upload := begin_upload(name, size) append* publish       the caller hashes while it appends and publishes only what
//                                                            bears its name; the store does not know what a name means
//
// I1  Nothing is visible under a name before publish returned ok; then the bytes survive power loss (DURABLE).
// I2  With IfPresent::Keep, publish of a name that exists changes nothing and answers AlreadyPresent, and what is there
//     survives power loss. Nobody has looked at those bytes. The draft stays until the upload is dropped: it may be
//     published again with IfPresent::SetAside.
// I3  Nothing is ever deleted. IfPresent::SetAside is for what a check found damaged: the good copy takes its name, its
//     bytes stay as evidence where no reader looks. Whenever that fails or is cut off, the name has the bytes that it had
//     or the new ones: what a failing disk called damaged may be good, and all that there is.
// Threads: all calls from any thread; one upload by one thread.
// Errors: NotFound, Exhausted (no space), Unavailable (try later), Corrupt (the medium cannot be read).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "format/ids.h"

namespace exclave::store {

// Reading side, all that a restore needs.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  // Size in bytes.
  virtual Result<std::uint64_t> size_of(const format::ObjectName& name) = 0;
  // Exactly out.size() bytes at `offset`; InvalidInput if the object ends before.
  virtual Status read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) = 0;
  // read, then `check`: a reader with several copies goes on to the next one when the check says Corrupt.
  using Check = std::function<Status(ByteView)>;
  virtual Status read_checked(const format::ObjectName& name, std::uint64_t offset, MutableByteView out,
                              const Check& check);
  // The same for ranges that only make sense together: all of them come from one copy, and `check` is asked when the
  // last one is there.
  struct Range {
    std::uint64_t offset = 0;
    MutableByteView out;
  };
  virtual Status read_checked(const format::ObjectName& name, std::span<const Range> ranges,
                              const std::function<Status()>& check);
  // False if all that hold copies gave no answer when they were last asked: then what could not be read tells nothing.
  virtual bool is_answering() const { return true; }
};

enum class PutOutcome { Stored, AlreadyPresent };
enum class IfPresent { Keep, SetAside };

class ObjectUpload {
 public:
  virtual ~ObjectUpload() = default;  // not published = abandoned, leaves nothing
  virtual Status append(ByteView data) = 0;
  // DURABLE. InvalidInput unless exactly the expected bytes were appended. Stored always, with SetAside.
  virtual Result<PutOutcome> publish(IfPresent if_present) = 0;
};

class ObjectStore : public ObjectReader {
 public:
  // Refuses early when there is no room (Exhausted). The upload does not outlive the store.
  virtual Result<std::unique_ptr<ObjectUpload>> begin_upload(const format::ObjectName& name,
                                                             std::uint64_t expected_bytes) = 0;
  // DURABLE. Gives the file `file` in `directory` of the same file system the name of an object, without copying; it
  // keeps its old name too, and is not written to any more. Precondition: its bytes are durable and bear the name.
  // Unsupported where objects are no files, or not on that file system. With SetAside its bytes are copied.
  virtual Result<PutOutcome> adopt(const format::ObjectName& name, const std::string& directory,
                                   const std::string& file, IfPresent if_present);
  // Every stored name, in no order; stops at the first error of `visit`.
  virtual Status list(const std::function<Status(const format::ObjectName&)>& visit) = 0;
};

// "object 3f9a...", for messages.
std::string noun_of(const format::ObjectName& name);
// One call for small callers and tests.
Result<PutOutcome> put_object(ObjectStore& store, const format::ObjectName& name, ByteView object);
// Whole object of a known size.
Result<Bytes> read_object(ObjectReader& store, const format::ObjectName& name, std::uint64_t size);

}  // namespace exclave::store
