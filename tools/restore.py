#!/usr/bin/env python3
"""Restores a snapshot from a vault's bytes without Exclave. Written from docs/formats alone, as the proof that they suffice.

    tools/restore.py list      KEYS                               the snapshots that the released keys open
    tools/restore.py ls        KEYS [--snapshot S]                the entries of one
    tools/restore.py restore   KEYS [--snapshot S] --target DIR [PATH...]
    tools/restore.py restore   KEYS --dataset D --target DIR [--wal DIR]   a database: its base backup and its log, ready to start
    tools/restore.py explain   [KEYS] --object FILE               one sealed object, step by step
    tools/restore.py check     --vault DIR...                     every object's name against its bytes; no keys
    tools/restore.py self-test                                    every worked example of docs/formats

    KEYS = --vault DIR... --first-policy HASH --release FILE --approval FILE... (--site DIR | --recipient-key FILE)
           [--acts DIR...] [--streams FILE...]

Needs Linux, Python 3.9 or later, python3-cryptography and libzstd.so.1 (used by ctypes; tools/restorer/primitives.py says why).
The modules in tools/restorer/ follow the pages of docs/formats; each names its own.

What it trusts: the hash given as --first-policy, and this machine. Policies, era documents, request, approvals, stream
entries, object names, seals, chunk ids, content ids, frames and every record of a database's log are checked on the way, each
as its page in docs/formats says. A file gets its name in the target only when its last byte was checked; whatever fails is
named and left out, and everything else is restored. Copies are tried vault by vault, frames of journals too. Nothing is written outside of --target and --wal, and nothing
in the vaults' directories.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some attributes or entries could not be restored, 10 not found,
12 a key, document or approval was refused, 13 damaged bytes: something was left out, 14 a database's log has a hole, or an end
that the vaults given do not prove.
"""
import argparse
import datetime
import hashlib
import os
import pathlib
import re
import sys

from restorer.database_log import DatabaseLog, Opening, Unusable, Wal, read_journal_record
from restorer.faults import Damaged, Fault, NotFound, Unproven, say, shown
from restorer.journals import FRONT_BYTES, Front, Journals, frame_bytes, open_frame
from restorer.listing import DIRECTORY, SYMLINK
from restorer.log_pages import shown_position
from restorer.plaintext import (DATABASE, FOOTER_BYTES, INDEX, SNAPSHOT, index_sections, pack_directory, payload_of, read_footer,
                                read_record)
from restorer.policy import era_document, policy_chain
from restorer.primitives import tree_hash
from restorer.recovery import Place
from restorer.release import Release, read_recipient_key, release_keys
from restorer.signed_text import DOCUMENT_BYTES, read_file
from restorer.snapshots import Chunks, snapshots
from restorer.streams import Streams
from restorer.vaults import JOURNAL_SUITE, Sealed, Vaults, is_journal, open_object, read_header
from restorer.writing import Restorer, Target


def acts_of(directories):
    """Every signed document in these directories, by hash. What is none is passed over: acts authenticate themselves."""
    acts = {}
    for directory in directories:
        for path in sorted(pathlib.Path(directory).iterdir()) if os.path.isdir(directory) else []:
            if path.is_file() and path.stat().st_size <= DOCUMENT_BYTES:
                data = path.read_bytes()
                if data.startswith((b"exclave/policy/", b"exclave/era/")):
                    acts[hashlib.sha256(data).digest()] = data
    return acts


def open_keys(options):
    """From files to released keys: chain of policies, request, era document, approvals."""
    if not re.fullmatch("[0-9a-f]{64}", options.first_policy or ""):
        raise Fault("--first-policy", "is needed: the SHA-256 of the text of the realm's first policy, 64 hexadecimal digits")
    if not options.release or not (options.recipient_key or options.site):
        raise Fault("--release", "is needed, and --site or --recipient-key with it")
    directories = list(options.acts) + [os.path.join(v, "acts") for v in options.vault]
    directories += [os.path.join(options.site, "acts")] if options.site else []
    acts = acts_of(directories)
    chain = policy_chain(acts, bytes.fromhex(options.first_policy))
    release = Release(read_file(options.release, DOCUMENT_BYTES), f"release {options.release}")
    policy, registry = release.check(chain)
    key_file = options.recipient_key or os.path.join(options.site, "releases", release.id.hex() + ".key")
    recipient = read_recipient_key(key_file, release)
    era = era_document(acts, chain, registry.id, release.era)
    return release_keys(release, policy, era, options.approval, recipient, chain)


def open_vaults(options, keys):
    vaults = Vaults(options.vault)
    if options.streams:
        streams = Streams(keys)
        for path in options.streams:
            streams.load(path)
        streams.check()
        for _, gap in streams.gaps:
            say(gap)
        vaults.listed, vaults.streams = streams.entries, streams
        say(f"streams: {len(streams.entries)} entries signed by the registry's writers")
    else:
        say("no streams given: that an object comes from home is known from its seal alone, that none is missing is not known")
    return vaults


def choose(found, options):
    if options.dataset:
        found = [r for r in found if r.dataset == os.fsencode(options.dataset)]
    if options.snapshot != "latest":
        found = [r for r in found if r.name.hex().startswith(options.snapshot)]
        if len(found) > 1:
            raise NotFound(f"snapshot '{options.snapshot}'", "fits several", "give more digits")
    if not found:
        raise NotFound(f"snapshot '{options.snapshot}'", "is not in these vaults, or not in the released periods")
    record = found[-1]
    missing = [p for p in range(record.oldest, record.period + 1) if p not in options.keys.periods]
    if missing:
        say(f"snapshot {record.name.hex()[:12]} refers to periods {missing}, which were not released: some of it may not open")
    return record


def instant(nanoseconds):
    seconds, rest = divmod(nanoseconds, 10**9)
    whole = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return f"{whole:%Y-%m-%d %H:%M:%S}.{rest:09d}"


def command_list(options):
    vaults = open_vaults(options, options.keys)
    print(f"{'snapshot':12}  {'dataset':12} {'number':>6}  {'started (UTC)':29} {'files':>9} {'bytes':>15}  periods  source")
    for record in snapshots(vaults, options.keys):
        print(f"{record.name.hex()[:12]}  {shown(record.dataset):12} {record.number:6}  {instant(record.started)}"
              f" {record.files:9} {record.bytes:15}  {record.oldest}-{record.period:<5}  {shown(record.source)}")
    return 0


def chunks_of_choice(options):
    vaults = open_vaults(options, options.keys)
    return chunks_of(vaults, choose(snapshots(vaults, options.keys), options), options)


def chunks_of(vaults, record, options):
    say(f"snapshot {record.name.hex()}: {shown(record.dataset)} number {record.number}, {record.files} files, "
        f"{record.bytes} bytes, opened by {', '.join(options.keys.approved_by)}")
    return Chunks(vaults, options.keys, record)


def command_ls(options):
    for e in chunks_of_choice(options).entries():
        kind = "?-dlpscb"[e.type]
        users = "/".join(f"{number}({shown(name)})" for number, name in zip(e.owner[:2], e.owner[2:]))
        extra = f" -> {shown(e.target)}" if e.type == SYMLINK else ""
        print(f"{kind}{e.mode:04o} {users} {e.size:12} {instant(e.mtime)} {shown(e.path) or '.'}{extra}")
    return 0


def wanted(entry, paths):
    """The entry is one of `paths`, below one, or a directory on the way to one."""
    mine = entry.parts
    return not paths or any(mine[:len(p)] == p or (entry.type == DIRECTORY and p[:len(mine)] == mine) for p in paths)


def command_restore(options):
    vaults = open_vaults(options, options.keys)
    found = snapshots(vaults, options.keys)
    record = choose(found, options)
    if record.kind == DATABASE and not options.paths and not options.files_only:
        return restore_database(vaults, record, found, options)
    return restore_files(chunks_of(vaults, record, options), options)


def restore_files(chunks, options, owner=None):
    paths = [os.fsencode(p).strip(b"/").split(b"/") for p in options.paths]
    seen, count = set(), 0
    for entry in chunks.entries():  # the whole listing is read once before anything is written
        for i, path in enumerate(paths):
            if entry.parts == path:
                seen.add(i)
        count += 1
    if len(seen) != len(paths):
        raise NotFound("snapshot", "has no " + ", ".join(shown(b"/".join(p)) for i, p in enumerate(paths) if i not in seen))
    restorer = Restorer(chunks, Target(options.target), owner)
    for entry in chunks.entries():
        if wanted(entry, paths):
            restorer.entry(entry)
    restorer.finish()
    if options.sync:
        os.sync()
    say(f"restored {restorer.written} of {count} entries into {options.target}"
        + ("" if restorer.root else "; owners were not restored, because this is not root"))
    if restorer.damaged:
        say(f"{len(restorer.damaged)} entries were left out, because bytes that they need are damaged or missing everywhere")
        return Damaged.exit_code
    return 3 if restorer.problems else 0


def restore_database(vaults, record, found, options):
    """The log first, whole and checked; then the base backup; then what lets a server start from both."""
    place = Place(options.target, options.wal)
    journals = Journals(vaults, options.keys, vaults.streams)
    older = [r for r in found if r.kind == DATABASE and (r.dataset, r.system) == (record.dataset, record.system)
             and r.started < record.started] if options.snapshot == "latest" else []
    for base in [record, *reversed(older)]:
        log = DatabaseLog(journals, base, place.log)
        try:
            log.gather()
            log.find_end()
            is_proven = prove(log, options)
            break
        except BaseException as error:
            log.files.remove_all()
            if not isinstance(error, Unusable) or base is (older or [record])[0]:
                raise
            say(f"passed over: {error}")
    place.write_plan(log, log.finish())
    code = restore_files(chunks_of(vaults, base, options), options, place.owner)
    if code == Damaged.exit_code:
        say("the database was not made ready: no server must be started from files that are not whole")
        return code
    for space in place.make_ready(log):
        say(f"tablespace: {space}")
    for each in log.exposures:
        say(f"exposure: {shown_position(each.begin)} to {shown_position(each.end)} were acknowledged before enough vaults had them, "
            f"{instant(each.began)} to {instant(each.ended)}: {shown(each.reason)}")
    last = f", the last at {instant(log.reader.last_commit * 1000)} UTC" if log.reader.commits else ""
    print(f"a server of version {base.major} that is started from {place.target} recovers to {shown_position(log.end)} on timeline "
          f"{log.parts[-1].timeline}: {log.reader.records} records, {log.reader.commits} commits{last}")
    if options.sync:
        os.sync()
    return code if is_proven else 3


def prove(log, options):
    reasons = log.proof()
    for reason in reasons:
        say(f"NOT proven: {reason}")
    if reasons and not options.accept_unproven_end:
        raise Unproven(log.noun, log.hole or f"its end {shown_position(log.end)} is not proven to be the last that was acknowledged",
                       "bring other vaults' directories; if there are none, --accept-unproven-end takes what is there")
    say(f"{log.noun}: ends at {shown_position(log.end)}, " + ("NOT proven" if reasons else "proven"))
    return not reasons


def command_check(options):
    """Every file's name against its bytes, in every vault."""
    bad = good = 0
    for name, copies in Vaults(options.vault).names().items():
        for path in copies:
            try:
                descriptor, size = open_object(path)
                with open(descriptor, "rb") as file:
                    data = file.read(size)
                read_header(data[:48], size, "header", JOURNAL_SUITE) if is_journal(data) else Sealed.of_bytes(data, "header")
                if tree_hash(data) != name:
                    raise ValueError("its bytes were altered")
                good += 1
            except (OSError, ValueError, Damaged) as error:
                bad += 1
                print(f"{path}: {error}")
    print(f"{good} objects whole, {bad} damaged")
    return Damaged.exit_code if bad else 0


def command_explain(options):
    """One object, and every documented step from the file to what stands inside."""
    data = read_file(options.object, 1 << 24)
    name = tree_hash(data).hex()
    if is_journal(data):
        return explain_journal(data, name, options)
    sealed = Sealed.of_bytes(data, f"object {name}")
    steps = {"file": options.object, "name (tree hash)": name, "magic": data[:8], "suite": data[8:10], "version": data[10:12],
             "class": f"{data[12:13].hex()} (2^{sealed.object_class} bytes)", "registry": sealed.registry,
             "era": f"{data[32:36].hex()} ({sealed.era})", "period": f"{data[36:40].hex()} ({sealed.period})",
             "ct": sealed.ct, "salt": sealed.salt, "commitment in the file": sealed.commitment,
             "segments": str(sealed.segments), "plaintext bytes": str(sealed.plain_size)}
    print_steps(steps)
    if os.path.basename(options.object) not in (name, ""):
        print("  the file is not called by its name: these bytes are not the object that was asked for, or were copied here")
    if options.keys is None:
        print("no keys given: what stands inside stays closed")
        return 0
    try:
        sealed.unlock(options.keys)
    finally:
        print_steps(sealed.steps)
    plain = sealed.plain(0, sealed.plain_size)
    print_steps({"opened": f"{sealed.segments} segments, each tag matches",
                 "SHA-256 of plaintext": hashlib.sha256(plain).digest()})
    explain_plain(sealed, bytes.fromhex(name))
    return 0


def explain_journal(data, name, options):
    """A segment of a journal, closed or still open, frame by frame."""
    front = Front(data[:FRONT_BYTES], len(data), f"segment {name}")
    print_steps({"file": options.object, "name if closed": name, "class": f"2^{front.object_class} bytes", "era": front.era,
                 "period": front.period, "ct": front.ct, "stream": front.stream, "index": front.index,
                 "commitment in the file": front.commitment})
    if options.keys is None:
        print("no keys given: what stands inside stays closed")
        return 0
    front.unlock(options.keys, front.stream, front.index)
    at = FRONT_BYTES
    while at < len(data) and (raw := frame_bytes(data, at)):
        frame = open_frame(front, raw, at)
        record = read_journal_record(frame.content, f"frame {frame.number}")
        says = " ".join(str(shown(v) if isinstance(v, bytes) else v) for v in record[1:]) if isinstance(record, Opening) else ""
        if isinstance(record, Wal):
            says = f"timeline {record.timeline} from {shown_position(record.start)}, {len(record.data)} bytes"
        print(f"    frame {frame.number:6} at {at:9} {len(frame.content):8} {type(record).__name__.lower()} {says}")
        at = frame.end
    print_steps({"behind the frames": "zeros" if data.count(0, at) == len(data) - at else "bytes that are no frame"})
    return 0


def print_steps(steps):
    for label, value in steps.items():
        print(f"  {label:24} {value.hex() if isinstance(value, bytes) else value}")


def explain_plain(sealed, name):
    kind, payload, entries = read_footer(sealed)
    print_steps({"footer": sealed.plain(sealed.plain_size - FOOTER_BYTES, FOOTER_BYTES),
                 "type": f"{kind} ({('pack', 'index', 'snapshot')[kind - 1]}), {payload} bytes, {entries} entries"})
    if kind == SNAPSHOT:
        record = read_record(payload_of(sealed, SNAPSHOT)[0], sealed.noun)
        print_steps({k: shown(v) if k in ("dataset", "host", "source", "program") else "none" if v is None else v
                     for k, v in record.fields.items()})
        print_steps({f"listing chunk {i}": f"{c.hex()} {size} bytes" for i, (c, size) in enumerate(record.listing)})
        print_steps({f"index {i}": f"{n.hex()} class {c} period {p}" for i, (n, c, p) in enumerate(record.indexes)})
    elif kind == INDEX:
        for pack, object_class, period, directory in index_sections(sealed):
            print(f"  pack {pack.hex()} class {object_class} period {period}")
            print_directory(directory)
    else:
        print_directory(pack_directory(sealed, name))


def print_directory(directory):
    for chunk, place in directory:
        print(f"    chunk {chunk.hex()} at {place.offset:9} stored {place.stored:8} plain {place.plain:8}"
              f" {('content', 'group', 'listing')[place.kind - 1]:7} {('raw', 'zstd')[place.codec]}")


def command_self_test(options):
    from restorer import self_test
    return self_test.run(pathlib.Path(options.docs))


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description="restores from a vault's directory without Exclave (docs/formats/)",
                                     epilog=__doc__.split("\n\n", 2)[2], formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, run, text, keys=True):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run, needs_keys=keys, keys=None)
        if keys is not None:
            added.add_argument("--vault", action="append", default=[], required=bool(keys), metavar="DIR",
                               help="a vault's directory (repeat it: damaged copies are gone round)")
            added.add_argument("--first-policy", metavar="HASH", help="SHA-256 of the realm's first policy: the root of trust")
            added.add_argument("--release", metavar="FILE", help="the request that the officials approved")
            added.add_argument("--approval", action="append", default=[], metavar="FILE",
                               help="an official's approval (repeat it)")
            added.add_argument("--site", metavar="DIR", help="the site's folder: acts/ and releases/ID.key are taken from it")
            added.add_argument("--recipient-key", metavar="FILE", help="the release's private key, if not in --site")
            added.add_argument("--acts", action="append", default=[], metavar="DIR",
                               help="a directory with policies and era documents, besides those of vaults and site")
            added.add_argument("--streams", action="append", default=[], metavar="FILE",
                               help="signed streams: a vault's answers, or `ldb --db=VAULT/table dump --hex` (repeat it)")
        return added

    def selecting(added):
        added.add_argument("--snapshot", default="latest", help="'latest' or the first digits of its name")
        added.add_argument("--dataset", help="only snapshots of this dataset")
        return added

    command("list", command_list, "list the snapshots that the released keys open")
    selecting(command("ls", command_ls, "list a snapshot's entries"))
    restore = selecting(command("restore", command_restore, "restore a snapshot into a fresh directory"))
    restore.add_argument("--target", required=True, metavar="DIR", help="a fresh directory; nothing is written outside of it")
    restore.add_argument("--wal", metavar="DIR", help="of a database: where its log goes; TARGET.wal if not given")
    restore.add_argument("--files-only", action="store_true", help="a base backup's files as they were captured, without the log")
    restore.add_argument("--accept-unproven-end", action="store_true",
                         help="of a database: take what is there, although the vaults given do not prove that it is all")
    restore.add_argument("--no-sync", dest="sync", action="store_false", help="do not wait until everything is on disk")
    restore.add_argument("paths", nargs="*", metavar="PATH", help="only these paths, and what is below them")
    explain = command("explain", command_explain, "open one sealed object and print every step; without keys, its clear part",
                      keys=False)
    explain.add_argument("--object", required=True, metavar="FILE")
    check = command("check", command_check, "compare every object's name with its bytes; needs no keys", keys=None)
    check.add_argument("--vault", action="append", required=True, metavar="DIR")
    test = command("self-test", command_self_test, "open every worked example of docs/formats", keys=None)
    test.add_argument("--docs", default=pathlib.Path(__file__).resolve().parents[1], metavar="DIR", help="the repository")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse_arguments(arguments)
    try:
        if options.needs_keys or getattr(options, "release", None):
            options.keys = open_keys(options)
        return options.run(options)
    except Fault as error:
        say(f"restore.py: {error}")
        if error.hint:
            say(f"hint: {error.hint}")
        return error.exit_code
    except OSError as error:
        say(f"restore.py: {error.filename or 'the system'}: {error.strerror}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
