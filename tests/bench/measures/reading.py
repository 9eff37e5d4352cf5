"""Reading a .pt2 file of 25,600 nodes, against a bare decode of its JSON: seconds, and peak memory.

    python tests/bench/measures/reading.py [nodes]

The file is forged: a chain with the stack traces, module paths and annotations that torch.export writes. A bare
decode is ``json.loads`` of Python, or ``msgspec.json.decode``; both make dicts and lists. Seconds are processor time,
the least of two. Each run is a process of its own, in which memory is measured, too: the peak above that before.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from measuring import peak_mib, report

RUNS = 2
WAYS = ("read", "json", "msgspec")


def forged(folder: Path, nodes: int) -> Path:
    """A .pt2 file with so many nodes, about 2 KB of JSON for each."""
    from fuseguard_testkit import costly
    from fuseguard_testkit.forging import MODEL, ROOT, graph_of, pack, records

    costly.NODES = nodes
    program = costly.long_chain()
    for number, node in enumerate(graph_of(program)["nodes"]):
        node["metadata"] = {**node["metadata"], **metadata(number // 3)}
    text = json.dumps(program, separators=(",", ":"))
    return pack(folder / "large.pt2", records() | {f"{ROOT}/{MODEL}": text.encode()})


def metadata(block: int) -> dict[str, Any]:
    frames = "".join(
        f'  File "/home/user/project/models/network.py", line {100 + depth}, in forward\n'
        f"    value = self.blocks[{depth}](value, mask=mask, position=position, past=past)\n"
        for depth in range(8)
    )
    stack = ";".join(
        f"L__self___blocks_{block}_{depth},L['self'].blocks.{block}.layers.{depth},project.models.network.Block{depth}"
        for depth in range(3)
    )
    return {"stack_trace": frames, "nn_module_stack": stack, "torch_fn": f"view_{block};method_descriptor.view"}


def one(way: str, path: Path) -> None:
    """Read once in this process."""
    import msgspec

    from fuseguard.readers.archive import Archive
    from fuseguard.readers.open import read_file

    with Archive(path) as archive:
        size = archive.size("models/model.json")
        data = archive.read("models/model.json", size) if way != "read" else b""
    gc.disable()  # as the reader does
    before, start = peak_mib(), time.process_time()
    kept = {"read": read_file, "json": lambda _: json.loads(data), "msgspec": lambda _: msgspec.json.decode(data)}[way](
        path
    )
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "mib": peak_mib() - before, "json": size / 2**20, "kept": len(kept)}))


def main() -> None:
    if len(sys.argv) == 3:
        one(sys.argv[1], Path(sys.argv[2]))
        return
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 25_600
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        path = forged(Path(folder), nodes)
        for _ in range(RUNS):
            for way in WAYS:
                run = subprocess.run(
                    [sys.executable, __file__, way, str(path)], capture_output=True, text=True, check=True
                )
                found[way].append(json.loads(run.stdout))
    seconds = {way: min(run["seconds"] for run in runs) for way, runs in found.items()}
    read = found["read"][0]
    report(
        nodes=read["kept"],
        json_mib=read["json"],
        seconds=seconds["read"],
        of_json=seconds["read"] / seconds["json"],
        of_msgspec=seconds["read"] / seconds["msgspec"],
        memory=read["mib"] / read["json"],
        memory_msgspec=found["msgspec"][0]["mib"] / read["json"],
    )


if __name__ == "__main__":
    main()
