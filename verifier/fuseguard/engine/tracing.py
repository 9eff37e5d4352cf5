"""Runs a rule on a copy of its own source that also says which conditions it evaluated.

The copy is made each time from the source of the rule's module and of the backend models that it asks, so it says what
the rule does. Nothing is changed in place: the copies are modules of their own, and import each other where the
originals do.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import enum
import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, partial
from itertools import islice
from typing import Any

from fuseguard.engine.finding import Finding
from fuseguard.engine.rule import Rule
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.view import Island, View
from fuseguard.target import Target

#: What a rule asks, beside the modules of its own pack.
MODELS = "fuseguard.backend"
_CACHE = f"{MODELS}.per_view"  # asks nothing

_PROBE, _LOOP, _ENTER, _CALL = "__fuseguard_probe__", "__fuseguard_loop__", "__fuseguard_enter__", "__fuseguard_call__"
_MOST_EVENTS = 400_000
_NEAR = 300  # events before one about the node that are kept with it
_MOST_ITEMS = 16  # of a sequence, that are looked at for the node
_LONGEST_VALUE = 60


class NotTraceable(Exception):
    """The source of a rule is not there. The text names the module."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the source. ``kind`` is if, filter (of a comprehension), return, assign, yield, loop, or part of a
    condition; ``focus`` are the variables that say what it is about; ``names`` those that it assigns or reads.
    """

    kind: str
    text: str
    module: str
    line: int
    function: str
    doc: str
    comment: str
    focus: tuple[str, ...]
    in_loop: bool
    names: tuple[str, ...] = ()
    parent: int = -1


@dataclass(frozen=True, slots=True)
class Event:
    """A site that was evaluated: in which call, with what outcome, and whether it was about the node.

    ``key`` is the number of the site in its module.
    """

    site: Site
    key: int
    call: int
    holds: bool
    concerns: bool
    values: tuple[tuple[str, str], ...] = ()


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


@cache
def _instrumented(name: str) -> tuple[types.CodeType, tuple[Site, ...]]:
    """The code of the copy of a module, and the places that it records. Raises NotTraceable."""
    module = importlib.import_module(name)
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError) as error:
        raise NotTraceable(f"the source of the module {name} is not there") from error
    sites: list[Site] = []
    tree = _Instrument(sites, name, source).visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), module.__file__ or name, "exec"), tuple(sites)


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
        code, sites = _instrumented(name)
        copied = types.ModuleType(name, original.__doc__)
        copied.__dict__.update(
            {"__file__": original.__file__, "__package__": original.__package__, "__spec__": original.__spec__,
             "__builtins__": self._builtins, _PROBE: partial(self.probe, sites), _LOOP: partial(self.loop, sites),
             _ENTER: self.enter}
        )  # fmt: skip
        self._modules[name] = copied
        exec(code, copied.__dict__)
        return copied

    def _copies(self, name: str) -> bool:
        if name == MODELS or name.startswith(f"{MODELS}."):
            return name != _CACHE
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
        values = tuple((name, shown(seen[name])) for name in site.names if name in seen and site.kind == "part")
        if site.kind in ("return", "assign", "value"):
            values = (("", shown(value)),)
        concerns = any(mentions(seen.get(name), self.name, _holds_name(name)) for name in site.focus)
        self._record(Event(site, key, _call_of(frame), holds, concerns, values))
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
        self._record(Event(site, key, call, met, False, (("end", ""),)))

    def _is_about(self, names: tuple[str, ...], item: Any) -> bool:
        values = item if isinstance(item, tuple) and len(item) == len(names) > 1 else (item,)
        if len(values) != len(names):
            return mentions(item, self.name)
        return any(mentions(value, self.name, _holds_name(name)) for name, value in zip(names, values, strict=True))

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
        if _PROBE in frame.f_globals:
            found = frame.f_locals.get(_CALL)
            if found is not None:
                return int(found)
        frame = frame.f_back
    return 0


def _holds_name(variable: str) -> bool:
    """Whether a string in this variable is the name of a node. Others may equal one: a kind, a case."""
    return variable == "name" or variable.endswith("_name")


def mentions(value: Any, name: str, is_name: bool = False, depth: int = 3) -> bool:
    """Whether a value of a rule is about the node ``name``: the node, its name, or what holds one of them."""
    if value is None or isinstance(value, View | Graph | Target | int | float):
        return False
    if isinstance(value, str):
        return is_name and value == name
    if isinstance(value, Node):
        return value.name == name
    if not depth:
        return False
    if isinstance(value, tuple | list | set | frozenset):
        return any(mentions(item, name, False, depth - 1) for item in islice(value, _MOST_ITEMS))
    if is_dataclass(value):
        return any(mentions(getattr(value, item.name, None), name, False, depth - 1) for item in fields(value))
    return False


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
        own = is_dataclass(value) and type(value).__str__ is not object.__str__
        text = value.name.lower() if isinstance(value, enum.Enum) else str(value) if own else repr(value)
        if "Node(" in text or " at 0x" in text:
            return type(value).__name__
        return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
    return type(value).__name__


class _Instrument(ast.NodeTransformer):
    """Wraps conditions, results, assignments and loops so that they are recorded when they are evaluated."""

    def __init__(self, sites: list[Site], module: str, source: str) -> None:
        self._sites = sites
        self._module = module
        self._lines = source.splitlines()
        self._function: list[tuple[str, str, tuple[str, ...]]] = []
        self._loops: list[tuple[str, ...]] = []

    def _site(self, kind: str, node: ast.AST, text: str, names: Sequence[str] = (), parent: int = -1) -> int:
        name, doc, arguments = self._function[-1]
        loops = tuple(name for loop in self._loops for name in loop)
        line = getattr(node, "lineno", 0)
        comment = self._comment(node) if kind in ("if", "filter", "return") else ""
        focus = loops or arguments
        self._sites.append(
            Site(kind, text, self._module, line, name, doc, comment, focus, bool(loops), tuple(names), parent)
        )
        return len(self._sites) - 1

    def _comment(self, node: ast.AST) -> str:
        """The comment above a statement, after it, or at the first line of its body."""
        start, stop = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
        body = getattr(node, "body", None)
        if isinstance(node, ast.If) and isinstance(body, list):
            stop = body[0].lineno
        above = start - 2
        while above >= 0 and self._lines[above].strip().startswith("#"):
            above -= 1
        found = [line.strip().lstrip("#: ") for line in self._lines[above + 1 : start - 1]]
        for line in self._lines[start - 1 : stop]:
            _, mark, after = line.partition("  # ")
            if line.strip().startswith("#"):
                found.append(line.strip().lstrip("#: "))
            elif mark and not after.startswith(("noqa", "type:", "fmt")):
                found.append(after.strip())
        return " ".join(found)

    def _call(self, function: str, key: int, value: ast.expr) -> ast.expr:
        made = ast.Call(ast.Name(function, ast.Load()), [ast.Constant(key), value], [])
        return ast.copy_location(made, value)

    def _function_def(self, node: Any) -> Any:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = tuple(item.arg for item in arguments if item.arg not in ("cls", "view", "graph", "target"))
        doc = (ast.get_docstring(node) or "").split("\n\n")[0]
        self._function.append((node.name, " ".join(doc.split()), names))
        loops, self._loops = self._loops, []
        node.body = [self.visit(item) for item in node.body]
        self._loops = loops
        self._function.pop()
        entered = ast.Assign([ast.Name(_CALL, ast.Store())], ast.Call(ast.Name(_ENTER, ast.Load()), [], []))
        ast.copy_location(entered, node.body[0])
        node.body.insert(1 if ast.get_docstring(node) is not None else 0, entered)
        return node

    visit_FunctionDef = _function_def

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        functions = (ast.FunctionDef,)
        node.body = [self.visit(item) if isinstance(item, functions) else item for item in node.body]
        return node

    def visit_Module(self, node: ast.Module) -> Any:
        kept = (ast.FunctionDef, ast.ClassDef)
        node.body = [self.visit(item) if isinstance(item, kept) else item for item in node.body]
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return node

    def _condition(self, kind: str, node: ast.AST, test: ast.expr) -> ast.expr:
        """A condition with each of its parts recorded, in the order in which they are evaluated."""
        key = self._site(kind, node, ast.unparse(test), _loaded(test))
        return self._call(_PROBE, key, self._parts(test, key))

    def _parts(self, test: ast.expr, key: int) -> ast.expr:
        if isinstance(test, ast.BoolOp):
            test.values = [self._parts(item, key) for item in test.values]
            return test
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test.operand = self._parts(test.operand, key)
            return test
        part = self._site("part", test, ast.unparse(test), _loaded(test), key)
        if isinstance(test, ast.Compare):
            operands = [test.left, *test.comparators]
            wrapped = [self._value(item, part) for item in operands]
            test.left, test.comparators = wrapped[0], wrapped[1:]
            return self._call(_PROBE, part, test)
        return self._call(_PROBE, part, self.visit(test))

    def _value(self, operand: ast.expr, part: int) -> ast.expr:
        plain = isinstance(operand, ast.Constant | ast.Name) or not isinstance(operand, ast.Call | ast.Attribute)
        text = ast.unparse(operand)
        visited = self.visit(operand)
        if plain:
            return visited
        return self._call(_PROBE, self._site("value", operand, text, (), part), visited)

    def visit_If(self, node: ast.If) -> Any:
        node.test = self._condition("if", node, node.test)
        node.body = [self.visit(item) for item in node.body]
        node.orelse = [self.visit(item) for item in node.orelse]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        node.test = self._condition("choice", node, node.test)
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node

    def visit_Return(self, node: ast.Return) -> Any:
        value = node.value
        if value is None:
            return node
        if _says_nothing(value) or isinstance(value, ast.IfExp):  # what decided came before it
            key = self._site("return", node, ast.unparse(value))
            node.value = self._call(_PROBE, key, self.visit(value))
        else:
            node.value = self._condition("return", node, value)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        names = [item.id for target in node.targets for item in ast.walk(target) if isinstance(item, ast.Name)]
        key = self._site("assign", node, ast.unparse(node.value), names)
        node.value = self._call(_PROBE, key, self.visit(node.value))
        return node

    def visit_Yield(self, node: ast.Yield) -> Any:
        if node.value is not None:
            key = self._site("yield", node, ast.unparse(node.value))
            node.value = self._call(_PROBE, key, self.visit(node.value))
        return node

    def visit_For(self, node: ast.For) -> Any:
        text = f"for {_bare(node.target)} in {ast.unparse(node.iter)}"
        key = self._site("loop", node, text, _stored(node.target))
        node.iter = self._call(_LOOP, key, self.visit(node.iter))
        self._loops.append(_stored(node.target))
        node.body = [self.visit(item) for item in node.body]
        self._loops.pop()
        node.orelse = [self.visit(item) for item in node.orelse]
        return node

    def _comprehension(self, node: Any) -> Any:
        for generator in node.generators:
            text = f"for {_bare(generator.target)} in {ast.unparse(generator.iter)}"
            key = self._site("loop", node, text, _stored(generator.target))
            generator.iter = self._call(_LOOP, key, self.visit(generator.iter))
            self._loops.append(_stored(generator.target))
            generator.ifs = [self._condition("filter", item, item) for item in generator.ifs]
        for name in ("elt", "key", "value"):
            if hasattr(node, name):
                setattr(node, name, self.visit(getattr(node, name)))
        del self._loops[-len(node.generators) :]
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension


def _says_nothing(value: ast.expr) -> bool:
    """Whether an expression is a constant: written out, or by its name."""
    if isinstance(value, ast.Tuple):
        return all(map(_says_nothing, value.elts))
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Name) and value.id.isupper())


def _bare(target: ast.expr) -> str:
    """The variables of a loop as they are written in one."""
    text = ast.unparse(target)
    return text[1:-1] if isinstance(target, ast.Tuple) and text.startswith("(") else text


def _stored(target: ast.expr) -> tuple[str, ...]:
    return tuple(item.id for item in ast.walk(target) if isinstance(item, ast.Name))


def _loaded(test: ast.expr) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.id for item in ast.walk(test) if isinstance(item, ast.Name)))
