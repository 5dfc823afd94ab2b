#include "engine/detail/stream_order.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/bytes.h"
#include "env/at_once.h"
#include "store/vault_words.h"

namespace exclave::engine {
namespace {

struct Newest {
  format::EraNumber era;
  std::uint64_t started_ns = 0;
};

struct Look {
  std::optional<Newest> newest;  // none: no stream of this writer
  std::optional<Error> failure;
};

bool is_own(const CaptureContext& context, const format::StreamDescriptor& stream) {
  return stream.realm == context.policy.realm && stream.registry == context.registry.id &&
         stream.writer == context.writer.public_key();
}

// A vault cannot sign for the writer: what bears our signature is ours.
Look look_at(const CaptureContext& context, store::VaultApi& vault) {
  Look look;
  auto heads = vault.heads(context.registry.id);
  if (!heads.ok()) {
    look.failure = heads.take_error();
    return look;
  }
  std::vector<const format::SignedStream*> streams;
  for (const store::StreamHead& head : heads.value()) {
    if (is_own(context, head.stream.descriptor)) streams.push_back(&head.stream);
  }
  std::sort(streams.begin(), streams.end(), [](const auto* a, const auto* b) {
    return std::tie(a->descriptor.era, a->descriptor.start) > std::tie(b->descriptor.era, b->descriptor.start);
  });
  const auto newest =
      std::find_if(streams.begin(), streams.end(), [](const auto* stream) { return stream->check_signature().ok(); });
  if (newest != streams.end()) {
    look.newest = Newest{(*newest)->descriptor.era, load_u64((*newest)->descriptor.start.view())};
  }
  return look;
}

Result<std::optional<Newest>> ask_vaults(const CaptureContext& context, const std::map<std::string, Error>& away) {
  std::vector<Look> looks(context.vaults.size());
  env::at_once(
      context.env.threads, looks.size(), [&](std::size_t i) { return "look-" + context.vaults[i]->name(); },
      [&](std::size_t i) {
        const auto known = away.find(context.vaults[i]->name());
        if (known == away.end()) {
          looks[i] = look_at(context, *context.vaults[i]);
        } else {
          looks[i].failure = known->second;
        }
      });
  std::optional<Newest> newest;
  std::size_t answered = 0;
  store::TooFewVaults too_few;
  for (std::size_t i = 0; i < looks.size(); ++i) {
    const Look& look = looks[i];
    if (look.failure.has_value()) {
      too_few.add(context.vaults[i]->name(), *look.failure);
      continue;
    }
    ++answered;
    if (!look.newest.has_value()) continue;
    const bool is_later = !newest.has_value() || std::tie(newest->era, newest->started_ns) <
                                                     std::tie(look.newest->era, look.newest->started_ns);
    if (is_later) newest = look.newest;
  }
  if (answered >= context.policy.quorum.k) return newest;
  return too_few.error(answered, looks.size(), context.policy.quorum.k, "show what they hold",
                       "the capture was interrupted while it asked the vaults");
}

}  // namespace

Result<format::StreamStart> next_stream_start(const CaptureContext& context, repo::DedupIndex& index,
                                              const std::map<std::string, Error>& away) {
  const auto newest = TRY(ask_vaults(context, away));
  auto earliest = static_cast<std::uint64_t>(std::max<std::int64_t>(0, context.env.clock.now().nanoseconds));
  if (newest.has_value() && newest->era > context.era.number) {
    return Error(Code::Precondition, "registry " + context.registry.name + " has gone on in era " +
                                         std::to_string(newest->era.value()) + ", and this agent is in era " +
                                         std::to_string(context.era.number.value()))
        .hint("bring the operator's next era: exclave agent recover");
  }
  if (newest.has_value() && newest->era == context.era.number) {
    if (newest->started_ns == std::numeric_limits<std::uint64_t>::max()) {
      return Error(Code::Precondition, "registry " + context.registry.name + ": no later stream is possible in era " +
                                           std::to_string(context.era.number.value()))
          .hint("bring the operator's next era: exclave agent recover");
    }
    earliest = std::max(earliest, newest->started_ns + 1);
  }
  format::StreamStart start;
  store_u64(start.mutable_view(), TRY(index.take_start(earliest)));
  TRY(context.env.random.fill(start.mutable_view().subspan(8)));
  return start;
}

}  // namespace exclave::engine
