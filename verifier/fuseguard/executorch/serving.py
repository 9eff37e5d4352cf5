"""Runs one worker in a process of its own: requests come in, answers go out. Run by path: ``serving.py WORKER.py``.

A worker is a file with a function ``prepare()``, which imports what the worker needs and returns the function that
answers a request. Neither this file nor a worker imports torch or fuseguard, so a process starts quickly.

Requests and replies are pickles between a process and its own child, each after its length in eight bytes. A reply is
``("ran", answer)``, or ``("raised", text)`` if the worker raises.
"""

from __future__ import annotations

import os
import pickle
import runpy
import sys
from collections.abc import Callable
from typing import IO, Any

LENGTH_BYTES = 8


def send(stream: IO[bytes], message: Any) -> None:
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(len(payload).to_bytes(LENGTH_BYTES, "little"))
    stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message. Raises EOFError when the other side is gone, also if that is in the middle of a message."""
    header = stream.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        raise EOFError
    length = int.from_bytes(header, "little")
    payload = stream.read(length)
    if len(payload) < length:
        raise EOFError
    return pickle.loads(payload)


def main(worker: str) -> None:
    """Answers requests from standard input until it ends."""
    # What is called here prints straight to file descriptor 1: replies need one of their own.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # The folder of this file is not a place to import from: its modules have names that others have too.
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != folder]
    answer: Callable[[Any], Any] = runpy.run_path(worker)["prepare"]()
    while True:
        try:
            request = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            reply = ("ran", answer(request))
        except Exception as error:  # the parent raises it again
            reply = ("raised", f"{type(error).__name__}: {error}")
        send(replies, reply)


if __name__ == "__main__":
    main(sys.argv[1])
