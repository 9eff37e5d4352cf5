"""Task accuracy of a program and of its lowerings, on the user's own data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.export import ExportedProgram

from fuseguard.executorch.inputs import InputsError, input_metas
from fuseguard.executorch.judge import prove
from fuseguard.executorch.lockstep.walking import silent
from fuseguard.executorch.outputs import run_eager
from fuseguard.executorch.partition import support_checks
from fuseguard.executorch.proof import Proof
from fuseguard.executorch.repairs import repair
from fuseguard.executorch.state import slots
from fuseguard.target import Target

#: The ways in which a program is evaluated -> what they are.
WAYS: dict[str, str] = {
    "float": "the program before it was quantized, eager",
    "quantized": "the quantized program, eager",
    "lowered": "as the backend lowers it",
    "guarded": "lowered with violating clusters on the CPU",
    "repaired": "repaired, then lowered; what cannot be repaired is on the CPU",
}
#: Those that are lowered.
LOWERED = ("lowered", "guarded", "repaired")

#: What the program yields on all samples, one array per output, and the labels -> the score.
Metric: TypeAlias = Callable[[Any, Any], float]


@dataclass(frozen=True, slots=True)
class Data:
    """``inputs``: one tensor for each input of the program, [samples, ...]; ``labels``: [samples, ...]."""

    inputs: tuple[torch.Tensor, ...]
    labels: Any

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One way.

    ``score`` is the metric's, None if there are no results; ``exception`` then says why. ``changed`` is the share of
    samples whose largest output is another one than the quantized program's, None where that has no meaning.
    ``outcome`` is the worst of all batches, as in a proof; "" for what is not lowered.
    """

    way: str
    score: float | None
    changed: float | None = None
    outcome: str = ""
    delegated_ops: int = 0
    cpu_ops: tuple[str, ...] = ()
    exception: str = ""


def top(count: int) -> Metric:
    """The share of samples whose label is among the ``count`` largest outputs. Labels are class numbers, [samples]."""

    def accuracy(outputs: Any, labels: Any) -> float:
        scores = np.asarray(outputs)
        scores = scores.reshape(len(scores), -1)
        # A stable sort: of equal outputs the first counts, as with argmax.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return float((best == np.asarray(labels).reshape(-1, 1)).any(axis=1).mean())

    return accuracy


def evaluate(
    program: ExportedProgram,
    data: Data,
    metric: Metric,
    target: Target,
    *,
    float_program: ExportedProgram | None = None,
    ways: Sequence[str] = LOWERED,
    policy: str = "consistent",
    progress: Callable[[str], None] = silent,
) -> list[Evaluation]:
    """The score of the float and of the quantized program and of each of ``ways``, in the order of WAYS.

    Each way is lowered once and run on all samples, in batches of the size that the program was exported for. The last
    batch is filled up with samples from the beginning, whose results are left out. Samples must not influence each
    other, and every batch starts from the state that the program was exported with.

    Raises:
        InputsError: a ValueError; the data do not fit the program.
        TargetError: as :func:`fuseguard.executorch.prove`. What the program or the metric raises.
    """
    batches = list(_batches(program, data))
    count = len(data)
    results = []
    if float_program is not None:
        progress("running the float program")
        results.append(Evaluation("float", _score(metric, _eager(float_program, batches, count), data)))
    progress("running the quantized program")
    quantized = _eager(program, batches, count)
    results.append(Evaluation("quantized", _score(metric, quantized, data)))
    for way in (way for way in LOWERED if way in ways):
        progress(f"lowering and running: {way}")
        proof = _prove(program, batches, target, way, policy)
        results.append(_evaluation(way, proof, metric, data, quantized))
    return results


def _prove(
    program: ExportedProgram, batches: Sequence[tuple[torch.Tensor, ...]], target: Target, way: str, policy: str
) -> Proof:
    checks = support_checks(target, policy) if way == "guarded" else None
    if way == "repaired":
        repaired = repair(program, target, policy=policy)
        program = repaired.program
        if any(finding.refuse for finding in repaired.remaining):
            checks = support_checks(target, policy)
    return prove(program, [list(batch) for batch in batches], target, checks, calls=1)


def _evaluation(
    way: str, proof: Proof, metric: Metric, data: Data, quantized: Sequence[np.ndarray[Any, Any]]
) -> Evaluation:
    proofs = proof.by_inputs or (proof,)
    placed = (proof.outcome, proof.delegated_ops, proof.cpu_ops)
    if not all(one.outputs for one in proofs):
        failed = next(one for one in proofs if not one.outputs)
        return Evaluation(way, None, None, failed.outcome, *placed[1:], exception=failed.exception)
    outputs = _joined([one.outputs[: len(quantized)] for one in proofs], len(data))
    changed = None
    if outputs[0].ndim == 2 and outputs[0].shape == quantized[0].shape:
        changed = float((outputs[0].argmax(1) != quantized[0].argmax(1)).mean())
    return Evaluation(way, _score(metric, outputs, data), changed, *placed)


def _score(metric: Metric, outputs: Sequence[np.ndarray[Any, Any]], data: Data) -> float:
    return float(metric(outputs[0] if len(outputs) == 1 else tuple(outputs), data.labels))


def _eager(
    program: ExportedProgram, batches: Sequence[tuple[torch.Tensor, ...]], count: int
) -> list[np.ndarray[Any, Any]]:
    state = len(slots(program))
    runs = [run_eager(program, batch) for batch in batches]
    return _joined([run[: len(run) - state] for run in runs], count)


def _joined(runs: Sequence[Sequence[torch.Tensor]], count: int) -> list[np.ndarray[Any, Any]]:
    """The outputs of all batches one after another, without those of samples that only fill up the last one."""
    return [torch.cat(list(parts))[:count].numpy() for parts in zip(*runs, strict=True)]


def _batches(program: ExportedProgram, data: Data) -> Iterator[tuple[torch.Tensor, ...]]:
    size = _batch_size(program)
    for start in range(0, len(data), size):
        # Taken around the end as often as needed: a batch may be larger than the data.
        chosen = torch.arange(start, start + size) % len(data)
        yield tuple(values[chosen] for values in data.inputs)


def _batch_size(program: ExportedProgram) -> int:
    sizes = {}
    for name, meta in input_metas(program).items():
        if not isinstance(meta, torch.Tensor) or meta.dim() == 0:
            raise InputsError(f"input {name!r} has no dimension of samples, which must be its first")
        sizes[name] = meta.shape[0]
    found = set(sizes.values())
    if len(found) != 1 or not isinstance(size := found.pop(), int):
        raise InputsError(f"the first sizes of the inputs must be one fixed number, the batch, and are {sizes}")
    return size


def data_for(program: ExportedProgram, inputs: Mapping[str, Any] | Sequence[Any], labels: Any) -> Data:
    """Arrays or tensors, by the names of the program's inputs or in order, as the program takes them.

    Floats get the float dtype of the program's input. Raises InputsError.
    """
    metas = input_metas(program)
    if isinstance(inputs, Mapping):
        if set(inputs) != set(metas):
            raise InputsError(f"the inputs are {', '.join(metas)}, and the data have {', '.join(inputs)}")
        inputs = [inputs[name] for name in metas]
    if len(inputs) != len(metas):
        raise InputsError(f"the data have {len(inputs)} of {len(metas)} inputs, which are {', '.join(metas)}")
    labels = np.asarray(labels)
    tensors = []
    for value, (name, meta) in zip(inputs, metas.items(), strict=True):
        tensor = torch.as_tensor(np.asarray(value))
        if labels.ndim == 0 or tensor.dim() == 0 or len(tensor) != len(labels) or len(labels) == 0:
            raise InputsError(f"input {name!r} has the shape {tuple(tensor.shape)}, and y has {labels.shape}; both "
                              "begin with the number of samples")  # fmt: skip
        if tensor.is_floating_point() and isinstance(meta, torch.Tensor) and meta.is_floating_point():
            tensor = tensor.to(meta.dtype)
        tensors.append(tensor)
    return Data(tuple(tensors), labels)


def read_npz(path: Path) -> tuple[dict[str, Any] | list[Any], Any]:
    """Inputs, by name or the only one, and labels of a .npz file. Nothing in it is run.

    Raises InputsError: an array is missing. What numpy raises for a file that it cannot read.
    """
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = "labels" if "labels" in arrays else "y"  # a program may have an input called y
    if name not in arrays or len(arrays) < 2:
        known = "labels or y, and x or the names of the inputs"
        raise InputsError(f"must hold {known}; it holds {', '.join(arrays)}")
    labels = arrays.pop(name)
    return ([arrays["x"]] if list(arrays) == ["x"] else arrays), labels
