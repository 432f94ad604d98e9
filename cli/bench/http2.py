"""gRPC's unary calls over bare sockets: a client that costs so little that the server is what is measured.

A call is two HTTP/2 frames (RFC 9113) whose bytes are ready but for the stream's number; header names and values go
over once per connection and are table indices (HPACK, RFC 7541) from then on. Of an answer only frame headers are read:
one that carried a message went well, one of trailers alone was refused. One method per connection; no TLS.
"""

from __future__ import annotations

import socket
import struct
from collections import deque

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
LARGEST_WINDOW = (1 << 31) - 1
TOP_UP = 1 << 29
READ = 1 << 18

_FRAME = struct.Struct(">BHBBI")  # length as 8 + 16 bits, type, flags, stream
_SETTING = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")


class ConnectionLost(Exception):
    """The server closed the connection, or said that it will."""


class Connection:
    """One HTTP/2 connection for calls of one method; not blocking, driven by ``select``.

    Args:
        address: "HOST:PORT", plain text.
        path: the method, as "/package.Service/Method".
    """

    def __init__(self, address: str, path: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due: dict[int, float] = {}
        """Stream -> the time its call was meant to start at."""
        self.received = 0
        """Bytes of answers."""
        self._answered: set[int] = set()
        self._stream = 1
        self._first = _first_headers(path, address)
        self._unread = b""
        self._out = bytearray(
            PREFACE
            + _frame(SETTINGS, 0, 0, _SETTING.pack(INITIAL_WINDOW_SIZE, LARGEST_WINDOW))
            + _frame(WINDOW_UPDATE, 0, 0, _NUMBER.pack(LARGEST_WINDOW - 65_535))
        )
        self._consumed = 0
        self._window = self._stream_window = 65_535
        self._frame_size = 16_384
        self._waiting: deque[tuple[bytes, float]] = deque()

    @property
    def pending(self) -> int:
        """Calls begun and not answered."""
        return len(self.due) + len(self._waiting)

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes wait for the socket."""
        return bool(self._out)

    def call(self, message: bytes, due: float) -> None:
        """Begin a call with a length-prefixed message; bytes go out with the next ``write``."""
        if self._waiting or len(message) > self._window:
            self._waiting.append((message, due))
            return
        if len(message) > self._stream_window:
            raise ValueError(f"a message of {len(message)} bytes: the server takes {self._stream_window} at once")
        stream, self._stream = self._stream, self._stream + 2
        self.due[stream] = due
        self._window -= len(message)
        headers, self._first = self._first, _LATER_HEADERS
        self._out += _frame(HEADERS, END_HEADERS, stream, headers)
        for start in range(0, len(message), self._frame_size):
            part = message[start : start + self._frame_size]
            last = END_STREAM if start + self._frame_size >= len(message) else 0
            self._out += _frame(DATA, last, stream, part)

    def write(self) -> None:
        """Send what the socket takes."""
        if self._out:
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return
            del self._out[:sent]

    def read(self) -> list[tuple[float, bool]]:
        """What came: for every finished call its due time, and whether it carried an answer.

        Raises:
            ConnectionLost: the server closed.
        """
        try:
            came = self.socket.recv(READ)
        except BlockingIOError:
            return []
        if not came:
            raise ConnectionLost("the server closed the connection")
        buffer, place, finished = self._unread + came, 0, []
        end = len(buffer)
        while end - place >= 9:
            high, low, kind, flags, stream = _FRAME.unpack_from(buffer, place)
            size = high << 16 | low
            if end - place - 9 < size:
                break
            body, place = place + 9, place + 9 + size
            if kind == DATA:
                self._answered.add(stream)
                self._consumed += size
                self.received += size
            elif kind == HEADERS:
                if flags & END_STREAM:
                    finished.append(self._done(stream))
            elif kind != WINDOW_UPDATE or stream == 0:
                finished += self._control(kind, flags, stream, buffer[body:place])
        self._unread = buffer[place:]
        if self._consumed > TOP_UP:
            self._out += _frame(WINDOW_UPDATE, 0, 0, _NUMBER.pack(self._consumed))
            self._consumed = 0
        return finished

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _done(self, stream: int) -> tuple[float, bool]:
        answered = stream in self._answered
        self._answered.discard(stream)
        return self.due.pop(stream), answered

    def _control(self, kind: int, flags: int, stream: int, body: bytes) -> list[tuple[float, bool]]:
        if kind == SETTINGS and not flags & ACK:
            for place in range(0, len(body), _SETTING.size):
                key, value = _SETTING.unpack_from(body, place)
                if key == INITIAL_WINDOW_SIZE:
                    self._stream_window = value
                elif key == MAX_FRAME_SIZE:
                    self._frame_size = value
            self._out += _frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._out += _frame(PING, ACK, 0, body)
        elif kind == WINDOW_UPDATE:
            self._window += _NUMBER.unpack(body)[0]
            waiting, self._waiting = self._waiting, deque()
            for message, due in waiting:
                self.call(message, due)
        elif kind == RST_STREAM and stream in self.due:
            self._answered.discard(stream)
            return [(self.due.pop(stream), False)]
        elif kind == GOAWAY:
            raise ConnectionLost("the server said goodbye")
        return []


def prefixed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, with its length."""
    return b"\x00" + _NUMBER.pack(len(message)) + message


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    size = len(body)
    return _FRAME.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + body


def _first_headers(path: str, authority: str) -> bytes:
    """:method POST and :scheme http from the static table; the rest by value, to be remembered by the server."""
    return b"".join([
        b"\x83\x86",
        b"\x44", _text(path),
        b"\x41", _text(authority),
        b"\x5f", _text("application/grpc"),
        b"\x40", _text("te"), _text("trailers"),
    ])  # fmt: skip


_LATER_HEADERS = b"\x83\x86\xc1\xc0\xbf\xbe"
"""The same six: entries 65 to 62 of the table are path, authority, content-type and te."""


def _text(value: str) -> bytes:
    raw = value.encode()
    if len(raw) > 126:
        raise ValueError(f"a header value of {len(raw)} bytes; expected at most 126")
    return bytes([len(raw)]) + raw
