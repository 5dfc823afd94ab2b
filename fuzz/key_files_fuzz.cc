// Key files of every kind: rejected, or read; those that programs rewrite are written back byte for byte.
#include "base/check.h"
#include "custody/key_files.h"
#include "env/testing/one_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exclave;  // a test program of one file
  const ByteView input(data, size);
  env::testing::OneFile files(input);
  for (const auto use : {custody::SigningUse::VaultIdentity, custody::SigningUse::VaultReceipt,
                         custody::SigningUse::Writer, custody::SigningUse::Site, custody::SigningUse::Ceremony}) {
    ignore(custody::read_signing_key(files, "k", use), "only that it returns matters");
  }
  ignore(custody::open_key_file_credential(files, "d"), "only that it returns matters");
  ignore(custody::open_paper_credential(files, "k"), "only that it returns matters");
  const auto recipient = custody::read_recipient_key(files, "k");
  if (recipient.ok()) {
    CHECK(custody::create_recipient_key(files, "k", recipient.value()).ok());
    CHECK(equal(files.content(), input));
  }
  const auto agent = custody::read_agent_keys(files, "k");
  if (agent.ok() && agent.value().periods.size() <= 80) {
    CHECK(custody::write_agent_keys(files, "k", agent.value()).ok());
    CHECK(equal(files.content(), input));
  }
  return 0;
}
