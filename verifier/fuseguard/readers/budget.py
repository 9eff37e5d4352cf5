"""What one file may cost. Each limit holds for the whole file: many small things are as large as a large one.

Together they keep any file of 128 MiB below 1 GB of memory and a few seconds, whatever it holds
(tests/safety/test_budgets.py). The largest programs that are known have about 10,000 nodes and 15 MB of JSON.
"""

from __future__ import annotations

# Bytes of one JSON record.
MAX_JSON_BYTES = 64 * 2**20
# The same of all records: a file with several methods has a program for each, and one JSON may hold another.
MAX_ALL_JSON_BYTES = 192 * 2**20
# Opening brackets and commas of all JSON: as many values at the most. torch writes one in some 15 bytes; a decoded
# value takes up to 100 bytes.
MAX_JSON_VALUES = 5_000_000
# Nodes of all graphs, and of these, nodes that the file stores none of (getitem).
MAX_NODES = 25_600
# Arguments of all nodes that are other nodes. Most ops have two; a rule looks at each.
MAX_USES = 150_000
# Arguments and results of all nodes, members of lists included. A convolution has 18. Rules walk through all of them.
MAX_ARGUMENTS = 1_000_000
# FX makes names of the names of operators and parameters.
MAX_NAME = 1024
# torch's own operators take up to 64 dimensions.
MAX_RANK = 64
# Scales, zero points and small constants. A language model of 7 billion weights has 2 million scales, per channel.
MAX_QPARAM_VALUES = 2**21
# Bytes of the tensors that they are in. Scales may be a view into a bigger storage, which torch writes whole.
MAX_TENSOR_BYTES = 64 * 2**20
# Memory for what is kept of TOSA flatbuffers: names and small constants, and the operators that use them.
MAX_TOSA_BYTES = 64 * 2**20
# 32-bit words of all SPIR-V modules. A model of 5,000 operators has 400,000; constants are elsewhere.
MAX_SPIRV_WORDS = 4 * 2**20
# Operations of all pickles that say what is in a state dict, which takes some 40 for a tensor.
MAX_PICKLE_STEPS = 500_000
# Bytes of all pickles that are looked through for what they call. A tensor takes some 200 bytes.
MAX_ALL_PICKLE_BYTES = 8 * 2**20
# Frames of stack traces. Further ones are left out: a finding without a source line is still a finding.
MAX_FRAMES = 300_000
# Frames of one trace that are kept, the innermost ones.
MAX_TRACE_FRAMES = 256
_PIECE = 2**16


class OverBudget(Exception):
    """The file is larger than the limits allow; the text says in what."""


class Budget:
    """Counts what one file has cost so far."""

    def __init__(self) -> None:
        self._json_values = 0
        self._json_bytes = 0
        self._nodes = 0
        self._uses = 0
        self._arguments = 0
        self._qparam_values = 0
        self._tensor_bytes = 0
        self._frames = 0
        self._tosa_bytes = 0
        self._spirv_words = 0
        self._pickle_steps = 0
        self._pickle_bytes = 0

    def json(self, data: bytes) -> None:
        """Call before ``data`` is decoded. Raises OverBudget."""
        self._json_bytes += len(data)
        if self._json_bytes > MAX_ALL_JSON_BYTES:
            raise OverBudget(f"{MAX_ALL_JSON_BYTES} bytes of JSON")
        self._json_values += _values_at_most(data)
        if self._json_values > MAX_JSON_VALUES:
            raise OverBudget(f"{MAX_JSON_VALUES} JSON values")

    def nodes(self, number: int) -> None:
        """Raises OverBudget."""
        self._nodes += number
        if self._nodes > MAX_NODES:
            raise OverBudget(f"{MAX_NODES} nodes")

    def use(self) -> None:
        """Raises OverBudget."""
        self._uses += 1
        if self._uses > MAX_USES:
            raise OverBudget(f"{MAX_USES} arguments that are nodes")

    def arguments(self, number: int) -> None:
        """Raises OverBudget."""
        self._arguments += number
        if self._arguments > MAX_ARGUMENTS:
            raise OverBudget(f"{MAX_ARGUMENTS} arguments and results of nodes, members of lists included")

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

    def tosa(self, size: int) -> None:
        """Raises OverBudget."""
        self._tosa_bytes += size
        if self._tosa_bytes > MAX_TOSA_BYTES:
            raise OverBudget(f"{MAX_TOSA_BYTES} bytes of names and constants in TOSA flatbuffers")

    @property
    def spirv_words_left(self) -> int:
        """How many more words of SPIR-V may be read."""
        return MAX_SPIRV_WORDS - self._spirv_words

    def spirv(self, number: int) -> None:
        """Raises OverBudget."""
        self._spirv_words += number
        if self._spirv_words > MAX_SPIRV_WORDS:
            raise OverBudget(f"{MAX_SPIRV_WORDS} words of SPIR-V")

    def pickle_step(self) -> None:
        """Raises OverBudget."""
        self._pickle_steps += 1
        if self._pickle_steps > MAX_PICKLE_STEPS:
            raise OverBudget(f"{MAX_PICKLE_STEPS} operations in pickles of state dicts")

    def pickle(self, data: bytes) -> None:
        """Call before ``data`` is analysed. Raises OverBudget."""
        self._pickle_bytes += len(data)
        if self._pickle_bytes > MAX_ALL_PICKLE_BYTES:
            raise OverBudget(f"{MAX_ALL_PICKLE_BYTES} bytes of pickles")

    def frames(self, number: int) -> bool:
        """Whether as many more frames of stack traces may be kept."""
        self._frames += number
        return self._frames <= MAX_FRAMES


def _values_at_most(data: bytes) -> int:
    """How many brackets and commas JSON has: in pieces, as they are counted by leaving them out of a copy."""
    number = 0
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        number += len(piece) - len(piece.translate(None, b"{[,"))
    return number
