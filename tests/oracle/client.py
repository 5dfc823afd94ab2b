"""A PostgreSQL client as small as a test needs: one connection over a unix socket, trust, text results.

A commit through it costs a round trip, not the start of a psql; and it sees what psql hides: a commit that the server
confirms with a warning that its wait was cancelled is not an acknowledged one.
"""
import socket
import struct

CONNECT_SECONDS = 5
ANSWER_SECONDS = 120


class ServerError(Exception):
    """The server said no."""


class NotAcknowledged(Exception):
    """The server committed at home only, and said so."""


class Client:
    def __init__(self, sockets, port, user="postgres", database="postgres"):
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(CONNECT_SECONDS)
            self._socket.connect(f"{sockets}/.s.PGSQL.{port}")
            self._socket.settimeout(ANSWER_SECONDS)
            self._buffer = b""
            options = b"user\0" + user.encode() + b"\0database\0" + database.encode() + b"\0\0"
            self._socket.sendall(struct.pack("!ii", 8 + len(options), 196608) + options)
            self._answer()
        except BaseException:
            self._socket.close()
            raise

    def close(self):
        self._socket.close()

    def query(self, text):
        """Rows of text (None: null), of the last statement that had any."""
        body = text.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", 4 + len(body)) + body)
        return self._answer()

    def _answer(self):
        rows, error, warning = [], None, None
        while True:
            kind, body = self._message()
            if kind == b"Z":
                break
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                error = _fields(body)
                if error.get("S") == "FATAL":
                    break
            elif kind == b"N" and "synchronous replication" in _fields(body).get("M", ""):
                warning = _fields(body)["M"]
            elif kind == b"R" and body[:4] != b"\0\0\0\0":
                raise ServerError("this client knows trust only")
        if error is not None:
            raise ServerError(error.get("M", "?"))
        if warning is not None:
            raise NotAcknowledged(warning)
        return rows

    def _message(self):
        head = self._exactly(5)
        return head[:1], self._exactly(struct.unpack("!i", head[1:])[0] - 4)

    def _exactly(self, size):
        while len(self._buffer) < size:
            some = self._socket.recv(65536)
            if not some:
                raise ConnectionResetError("the server closed the connection")
            self._buffer += some
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def _fields(body):
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def _row(body):
    row, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        size = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        row.append(None if size < 0 else body[at:at + size].decode())
        at += max(size, 0)
    return row
