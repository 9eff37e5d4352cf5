"""Reads the Python sources of an installed ExecuTorch backend, without importing any of them.

``read_backend`` reads ``executorch.backends.arm`` and what it uses of the rest of ExecuTorch. Each top-level class,
function and variable becomes a ``Definition``: its source without comments, docstrings and layout, its lists element
by element, the operators it names, and the other definitions that it uses.

Needs only the standard library.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

BACKEND = "executorch.backends.arm"

#: What the backend imports from here on belongs to somebody else; torch and torchao are pinned, not compared.
TOP = "executorch"

#: Parts of the backend that no lowering runs.
LEFT_OUT = frozenset({"test", "tests", "scripts", "cmsis_pack", "recipes"})

#: What of ExecuTorch runs the backend; changes of what it uses count too.
LOWERING = ("executorch.exir.program._program", "to_edge_transform_and_lower")

#: Names that say nothing about what the backend does.
_BOOKKEEPING = frozenset({"__all__", "logger", "LAZY_IMPORTS"})

#: A class is a pass if one of its bases has one of these names.
PASS_BASES = frozenset({"ExportPass", "PassBase", "ExportedProgramPassBase"})

_COLLECTIONS = frozenset({"set", "frozenset", "list", "tuple"})

#: An operator, as the backend writes it: ``exir_ops.edge.aten.add.Tensor``, ``torch.ops.aten.relu.default``.
_OPERATOR = re.compile(r"(?:^|\.)(?:\w*ops)\.(?:edge\.|backend\.)?(\w+\.\w+(?:\.\w+)?)$")


@dataclass(frozen=True)
class Definition:
    """A class, function or variable at the top level of a module.

    ``text`` is the source without comments, docstrings and layout. ``lists`` holds the collections that are
    written out in it, by path (``TableOps.unary_table_ops``); the elements of a dict are its keys. ``uses`` are
    the full names of what it uses; those of other packages are left as they are imported. ``file`` is relative to the
    backend or, outside of it, to the directory of packages.
    """

    module: str
    name: str
    kind: str  # class, function, variable, statements
    file: str
    text: str
    bases: tuple[str, ...] = ()
    uses: frozenset[str] = frozenset()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    operators: frozenset[str] = frozenset()

    @property
    def full_name(self) -> str:
        return f"{self.module}:{self.name}"


@dataclass(frozen=True)
class Step:
    """One pass of a pipeline, as the pass manager makes it. ``call`` has the arguments and the condition."""

    name: str
    call: str


@dataclass(frozen=True)
class Backend:
    """All definitions, by full name, and the pipelines of the pass manager, by method."""

    definitions: Mapping[str, Definition]
    pipelines: Mapping[str, tuple[Step, ...]]

    def in_backend(self) -> dict[str, Definition]:
        return {key: found for key, found in self.definitions.items() if found.module.startswith(BACKEND)}

    @cached_property
    def passes(self) -> dict[str, Definition]:
        """The backend's passes, by full name."""
        return {key: found for key, found in self.in_backend().items() if self._is_pass(found, frozenset())}

    def _is_pass(self, definition: Definition, seen: frozenset[str]) -> bool:
        for base in definition.bases:
            if re.split(r"[.:]", base)[-1] in PASS_BASES:
                return True
            known = self.definitions.get(base)
            if known is not None and base not in seen and self._is_pass(known, seen | {base}):
                return True
        return False


def read_backend(packages: Path) -> Backend:
    """Read the backend that is installed in the directory ``packages``. Raises FileNotFoundError if there is none."""
    root = packages / Path(*BACKEND.split("."))
    if not root.is_dir():
        raise FileNotFoundError(f"no {BACKEND} in {packages}")
    modules: dict[str, _Module] = {}
    waiting = [path for path in sorted(root.rglob("*.py")) if not LEFT_OUT & set(path.relative_to(root).parts)]
    waiting += [path for path in [_file_of(LOWERING[0], packages)] if path]
    while waiting:
        module = _Module.read(waiting.pop(), packages)
        modules[module.name] = module
        for name in module.imported_modules():
            path = _file_of(name, packages)
            if path is not None and _name_of(path, packages) not in modules and path not in waiting:
                waiting.append(path)
    definitions = {}
    for module in modules.values():
        for definition in module.definitions(modules):
            definitions[definition.full_name] = definition
    pipelines: dict[str, tuple[Step, ...]] = {}
    for module in modules.values():
        if module.name.startswith(BACKEND):
            pipelines.update(_pipelines(module.tree))
    return Backend(_used(definitions), pipelines)


def _used(definitions: Mapping[str, Definition]) -> dict[str, Definition]:
    """Those of the backend, and what they or the lowering use: an import alone brings in half of ExecuTorch."""
    waiting = [key for key, found in definitions.items() if found.module.startswith(BACKEND)] + [":".join(LOWERING)]
    seen = set(waiting)
    while waiting:
        found = definitions.get(waiting.pop())
        fresh = (found.uses if found else frozenset()) - seen
        seen |= fresh
        waiting += fresh
    return {key: found for key, found in definitions.items() if key in seen}


@dataclass
class _Module:
    name: str
    file: str
    is_package: bool
    tree: ast.Module
    #: local name -> (module, name in it or "" for the module itself)
    imports: dict[str, tuple[str, str]]

    @classmethod
    def read(cls, path: Path, packages: Path) -> _Module:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = _name_of(path, packages)
        root = packages / Path(*BACKEND.split(".")) if f"{name}.".startswith(f"{BACKEND}.") else packages
        module = cls(name, path.relative_to(root).as_posix(), path.name == "__init__.py", tree, {})
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    module.imports[bound] = (alias.name if alias.asname else bound, "")
            elif isinstance(node, ast.ImportFrom):
                source = module._absolute(node)
                module.imports.update({alias.asname or alias.name: (source, alias.name) for alias in node.names})
        return module

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def imported_modules(self) -> Iterator[str]:
        for module, name in self.imports.values():
            yield module
            if name:
                yield f"{module}.{name}"
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)

    def definitions(self, modules: Mapping[str, _Module]) -> Iterator[Definition]:
        named: dict[str, list[ast.stmt]] = {}
        rest: list[ast.stmt] = []
        for statement in _top_level(self.tree.body):
            names = list(_defined(statement))
            for name in names:
                if name not in _BOOKKEEPING:
                    named.setdefault(name, []).append(statement)
            if not names and not isinstance(statement, (ast.Import, ast.ImportFrom, ast.Pass)):
                rest.append(statement)
        if rest:
            named["(statements)"] = rest
        for name, statements in named.items():
            cleaned = [_without_docstrings(statement) for statement in statements]
            yield Definition(
                module=self.name,
                name=name,
                kind=_kind(statements[-1]) if name != "(statements)" else "statements",
                file=self.file,
                text="\n".join(ast.unparse(statement) for statement in cleaned),
                bases=tuple(self._resolved(base, modules) for s in statements for base in getattr(s, "bases", ())),
                uses=frozenset(self._uses(cleaned, modules)) - {f"{self.name}:{name}"},
                lists=dict(_lists(cleaned, "", False)),
                operators=frozenset(_operators(cleaned)),
            )

    def _uses(self, statements: Iterable[ast.stmt], modules: Mapping[str, _Module]) -> Iterator[str]:
        own = {name for statement in _top_level(self.tree.body) for name in _defined(statement)}
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, (ast.Name, ast.Attribute)):
                    chain = _dotted(node)
                    root = chain.partition(".")[0]
                    if root in self.imports:
                        yield self._resolved(node, modules)
                    elif root in own:
                        yield f"{self.name}:{root}"

    def _resolved(self, node: ast.expr, modules: Mapping[str, _Module]) -> str:
        """The full name of what an expression like ``ArmPass`` or ``utils.helper`` stands for."""
        chain = _dotted(node)
        if not chain:
            return ast.unparse(node)
        root, _, attributes = chain.partition(".")
        if root not in self.imports:
            return f"{self.name}:{root}"
        module, name = self.imports[root]
        parts = [part for part in (name, *attributes.split(".")) if part]
        while parts and f"{module}.{parts[0]}" in modules:
            module = f"{module}.{parts.pop(0)}"
        return _through_packages(module, parts[0], modules) if parts else module


def _through_packages(module: str, name: str, modules: Mapping[str, _Module]) -> str:
    """Where ``name`` is defined that ``module`` perhaps only imports."""
    for _ in range(20):  # packages that import from each other in a circle
        holder = modules.get(module)
        if holder is None or name not in holder.imports or not holder.imports[name][1]:
            break
        module, name = holder.imports[name]
    return f"{module}:{name}"


def _name_of(path: Path, packages: Path) -> str:
    parts = path.relative_to(packages).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file_of(module: str, packages: Path) -> Path | None:
    """The file of a module of ExecuTorch, None if it has none (or is a name in a module)."""
    if module.partition(".")[0] != TOP:
        return None
    path = packages / Path(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those in ``if`` and ``try`` included, without docstrings."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _top_level([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handlers = [line for handler in statement.handlers for line in handler.body]
            yield from _top_level([*statement.body, *handlers, *statement.orelse, *statement.finalbody])
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            yield statement


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def _kind(statement: ast.stmt) -> str:
    if isinstance(statement, ast.ClassDef):
        return "class"
    return "function" if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) else "variable"


class _Cleaner(ast.NodeTransformer):
    """Takes out the docstrings."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node, False):
            node.body = node.body[1:] or [ast.Pass()]
        return node


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    copied = ast.parse(ast.unparse(statement)).body[0]
    return ast.fix_missing_locations(_Cleaner().visit(copied))  # type: ignore[no-any-return]


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of a chain of attributes, "" for anything else."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def _operators(statements: Iterable[ast.AST]) -> Iterator[str]:
    for statement in statements:
        inner = {id(node.value) for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and id(node) not in inner:
                match = _OPERATOR.search(_dotted(node))
                if match:
                    yield match[1]


def _lists(statements: Iterable[ast.stmt], prefix: str, local: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The collections of at least one element that are assigned by name, with their path.

    Of the local variables of a function, only those that hold operators.
    """
    found: dict[str, list[str]] = {}
    for statement in statements:
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = local or not isinstance(statement, ast.ClassDef)
            yield from _lists(statement.body, f"{prefix}{statement.name}.", inside)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and statement.value is not None:
            if local and not any(_operators([statement.value])):
                continue
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            elements = _elements(statement.value)
            for name in (_dotted(target) for target in targets):
                if name and elements:
                    found.setdefault(f"{prefix}{name}", []).extend(elements)
        else:
            yield from _lists((n for n in ast.iter_child_nodes(statement) if isinstance(n, ast.stmt)), prefix, local)
    yield from ((path, tuple(dict.fromkeys(elements))) for path, elements in found.items())


def _elements(node: ast.expr) -> list[str]:
    """The elements of a literal, of a union of literals, or of ``frozenset({...})``. A name in a union is ``*NAME``."""
    if isinstance(node, (ast.List, ast.Set, ast.Tuple)):
        return [_element(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        items = zip(node.keys, node.values, strict=True)
        return [_element(key) if key else f"**{ast.unparse(value)}" for key, value in items]
    if isinstance(node, ast.Call) and _dotted(node.func) in _COLLECTIONS and len(node.args) == 1:
        return _elements(node.args[0]) or [f"*{ast.unparse(node.args[0])}"]
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.BitOr)):
        left, right = _elements(node.left), _elements(node.right)
        if left or right:
            return [*(left or [f"*{ast.unparse(node.left)}"]), *(right or [f"*{ast.unparse(node.right)}"])]
    return []


def _element(node: ast.expr) -> str:
    match = _OPERATOR.search(_dotted(node))
    return match[1] if match else ast.unparse(node)


def _pipelines(tree: ast.Module) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """What each method of a pass manager hands to ``add_pass`` and ``add_passes``, in the order of the source."""
    for manager in ast.walk(tree):
        if isinstance(manager, ast.ClassDef):
            for method in manager.body:
                if isinstance(method, ast.FunctionDef):
                    steps = tuple(_steps(method.body, ""))
                    if steps:
                        yield f"{manager.name}.{method.name}", steps


def _steps(body: Iterable[ast.stmt], condition: str) -> Iterator[Step]:
    for statement in body:
        if isinstance(statement, ast.If):
            test = ast.unparse(statement.test)
            yield from _steps(statement.body, f"{condition} if {test}")
            yield from _steps(statement.orelse, f"{condition} if not ({test})")
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            if _dotted(statement.value.func) in ("self.add_pass", "self.add_passes"):
                for argument in statement.value.args:
                    made = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
                    for item in made:
                        first = next((_dotted(c.func) for c in ast.walk(item) if isinstance(c, ast.Call)), "")
                        if first:
                            yield Step(first, ast.unparse(item) + condition)
        else:
            blocks = (getattr(statement, name, ()) for name in ("body", "orelse", "finalbody"))
            for block in blocks:
                yield from _steps(block if isinstance(block, list) else (), condition)
