"""How torch's loader takes an operator, its arguments and its result, where that is not what the JSON looks like.

torch.export's JSON names every argument, and torch's loader goes by the names: it puts the arguments into the schema's
order, leaves out what the schema does not have, and lets the last of two win (``deserialize_inputs`` in
torch/_export/serde/serialize.py). Rules go by positions. Both see one program only if the file has the schema's order.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from fuseguard.ir.ops import canonical_target
from fuseguard.ir.value import Value
from fuseguard.readers.schema import MalformedProgram, SerializedNode
from fuseguard.readers.values import text_of

POSITIONAL, KEYWORD = 1, 2  # ArgumentKind
SYMBOLIC = ("as_sym_int", "as_sym_float", "as_sym_bool")


class Arguments(Value, frozen=True):
    """The names of an operator's arguments in order, and those of them that torch takes as keywords by default.

    ``keyword_only`` are those that cannot be given by position.
    """

    names: tuple[str, ...]
    optional: frozenset[str]
    keyword_only: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def arguments_of(target: str) -> Arguments | None:
    """Those of a canonical target, None for one that torch itself does not bring: its file's order is all there is."""
    # Searched and not parsed: a program has few operators, and the table thousands.
    text = _table()
    start = max(text.find(f"\n{target} "), text.find(f"\n{target}\n"))
    if start < 0:
        return None
    arguments = text[start + 1 : text.index("\n", start + 1)].split()[1:]
    names = tuple(argument.strip("*?") for argument in arguments)
    forms = tuple(zip(names, arguments, strict=True))
    optional = frozenset(name for name, form in forms if form != name)
    return Arguments(names, optional, frozenset(name for name, form in forms if form.startswith("*")))


@cache
def _table() -> str:
    return Path(__file__).with_name("op_arguments.txt").read_text(encoding="utf-8")


def check_only_result(name: str, node: SerializedNode, key: str, value: Any) -> None:
    """Raises MalformedProgram if torch would take the only result of a node otherwise (``deserialize_outputs``).

    It takes that of an operator for the node itself, whatever it is called. Read as one of several results, it would
    put a getitem between the operator and its users, which torch does not have.
    """
    if key not in ("as_tensor", *SYMBOLIC):
        return
    same = text_of(value, "name" if key == "as_tensor" else "as_name") == name
    single = True
    if "torch.ops.higher_order" in node.target:
        if node.is_hop_single_tensor_return is None:
            return  # written before the schema had it
        single = node.is_hop_single_tensor_return
    if same != single:
        raise MalformedProgram("its only result has another name than torch gives it")


def is_keyword(target: str, known: Arguments | None, name: str, kind: int | None, position: int) -> bool:
    """Whether torch takes an argument as a keyword. Raises MalformedProgram where it takes it for another one."""
    if kind not in (None, POSITIONAL, KEYWORD):
        raise MalformedProgram(f"the argument {name[:80]!r} is of kind {kind}")
    if known is not None:
        keyword = kind == KEYWORD or (kind is None and name in known.optional)
        fits = name in known.names[position:] if keyword else known.names[position : position + 1] == (name,)
        if not fits:
            raise MalformedProgram(f"the argument {name[:80]!r} is not where the operator's schema has it")
        return keyword
    if target.startswith("torch.ops.higher_order."):  # deserialize_hoo_inputs
        return kind != POSITIONAL and name != ""
    # Python's functions of symbolic numbers have positions alone (deserialize_sym_op_inputs).
    return kind == KEYWORD and target.startswith(("torch.ops.", "executorch.")) and name != ""


@lru_cache(maxsize=1024)  # programs have few operators and many calls
def checked_target(target: str) -> str:
    _, found, rest = target.rpartition("torch.ops.")
    if found and (not target.startswith(found) or rest.count(".") > 2):
        # torch looks up one attribute after the other: aten.neg.default._op is neg, and here it would be unknown.
        raise MalformedProgram(f"the operator {target[:80]!r} is not namespace, name and overload")
    return canonical_target(target)
