"""Rewrites the source of a rule or a backend model so that its conditions, results and loops are recorded.

The functions that record them are those of :mod:`fuseguard.engine.tracing`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import types
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

#: Names in the rewritten module: what records a value, a loop, a call; and the number of the call.
PROBE, LOOP, ENTER, CALL = "__fuseguard_probe__", "__fuseguard_loop__", "__fuseguard_enter__", "__fuseguard_call__"


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


@cache
def instrumented(name: str) -> tuple[types.CodeType, tuple[Site, ...]]:
    """The code of the copy of a module, and the places that it records. Raises NotTraceable."""
    module = importlib.import_module(name)
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError) as error:
        raise NotTraceable(f"the source of the module {name} is not there") from error
    sites: list[Site] = []
    tree = _Instrument(sites, name, source).visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), module.__file__ or name, "exec"), tuple(sites)


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
        entered = ast.Assign([ast.Name(CALL, ast.Store())], ast.Call(ast.Name(ENTER, ast.Load()), [], []))
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
        return self._call(PROBE, key, self._parts(test, key))

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
            return self._call(PROBE, part, test)
        return self._call(PROBE, part, self.visit(test))

    def _value(self, operand: ast.expr, part: int) -> ast.expr:
        plain = isinstance(operand, ast.Constant | ast.Name) or not isinstance(operand, ast.Call | ast.Attribute)
        text = ast.unparse(operand)
        visited: ast.expr = self.visit(operand)
        if plain:
            return visited
        return self._call(PROBE, self._site("value", operand, text, (), part), visited)

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
            node.value = self._call(PROBE, key, self.visit(value))
        else:
            node.value = self._condition("return", node, value)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        names = [item.id for target in node.targets for item in ast.walk(target) if isinstance(item, ast.Name)]
        key = self._site("assign", node, ast.unparse(node.value), names)
        node.value = self._call(PROBE, key, self.visit(node.value))
        return node

    def visit_Yield(self, node: ast.Yield) -> Any:
        if node.value is not None:
            key = self._site("yield", node, ast.unparse(node.value))
            node.value = self._call(PROBE, key, self.visit(node.value))
        return node

    def visit_For(self, node: ast.For) -> Any:
        text = f"for {_bare(node.target)} in {ast.unparse(node.iter)}"
        key = self._site("loop", node, text, _stored(node.target))
        node.iter = self._call(LOOP, key, self.visit(node.iter))
        self._loops.append(_stored(node.target))
        node.body = [self.visit(item) for item in node.body]
        self._loops.pop()
        node.orelse = [self.visit(item) for item in node.orelse]
        return node

    def _comprehension(self, node: Any) -> Any:
        for generator in node.generators:
            text = f"for {_bare(generator.target)} in {ast.unparse(generator.iter)}"
            key = self._site("loop", node, text, _stored(generator.target))
            generator.iter = self._call(LOOP, key, self.visit(generator.iter))
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
