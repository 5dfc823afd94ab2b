#include "env/network.h"

namespace exclave::env {

Status write_all(Connection& connection, ByteView data, Instant deadline) {
  while (!data.empty()) {
    const std::size_t written = TRY(connection.write_some(data, deadline));
    data = data.subspan(written);
  }
  return {};
}

}  // namespace exclave::env
