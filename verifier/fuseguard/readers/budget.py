"""What one file may cost. Each limit holds for the whole file: many small things are as large as a large one.

Together they keep any file of 128 MiB below 1 GB of memory and a few seconds, whatever it holds
(tests/safety/test_budgets.py). The largest programs that are known have about 10,000 nodes and 15 MB of JSON.
"""

from __future__ import annotations

# Bytes of one JSON record.
MAX_JSON_BYTES = 64 * 2**20
# Opening brackets and commas of all JSON: as many values at the most. torch writes one in some 15 bytes; a decoded
# value takes up to 100 bytes.
MAX_JSON_VALUES = 5_000_000
# Nodes of all graphs, and of these, nodes that the file stores none of (getitem).
MAX_NODES = 50_000
# FX makes names of the names of operators and parameters.
MAX_NAME = 1024
# torch's own operators take up to 64 dimensions.
MAX_RANK = 64
# Scales, zero points and small constants. A language model of 7 billion weights has 2 million scales, per channel.
MAX_QPARAM_VALUES = 2**21
# Bytes of the tensors that they are in. Scales may be a view into a bigger storage, which torch writes whole.
MAX_TENSOR_BYTES = 64 * 2**20
# Frames of stack traces. Further ones are left out: a finding without a source line is still a finding.
MAX_FRAMES = 300_000
# Frames of one trace that are kept, the innermost ones.
MAX_TRACE_FRAMES = 256


class OverBudget(Exception):
    """The file is larger than the limits allow; the text says in what."""


class Budget:
    """Counts what one file has cost so far."""

    def __init__(self) -> None:
        self._json_values = 0
        self._nodes = 0
        self._qparam_values = 0
        self._tensor_bytes = 0
        self._frames = 0

    def json(self, data: bytes) -> None:
        """To be asked before ``data`` is decoded. Raises OverBudget."""
        self._json_values += data.count(b"{") + data.count(b"[") + data.count(b",")
        if self._json_values > MAX_JSON_VALUES:
            raise OverBudget(f"{MAX_JSON_VALUES} JSON values")

    def nodes(self, number: int) -> None:
        """Raises OverBudget."""
        self._nodes += number
        if self._nodes > MAX_NODES:
            raise OverBudget(f"{MAX_NODES} nodes")

    def qparam_values(self, number: int) -> None:
        """Raises OverBudget."""
        self._qparam_values += number
        if self._qparam_values > MAX_QPARAM_VALUES:
            raise OverBudget(f"{MAX_QPARAM_VALUES} scales, zero points and small constants")

    def tensor(self, data: bytes) -> None:
        """Raises OverBudget."""
        self._tensor_bytes += len(data)
        if self._tensor_bytes > MAX_TENSOR_BYTES:
            raise OverBudget(f"{MAX_TENSOR_BYTES} bytes of scales, zero points and small constants")

    def frames(self, number: int) -> bool:
        """Whether as many more frames of stack traces may be kept."""
        self._frames += number
        return self._frames <= MAX_FRAMES
