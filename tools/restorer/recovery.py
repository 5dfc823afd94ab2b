"""What a restored server recovers with: the directory of log, its plan, and the settings. Page: wal-plan.md."""
import os
import re
import shlex

from .faults import Fault, say
from .log_pages import shown_position

FETCH = r"""#!/bin/sh
# The restore_command of a server that tools/restore.py restored: fetch NAME TARGET hands out one file of the log that lies here.
# 0: copied. 1: there is no such file behind the end of the plan. 126: any trouble; the server stops, and opens nothing.
# Only the shell itself decides, and says 1: a program that could not be started must not look like the end of the log.
answer=trouble
trap 'case $answer in copied) exit 0 ;; absent) exit 1 ;; *) exit 126 ;; esac' EXIT
here=${0%/*}
[ $# = 2 ] && [ -f "$here/wal.plan" ] || exit
case $1 in
@FILES@) ;;
*[!0-9A-F]*.history) exit ;;
????????.history) answer=absent; exit ;;
*[!0-9A-F]*) exit ;;
????????????????????????)
  behind=${1#????????}
  if [ "$behind" = @FIRST@ ] || [ "$behind" \> @FIRST@ ]; then answer=absent; fi
  exit ;;
*) exit ;;
esac
cp -- "$here/$1" "$2" && [ "$(wc -c <"$2")" -eq "$(wc -c <"$here/$1")" ] || exit
case $1 in
*.history) answer=copied ;;
*) [ "$(wc -c <"$2")" -eq @SEGMENT_BYTES@ ] && answer=copied ;;
esac
"""

# The same as `exclave restore` writes (src/pg/recovery_files.cc, src/engine/database_restore.cc); a test compares them.
SETTINGS = [("recovery_target", ""), ("recovery_target_lsn", ""), ("recovery_target_name", ""), ("recovery_target_time", ""),
            ("recovery_target_xid", ""), ("recovery_target_inclusive", "on"), ("recovery_target_action", "promote"),
            ("archive_cleanup_command", ""), ("recovery_end_command", ""), ("recovery_min_apply_delay", "0"), ("primary_conninfo", ""), ("primary_slot_name", ""),
            ("archive_mode", "off"), ("synchronous_standby_names", ""), ("hot_standby", "off")]


class Place:
    """Where a database goes: a fresh data directory and a fresh directory of log, both of the user that runs the server."""

    def __init__(self, target, log):
        self.target, self.log = os.path.abspath(target), os.path.abspath(log or target.rstrip("/") + ".wal")
        for path in (self.target, self.log):
            if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
                raise Fault(f"'{path}'", "is not empty, or no directory", "name a fresh directory")
        if "\n" in self.log:
            raise Fault(f"'{self.log}'", "has a line feed in its name, which no setting of a server can have")
        self.owner = None
        if os.geteuid() == 0:
            self.owner = owner_of(self.target)
            if self.owner is None or self.owner[0] == 0:
                raise Fault(f"target '{self.target}'", "must be there, and belong to the user that runs the server",
                            f"install -d -m 700 -o postgres -g postgres {shlex.quote(self.target)}; or --files-only, for files "
                            "that no server is started from")
        if not os.path.isdir(self.log):
            os.mkdir(self.log, 0o700)

    def give(self, path):
        if self.owner:
            os.chown(path, *self.owner, follow_symlinks=False)

    def write(self, path, data, mode=0o600, flags=os.O_EXCL):
        """A file of the server's user, whole on disk."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        self.give(path)

    def write_plan(self, log, segments):
        """Histories, the command that hands them out, and the plan, last: without it nothing is handed out."""
        names = list(segments)
        for part in log.parts:
            history = log.history(part.timeline) if part.timeline != 1 else None
            if history is not None:
                names.append(f"{part.timeline:08X}.history")
                self.write(os.path.join(self.log, names[-1]), history)
            elif part.timeline != 1 and part is not log.parts[0]:
                raise Fault(log.noun, f"the history of timeline {part.timeline} is in no journal")
        for name in segments:
            self.give(os.path.join(self.log, name))
        script = FETCH.replace("@FILES@", "|".join(names)).replace("@SEGMENT_BYTES@", str(log.base.segment_bytes))
        self.write(os.path.join(self.log, "fetch"), script.replace("@FIRST@", segments[0][8:]).encode(), 0o700)
        lines = ["exclave/wal-plan/v1", f"system {log.base.system}", f"segment-bytes {log.base.segment_bytes}"]
        lines += [f"timeline {p.timeline} {shown_position(p.begin)} {shown_position(p.end)}" for p in log.parts]
        self.write(os.path.join(self.log, "wal.plan"), "".join(f"{line}\n" for line in lines).encode())
        self.give(self.log)

    def make_ready(self, log):
        """From the base backup's files to a server that recovers to the plan's end when it is started."""
        spaces = self.lead_tablespaces()
        command = f"exec {shlex.quote(os.path.join(self.log, 'fetch'))} ".replace("%", "%%") + '"%f" "%p"'
        last = log.parts[-1].timeline
        # A server takes what it cannot read for the end of the log: this one does not open before the last record.
        settings = [("restore_command", command), *SETTINGS, ("recovery_target_lsn", shown_position(log.reader.last_record)),
                    ("recovery_target_timeline", "current" if last == log.base.timeline else str(last))]
        lines = [f"{name} = '{quoted(value)}'\n" for name, value in settings]
        text = "# From here on: tools/restore.py.\n" + "".join(lines)
        self.write(os.path.join(self.target, "postgresql.auto.conf"), b"\n" + os.fsencode(text), flags=os.O_APPEND)
        standby = os.path.join(self.target, "standby.signal")
        if os.path.lexists(standby):
            os.unlink(standby)
        if not os.path.exists(os.path.join(self.target, "postgresql.conf")):
            say("there is no postgresql.conf: bring the server's settings (--config-file), after you have looked at them")
        self.write(os.path.join(self.target, "recovery.signal"), b"")
        return spaces

    def lead_tablespaces(self):
        """snapshot.md: tablespaces lie in exclave_tablespaces/OID here; the server makes the links from tablespace_map."""
        path, lines = os.path.join(self.target, "tablespace_map"), []
        if not os.path.exists(path):
            return []
        with open(path, "rb") as file:
            # One line each: OID, a space, the place; a line feed in it stands behind a backslash.
            spaces = [oid.decode() for oid in re.findall(rb"^(\d+) (?:\\.|[^\\\n])*$", file.read(), re.M | re.S)]
        for oid in spaces:
            place = os.path.join(self.target, "exclave_tablespaces", oid)
            if not os.path.isdir(place):
                raise Fault(f"tablespace {oid}", f"is not in the base backup: '{place}' is missing")
            escaped = re.sub(rb"([\\\n\r])", rb"\\\1", os.fsencode(place))
            lines.append(oid.encode() + b" " + escaped + b"\n")
        self.write(path, b"".join(lines), flags=os.O_TRUNC)
        return [os.path.join(self.target, "exclave_tablespaces", oid) for oid in spaces]


def owner_of(path):
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid


def quoted(value):
    """A value between single quotes in a server's configuration."""
    return os.fsdecode(value).replace("\\", "\\\\").replace("'", "''")
