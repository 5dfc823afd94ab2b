#include "store/object_store.h"

namespace exclave::store {

Result<PutOutcome> ObjectStore::adopt(const format::ObjectName& name, const std::string&, const std::string&,
                                      IfPresent) {
  return Error(Code::Unsupported, noun_of(name) + ": this store takes no files over");
}

std::string noun_of(const format::ObjectName& name) {
  return "object " + name.hex();
}

Result<PutOutcome> put_object(ObjectStore& store, const format::ObjectName& name, ByteView object) {
  auto upload = TRY(store.begin_upload(name, object.size()));
  TRY(upload->append(object));
  return upload->publish(IfPresent::Keep);
}

Status ObjectReader::read_checked(const format::ObjectName& name, std::uint64_t offset, MutableByteView out,
                                  const Check& check) {
  TRY(read(name, offset, out));
  return check(out);
}

Status ObjectReader::read_checked(const format::ObjectName& name, std::span<const Range> ranges,
                                  const std::function<Status()>& check) {
  for (const Range& range : ranges) TRY(read(name, range.offset, range.out));
  return check();
}

Result<Bytes> read_object(ObjectReader& store, const format::ObjectName& name, std::uint64_t size) {
  Bytes object(size);
  TRY(store.read(name, 0, object));
  return object;
}

}  // namespace exclave::store
