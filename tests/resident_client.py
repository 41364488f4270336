"""The client of `tests.resident`: hands arguments, streams, folder and environment on, and waits for the end.

It runs as ``python -I -S resident_client.py SOCKET [ARGUMENT]…`` for each command of a transcript, so it
imports next to nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

LENGTH = 4
KILLED = 137


def call(
    address: str,
    arguments: Sequence[bytes],
    folder: bytes,
    environ: Mapping[bytes, bytes],
    streams: tuple[int, int, int],
) -> int:
    """Have a command run on three streams; returns its exit code once its process has ended."""
    import _socket

    parts = [folder, b"%d" % len(arguments), *arguments, *(b"%b=%b" % item for item in environ.items())]
    message = b"\0".join(parts)
    caller = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    caller.connect(address)
    handed = b"".join(number.to_bytes(4, sys.byteorder) for number in streams)
    head = len(message).to_bytes(LENGTH, "big")
    caller.sendmsg([head], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, handed)])
    caller.sendall(message)
    said = b""
    # Until the stream ends, not only the answer: then the process is gone, and its locks with it.
    while received := caller.recv(64):
        said += received
    caller.close()
    return int(said) if said else KILLED


if __name__ == "__main__":
    given = [os.fsencode(argument) for argument in sys.argv[2:]]
    os._exit(call(sys.argv[1], given, os.getcwdb(), os.environb, (0, 1, 2)))
