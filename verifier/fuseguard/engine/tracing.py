"""Runs a rule on a copy of its own source that also says which conditions it evaluated.

The copy is made each time from the source of the rule's module and of the backend models that it asks, so it says what
the rule does. Nothing is changed in place: the copies are modules of their own, and import each other where the
originals do.
"""

from __future__ import annotations

import builtins
import contextlib
import enum
import importlib
import importlib.util
import reprlib
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, partial
from itertools import islice
from typing import Any

from fuseguard.engine.finding import Finding
from fuseguard.engine.instrumenting import CALL, ENTER, LOOP, PROBE, NotTraceable, Site, instrumented
from fuseguard.engine.rule import Rule
from fuseguard.ir.graph import Graph, Node, Ref
from fuseguard.ir.view import Island, View
from fuseguard.target import Target

#: What a rule asks, beside the modules of its own pack.
MODELS = "fuseguard.backend"
#: Models that are not followed: a cache, and arithmetic on codes, which no node decides.
_NOT_FOLLOWED = (f"{MODELS}.per_view", f"{MODELS}.table_codes")

_MOST_EVENTS = 400_000
_NEAR = 300  # events before one about the node that are kept with it
_MOST_ITEMS = 16  # of a sequence, that are looked at for the node
_LONGEST_VALUE = 60
# Tuples, because a union of types is made again each time it is asked for.
_OPAQUE = (View, Graph, Target, int, float)
_CONTAINERS = (tuple, list, set, frozenset)


@dataclass(frozen=True, slots=True)
class Event:
    """A site that was evaluated: in which call, with what outcome, and whether it was about the node.

    ``key`` is the number of the site in its module. ``kept`` holds values as they were; :attr:`values` says them in
    few words. Few of the events of a run are ever asked for that, and making the words takes most of the time.
    """

    site: Site
    key: int
    call: int
    holds: bool
    concerns: bool
    kept: tuple[tuple[str, Any], ...] = ()

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """What was read, by its name, in a few words."""
        return tuple((name, value.text if isinstance(value, _Words) else shown(value)) for name, value in self.kept)


@dataclass(frozen=True, slots=True)
class _Words:
    """What a value was that may have changed since."""

    text: str


def _kept(value: Any) -> Any:
    """The value, or the words for it if it can change: the rest of what rules handle cannot, or is said by its type."""
    return _Words(shown(value)) if isinstance(value, list | dict | set | bytearray) else value


@dataclass
class Trace:
    """All that one run of a rule evaluated, in order. ``callers`` maps a call to the one that made it; 0 is none."""

    findings: tuple[Finding, ...] = ()
    events: list[Event] = field(default_factory=list)
    callers: dict[int, int] = field(default_factory=dict)
    first: int = 0  # the call of check() itself


def trace(rule: Rule, view: View, target: Target, node: Node) -> Trace:
    """Run a copy of ``rule`` and record what it evaluates. Raises NotTraceable, and whatever the rule does."""
    tracer = _Tracer(node.name, type(rule).__module__)
    copied = tracer.load(type(rule).__module__)
    kind = copied.__dict__.get(type(rule).__qualname__)
    if kind is None:
        raise NotTraceable(f"{type(rule).__qualname__} is not a class of the module {type(rule).__module__}")
    tracer.trace.findings = tuple(kind().check(view, target))
    return tracer.trace


class _Tracer:
    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.module = module
        self.pack = module.partition(".")[0]
        self.trace = Trace()
        self._modules: dict[str, types.ModuleType] = {}
        self._calls = 0
        self._builtins = {**vars(builtins), "__import__": self._import}

    def load(self, name: str) -> types.ModuleType:
        """The copy of a module."""
        if name in self._modules:
            return self._modules[name]
        original = importlib.import_module(name)
        code, sites = instrumented(name)
        copied = types.ModuleType(name, original.__doc__)
        copied.__dict__.update(
            {"__file__": original.__file__, "__package__": original.__package__, "__spec__": original.__spec__,
             "__builtins__": self._builtins, PROBE: partial(self.probe, sites), LOOP: partial(self.loop, sites),
             ENTER: self.enter}
        )  # fmt: skip
        self._modules[name] = copied
        exec(code, copied.__dict__)
        return copied

    def _copies(self, name: str) -> bool:
        if name == MODELS or name.startswith(f"{MODELS}."):
            return name not in _NOT_FOLLOWED
        own = name == self.module or (self.pack != "fuseguard_rules" and name.partition(".")[0] == self.pack)
        return own and "examples" not in name.split(".")

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        full = importlib.util.resolve_name("." * level + name, (globals or {}).get("__package__")) if level else name
        if not fromlist or not self._copies(full):
            return importlib.__import__(name, globals, locals, fromlist, level)
        importlib.import_module(full)
        copied = self.load(full)
        for item in fromlist:
            if item not in copied.__dict__ and importlib.util.find_spec(f"{full}.{item}") is not None:
                setattr(copied, item, self.load(f"{full}.{item}"))
        return copied

    def enter(self) -> int:
        """Called first in each function; returns the number of the call."""
        self._calls += 1
        caller = sys._getframe(2)
        self.trace.callers[self._calls] = _call_of(caller)
        if not self.trace.first and sys._getframe(1).f_code.co_name == "check":
            self.trace.first = self._calls
        return self._calls

    def probe(self, sites: Sequence[Site], key: int, value: Any) -> Any:
        """Records that the site ``key`` was evaluated to ``value``, and returns it."""
        frame = sys._getframe(1)
        site = sites[key]
        seen = frame.f_locals
        holds = bool(value) if site.kind in ("if", "filter", "part") else value is not None and value is not False
        kept: tuple[tuple[str, Any], ...] = ()
        if site.kind == "part":
            kept = tuple([(name, _kept(seen[name])) for name in site.names if name in seen])
        elif site.kind in ("return", "assign", "value"):
            kept = (("", _kept(value)),)
        concerns = False
        for name in site.focus:  # a loop, as this is asked of every condition
            item = seen.get(name)
            if item is not None and mentions(item, self.name, name):
                concerns = True
                break
        call = seen.get(CALL)  # a comprehension has none of its own
        self._record(Event(site, key, _call_of(frame.f_back) if call is None else int(call), holds, concerns, kept))
        return value

    def loop(self, sites: Sequence[Site], key: int, items: Iterable[Any]) -> Iterator[Any]:
        """Yields ``items``, and records whether the node is among them."""
        site, met = sites[key], False
        call = _call_of(sys._getframe(1))
        self._record(Event(site, key, call, True, False))
        for item in items:
            if self._is_about(site.names, item):
                met = True
                self._record(Event(site, key, call, True, True))
            yield item
        self._record(Event(site, key, call, met, False, (("end", _Words("")),)))

    def _is_about(self, names: tuple[str, ...], item: Any) -> bool:
        values = item if isinstance(item, tuple) and len(item) == len(names) > 1 else (item,)
        if len(values) != len(names):
            return mentions(item, self.name)
        return any(mentions(value, self.name, name) for name, value in zip(names, values, strict=True))

    def _record(self, event: Event) -> None:
        events = self.trace.events
        events.append(event)
        if len(events) > _MOST_EVENTS:
            kept, last = [], -1
            for number in range(len(events) - 1, -1, -1):
                last = number if events[number].concerns else last
                if last - number in range(_NEAR) or number < _NEAR or events[number].call == self.trace.first:
                    kept.append(events[number])
            self.trace.events = kept[::-1][-_MOST_EVENTS // 2 :]


def _call_of(frame: types.FrameType | None) -> int:
    """The number of the nearest call of a copied function; 0 outside of them."""
    while frame is not None:
        if PROBE in frame.f_globals:
            found = frame.f_locals.get(CALL)
            if found is not None:
                return int(found)
        frame = frame.f_back
    return 0


def _holds_name(variable: str) -> bool:
    """Whether a string in this variable is the name of a node. Others may equal one: a kind, a case."""
    return variable == "name" or variable.endswith("_name")


def mentions(value: Any, name: str, variable: str = "", depth: int = 3) -> bool:
    """Whether a value of a rule is about the node ``name``: the node, its name, or what holds one of them.

    ``variable`` is the one that holds the value, "" for part of a value.
    """
    if isinstance(value, Node):
        return value.name == name
    if value is None or isinstance(value, _OPAQUE):
        return False
    if isinstance(value, str):
        return value == name and _holds_name(variable)
    if not depth:
        return False
    if isinstance(value, _CONTAINERS):
        return any(mentions(item, name, "", depth - 1) for item in islice(value, _MOST_ITEMS))
    return any(mentions(getattr(value, item, None), name, "", depth - 1) for item in _fields_of(type(value)))  # type: ignore[arg-type]


@cache
def _fields_of(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass; none of another class."""
    return tuple(item.name for item in fields(kind)) if is_dataclass(kind) else ()


class _Short(reprlib.Repr):
    """Shows a few items of a container, however long it is, and of an object no more than what is small."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 4 * _LONGEST_VALUE

    def repr_instance(self, x: Any, level: int) -> str:
        del level
        if isinstance(x, Node | Ref):
            return x.name
        if isinstance(x, enum.Enum):
            return str(x.name).lower()
        if is_dataclass(x):
            values = [getattr(x, item.name, None) for item in fields(x)]
        else:
            values = list(x) if isinstance(x, tuple) else [x]
        if not all(isinstance(value, str | int | float | bool | None) or _is_short(value) for value in values):
            return type(x).__name__
        return str(x)


def _is_short(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= 4 and all(isinstance(item, int | float | str) for item in value)


_SHORT = _Short()


def shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Node):
        return value.name
    if isinstance(value, tuple | list) and all(isinstance(item, Node) for item in value):
        return f"({', '.join(item.name for item in value[:4])}{', ...' if len(value) > 4 else ''})"
    if isinstance(value, View | Graph):
        return "the program"
    if isinstance(value, Island):
        return f"the island of {value.name}"
    with contextlib.suppress(Exception):
        text = _SHORT.repr(value)
        return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
    return type(value).__name__
