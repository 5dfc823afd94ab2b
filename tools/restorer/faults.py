"""What is said when something is refused, and with which exit code (docs/operations/messages.md)."""
import sys


class Fault(Exception):
    """The object or document, and what is wrong with it."""

    exit_code = 1

    def __init__(self, noun, why, hint=""):
        super().__init__(f"{noun}: {why}")
        self.hint = hint


class NotFound(Fault):
    exit_code = 10


class Denied(Fault):
    exit_code = 12


class Damaged(Fault):
    exit_code = 13


class Unproven(Fault):
    """More may have been acknowledged than the vaults given show."""

    exit_code = 14


def say(text):
    print(text, file=sys.stderr, flush=True)


def shown(raw):
    """A path for a terminal: what is not printable is escaped, and the escape character too, so that no two print alike."""
    text = raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
