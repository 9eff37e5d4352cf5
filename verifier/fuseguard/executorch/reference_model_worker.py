"""Runs delegates in the TOSA reference model, in a process of its own.

The reference model aborts on some programs (an int16 zero point at a convolution, a NaN scale in a table), and an
abort takes its process with it. This file is run by path by :mod:`fuseguard.executorch.reference_model`; it imports
neither torch nor fuseguard, so that it starts in a fraction of a second.

Requests and replies are pickles between a process and its own child, each after its length in eight bytes.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import IO, Any

LENGTH_BYTES = 8


def send(stream: IO[bytes], message: Any) -> None:
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(len(payload).to_bytes(LENGTH_BYTES, "little"))
    stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message. Raises EOFError when the other side is gone."""
    header = stream.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        raise EOFError
    length = int.from_bytes(header, "little")
    payload = stream.read(length)
    if len(payload) < length:
        raise EOFError
    return pickle.loads(payload)


def main() -> None:
    # The reference model prints warnings straight to file descriptor 1: replies need one of their own.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import tosa_reference_model

    while True:
        try:
            serialized, arrays = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            results, status = tosa_reference_model.run(serialized, arrays, initialize_variable_tensor_from_numpy=True)
            send(replies, ("ran", status.name, list(results)))
        except Exception as error:  # the parent raises it again
            send(replies, ("raised", f"{type(error).__name__}: {error}", []))


if __name__ == "__main__":
    main()
