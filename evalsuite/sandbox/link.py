"""Messages over a socket: a length of eight bytes, then JSON."""

import socket
import struct
from typing import Any

from evalsuite.sandbox import codec

_LENGTH = struct.Struct("<Q")


class Closed(Exception):
    """The other side closed the connection."""


def send(link: socket.socket, message: Any) -> None:
    """Send a message; raises Closed, or ValueError if it is too large."""
    data = codec.dump(message)
    if len(data) > codec.LARGEST:
        raise ValueError(f"a message of {len(data) >> 20} MiB")
    try:
        link.sendall(_LENGTH.pack(len(data)) + data)
    except OSError as error:
        raise Closed(str(error)) from None


def receive(link: socket.socket, largest: int = codec.LARGEST) -> Any:
    """The next message.

    Raises Closed, codec.MalformedMessage, and TimeoutError if the socket has a timeout.
    """
    (length,) = _LENGTH.unpack(_exactly(link, _LENGTH.size))
    if length > largest:
        raise codec.MalformedMessage(f"a message of {length >> 20} MiB")
    return codec.load(_exactly(link, length))


def _exactly(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            part = link.recv(min(size - len(data), 1 << 20))
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from None
        if not part:
            raise Closed("end of file")
        data += part
    return bytes(data)
