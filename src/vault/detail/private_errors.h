// Private errors: what the host's disk says goes into the vault's log, for its operator; a caller learns what failed
// and whether to come again, not how the host's files lie. Hides: which errors come from the disk and which are answers
// that a caller may have.
//
// Codes stay, but for Denied: the disk denies itself to the vault, which says nothing about the caller (Unavailable).
// Threads: as what is wrapped. One line in the log for each failed call.
#pragma once

#include <memory>
#include <string_view>

#include "env/log.h"
#include "store/object_store.h"
#include "table/table.h"

namespace exclave::vault::detail {

// `noun`: "object 3f9a...", "the vault's table". Logs `error`; the result names the noun and nothing else.
Error private_error(env::Log& log, std::string_view noun, const Error& error);

// A row's own error, from a scan's visitor, passes. `log` outlives the table.
std::unique_ptr<table::Table> with_private_errors(std::unique_ptr<table::Table> table, env::Log& log);
// NotFound, AlreadyExists and InvalidInput pass: they are answers. `log` outlives the store.
std::unique_ptr<store::ObjectStore> with_private_errors(std::unique_ptr<store::ObjectStore> store, env::Log& log);

}  // namespace exclave::vault::detail
