"""Forged programs as large as the limits allow, each of one kind that once cost more than its size explains.

Every program has nearly as many nodes as are accepted. What they are made of is marked as Arm's quantizer marks it, so
that rules look at it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from fuseguard.readers.budget import MAX_NODES, MAX_QPARAM_VALUES, MAX_USES
from fuseguard.readers.loader import arguments_of
from fuseguard_testkit.forging import MODEL, ROOT, graph_of, records

#: Nodes of each program: inputs, the output and a few ends count as well.
NODES = MAX_NODES - 50
_MARK = {"custom": '{"_arm_annotation_info": {"quantized": true}}'}
Json = dict[str, Any]


def tensor(name: str) -> Json:
    return {"as_tensor": {"name": name}}


def tensors(names: Iterable[str]) -> Json:
    return {"as_tensors": [{"name": name} for name in names]}


def meta(shape: tuple[int, ...] = (1, 2, 8, 8), dtype: int = 7) -> Json:
    return {"dtype": dtype, "sizes": [{"as_int": size} for size in shape]}


def call(name: str, target: str, *args: Json | str, marked: bool = True) -> Json:
    """A node; text stands for the tensor of this name."""
    known = arguments_of(target)
    names = known.names if known is not None else ()
    inputs = [
        {"name": names[at] if at < len(names) else "x", "arg": tensor(arg) if isinstance(arg, str) else arg, "kind": 1}
        for at, arg in enumerate(args)
    ]
    return {
        "name": name, "target": f"torch.ops.{target}", "inputs": inputs, "outputs": [tensor(name)],
        "metadata": _MARK if marked else {}, "is_hop_single_tensor_return": None,
    }  # fmt: skip


def _numbers(scale: float, zero_point: int, qmin: int, qmax: int, dtype: int) -> list[Json]:
    return [
        {"as_float": scale}, {"as_int": zero_point}, {"as_int": qmin}, {"as_int": qmax}, {"as_scalar_type": dtype},
    ]  # fmt: skip


def pair(name: str, x: str, scale: float = 0.1, zero_point: int = 0, dtype: int = 2) -> list[Json]:
    """A quantize op ``q<name>`` and the dequantize op ``d<name>`` after it; ``dtype`` 2 is int8, 3 is int16."""
    numbers = _numbers(scale, zero_point, *((-128, 127) if dtype == 2 else (-32767, 32767)), dtype)
    kind = "quantized_decomposed.{}_per_tensor.default"
    return [
        call(f"q{name}", kind.format("quantize"), x, *numbers, marked=False),
        call(f"d{name}", kind.format("dequantize"), f"q{name}", *numbers, marked=False),
    ]


def program(nodes: list[Json], outputs: list[str], inputs: tuple[str, ...] = ("x", "w")) -> Json:
    value: Json = json.loads(records()[f"{ROOT}/{MODEL}"])
    graph = graph_of(value)
    graph["nodes"], graph["inputs"], graph["outputs"] = nodes, list(map(tensor, inputs)), list(map(tensor, outputs))
    graph["tensor_values"] = dict.fromkeys((*inputs, *(node["name"] for node in nodes)), meta())
    signature = value["graph_module"]["signature"]
    signature["input_specs"] = [{"user_input": {"arg": tensor(name)}} for name in inputs]
    signature["output_specs"] = [{"user_output": {"arg": tensor(name)}} for name in outputs]
    return value


def shared_dequantize() -> Json:
    """One DQ that all islands read: every finding has the same cluster, of all nodes."""
    number = NODES // 4
    nodes = [*pair("", "x"), *pair("w", "w")]
    for i in range(number):
        nodes += [call(f"c{i}", "aten.conv2d.default", "d", "dw"), call(f"r{i}", "aten.relu.default", f"c{i}")]
        nodes += pair(str(i), f"r{i}", 0.1, 5)
    return program(nodes, [f"d{i}" for i in range(number)])


def islands() -> Json:
    """Islands with a fault each, and clusters of their own."""
    number = NODES // 6
    nodes = []
    for i in range(number):
        nodes += pair(f"a{i}", "x")
        nodes += [call(f"c{i}", "aten.conv2d.default", f"da{i}", f"da{i}"), call(f"r{i}", "aten.relu.default", f"c{i}")]
        nodes += pair(str(i), f"r{i}", 0.1, 5)
    return program(nodes, [f"d{i}" for i in range(number)])


def wide_cat() -> Json:
    number = NODES // 3 - 2
    nodes = []
    for i in range(number):
        nodes += [*pair(str(i), "x", 0.1 + i * 1e-6), call(f"r{i}", "aten.relu.default", f"d{i}")]
    nodes.append(call("cat", "aten.cat.default", tensors(f"r{i}" for i in range(number)), {"as_int": 1}))
    return program([*nodes, *pair("end", "cat", 0.3)], ["dend"])


def cats_of_all_before() -> Json:
    """Each cat joins all DQs so far: hundreds of thousands of uses of some hundred values."""
    nodes: list[Json] = []
    number = int((2 * MAX_USES * NODES / MAX_NODES) ** 0.5) - 8
    for i in range(number):
        nodes += pair(str(i), "x", 0.1 + i * 1e-5)
        nodes.append(call(f"c{i}", "aten.cat.default", tensors(f"d{j}" for j in range(i + 1)), {"as_int": 1}))
        nodes += pair(f"c{i}", f"c{i}", 0.2)
    return program(nodes, [f"dc{i}" for i in range(number)])


def long_chain() -> Json:
    """One island after the other, each reading the one before."""
    nodes, last = pair("", "x"), "d"
    for i in range(NODES // 3 - 1):
        shape = {"as_ints": [1, 2, 8, 8]}
        nodes += [call(f"v{i}", "aten.view.default", last, shape), *pair(str(i), f"v{i}", 0.1 + i * 1e-6)]
        last = f"d{i}"
    return program(nodes, [last])


def adds() -> Json:
    nodes, last = pair("", "x"), "d"
    for i in range(NODES // 3 - 1):
        nodes += [call(f"a{i}", "aten.add.Tensor", last, "d"), *pair(str(i), f"a{i}", 0.1 + i * 1e-6)]
        last = f"d{i}"
    return program(nodes, [last])


def moved_far() -> Json:
    """Ops that only move values between one Q/DQ and the next."""
    nodes, last = pair("", "x"), "d"
    for i in range(NODES - 10):
        kind = ("aten.view.default", "aten.permute.default")[i % 2]
        nodes.append(call(f"v{i}", kind, last, {"as_ints": [0, 1, 2, 3]}))
        last = f"v{i}"
    return program([*nodes, *pair("end", last, 0.3)], ["dend"])


def not_quantized_between() -> Json:
    nodes, last = pair("", "x"), "d"
    for i in range(NODES - 10):
        nodes.append(call(f"a{i}", "aten.add.Tensor", last, last))
        last = f"a{i}"
    return program([*nodes, *pair("end", last, 0.3)], ["dend"])


def tables() -> Json:
    """Lookup tables of int16, each with qparams of its own."""
    number = NODES // 5
    nodes = []
    for i in range(number):
        kind = ("sigmoid", "tanh", "exp", "rsqrt")[i % 4]
        nodes += pair(f"a{i}", "x", 0.0001 + i * 1e-7, dtype=3)
        nodes.append(call(f"s{i}", f"aten.{kind}.default", f"da{i}"))
        nodes += pair(str(i), f"s{i}", 0.0002 + i * 1e-7, dtype=3)
    return program(nodes, [f"d{i}" for i in range(number)])


def narrow_tables() -> Json:
    """The same of int8, over a part of the codes."""
    number = NODES // 5
    nodes = []
    for i in range(number):
        kind = ("sigmoid", "tanh", "exp", "rsqrt")[i % 4]
        narrow = [*pair(f"a{i}", "x", 0.01 + i * 1e-6), *pair(str(i), f"s{i}", 0.02 + i * 1e-6)]
        for node in narrow[:2]:
            node["inputs"][3]["arg"] = {"as_int": -100}
        nodes += [*narrow[:2], call(f"s{i}", f"aten.{kind}.default", f"da{i}"), *narrow[2:]]
    return program(nodes, [f"d{i}" for i in range(number)])


def impossible() -> Json:
    """More findings than a report has."""
    nodes = []
    for i in range(NODES // 2):
        nodes += pair(str(i), "x", -1.0)
    return program(nodes, [f"d{i}" for i in range(NODES // 2)])


def unused_results() -> Json:
    """Split ops whose results nothing reads, of which FX makes nodes."""
    nodes = pair("", "x")
    names = []
    for i in range(50):
        parts = [f"p{i}_{j}" for j in range(NODES // 50 - 5)]
        split = call(f"s{i}", "aten.split.Tensor", "d", {"as_int": 1})
        split["outputs"] = [{"as_tensors": [{"name": part} for part in parts]}]
        nodes.append(split)
        names += parts
    value = program(nodes, ["d"])
    graph_of(value)["tensor_values"].update(dict.fromkeys(names, meta()))
    return value


def without_names() -> Json:
    """Ops that FX has to find names for."""
    number = NODES // 2
    nodes: list[Json] = []
    for i in range(number):
        node = call(f"n{i}", "aten.neg.default", "x")
        unnamed = {"target": "torch.ops.a.c.d", "inputs": [], "outputs": [], "metadata": {}}
        nodes += [node, unnamed]
    value = program(nodes[::2], [f"n{number - 1}"])
    graph_of(value)["nodes"] = nodes
    return value


def custom_objects() -> Json:
    """Arguments that are objects, which may or may not be nodes."""
    number = NODES // 2 - 5
    nodes = [call(f"n{i}", "aten.neg.default", f"n{i - 1}" if i else "x") for i in range(number)]
    for i in range(number):
        given = {"as_custom_obj": {"name": f"n{i}", "class_fqn": "a.b"}}
        node = call(f"c{i}", "mine.op.default", given, given)
        nodes.append(node)
    return program(nodes, [f"c{number - 1}"])


def matmuls() -> Json:
    """matmul, softmax and elementwise ops of two operands, as in attention."""
    number = NODES // 6
    nodes = pair("", "x")
    for i in range(number):
        nodes += [call(f"m{i}", "aten.matmul.default", "d", "d"), *pair(f"m{i}", f"m{i}", 0.1 + i * 1e-6)]
        nodes += [call(f"o{i}", "aten.maximum.default", f"dm{i}", "d"), *pair(f"o{i}", f"o{i}", 0.3 + i * 1e-6)]
    return program(nodes, [f"do{i}" for i in range(number)])


def zigzag() -> Json:
    """Refusing one op exposes another one, whose refusal exposes the next, forwards and backwards in turn."""
    number = NODES // 2 - 10
    nodes = [*pair("", "x"), call("c0", "aten.relu.default", "x")]
    for i in range(number):
        nodes += [call(f"c{i + 1}", "aten.relu.default", "d"), call(f"b{i}", "aten.add.Tensor", f"c{i}", f"c{i + 1}")]
    return program(nodes, [f"b{i}" for i in range(number)])


def branches() -> Json:
    """Operands of int16 that a branch takes for others, and sees no difference: only the last code would tell."""
    coarse = pair("b", "o", 1e9, dtype=3)
    body = {
        "inputs": [tensor("p"), tensor("o")], "outputs": [tensor("db")], "nodes": coarse, "sym_int_values": {},
        "tensor_values": {name: meta() for name in ("p", "o", "qb", "db")}, "is_single_tensor_return": False,
    }  # fmt: skip
    branch = {"as_graph": {"name": "branch", "graph": body}}
    nodes = pair("", "x", dtype=3)
    number = NODES // 8
    for i in range(number):
        nodes += pair(f"a{i}", "x", 0.1 + i * 1e-6, dtype=3)
        cond = call(f"n{i}", "higher_order.cond", "w", branch, branch, tensors(["d", f"da{i}"]))
        cond["inputs"] = [{**argument, "name": ""} for argument in cond["inputs"]]
        cond["outputs"] = [{"as_tensors": [{"name": f"r{i}"}]}]
        cond["is_hop_single_tensor_return"] = False
        nodes.append(cond)
    value = program(nodes, [f"r{i}" for i in range(number)])
    graph_of(value)["tensor_values"].update({f"r{i}": meta() for i in range(number)})
    return value


def per_channel() -> Json:
    """As many scales as are accepted; tests write the tensors."""
    size = MAX_QPARAM_VALUES // 2 - 64
    value = program([], ["d"], ("w", "s", "z"))
    number = {"as_int": 0}
    codes = [{"as_int": -127}, {"as_int": 127}, {"as_scalar_type": 2}]
    graph = graph_of(value)
    graph["nodes"] = [call("d", "quantized_decomposed.dequantize_per_channel.default", "w", "s", "z", number, *codes)]
    graph["tensor_values"] = {"w": meta((size, 1), 2), "s": meta((size,)), "z": meta((size,), 5), "d": meta((size, 1))}
    value["graph_module"]["signature"]["input_specs"] = [
        {"buffer": {"arg": {"name": name}, "buffer_name": name, "persistent": True}} for name in "wsz"
    ]
    return value


def number_minus_value() -> Json:
    """One subtraction from a number after the other: a permute that would come up is looked for from each (OP708)."""
    one = meta((1, 1, 1, 1))
    nodes, last = [*pair("one", "w"), *pair("", "x")], "d"
    for i in range(NODES // 3 - 2):
        nodes += [call(f"s{i}", "aten.sub.Tensor", "done", last), *pair(str(i), f"s{i}")]
        last = f"d{i}"
    value = program(nodes, [last])
    graph_of(value)["tensor_values"] |= {"w": one, "qone": one, "done": one}
    return value


def unquantized_readers() -> Json:
    """One DQ that sums of it with itself read, none of which is quantized."""
    names = [f"a{i}" for i in range(NODES - 2)]
    return program([*pair("", "x"), *(call(name, "aten.add.Tensor", "d", "d") for name in names)], names)


def float_functions() -> Json:
    """One function of floats after the other: a delegate's formula is compared with torch's at 513 numbers (DT512)."""
    names = [f"a{i}" for i in range(NODES - 10)]
    return program([call(name, "aten.expm1.default", before, marked=False)
                    for name, before in zip(names, ["x", *names], strict=False)], names[-1:])  # fmt: skip


def float_functions_of_codes() -> Json:
    """The same of dequantized values, whose qparams differ: each is compared at all of its codes."""
    nodes = []
    for i in range(NODES // 3 - 3):
        nodes += [*pair(str(i), "x", scale=1e-4 * (1 + i)), call(f"f{i}", "aten.expm1.default", f"d{i}", marked=False)]
    return program(nodes, [f"f{i}" for i in range(NODES // 3 - 3)])


KINDS: dict[str, Callable[[], Json]] = {
    make.__name__: make
    for make in (
        shared_dequantize, islands, wide_cat, cats_of_all_before, long_chain, adds, moved_far, not_quantized_between,
        tables, narrow_tables, impossible, unused_results, without_names, matmuls,
        custom_objects, zigzag, branches, number_minus_value, unquantized_readers,
        float_functions, float_functions_of_codes,
    )
}  # fmt: skip
