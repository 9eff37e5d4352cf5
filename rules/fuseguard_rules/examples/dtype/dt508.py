"""Examples of DT508, table-codes-taken-for-floats."""

from __future__ import annotations

from functools import partial

from fuseguard.engine import (
    Example,
)
from fuseguard_rules.examples.dtype import table_code_graphs as graphs
from fuseguard_rules.examples.programs import program_of

_program = partial(program_of, "dtype.modules")

BAD = (
    Example("avg_pool2d of a sigmoid", graphs.row(graphs.SIGMOID, graphs.AVERAGE), _program("sigmoid_pooled")),
    Example("avg_pool2d of a relu of a sigmoid", graphs.row(graphs.SIGMOID, graphs.RELU, graphs.AVERAGE)),
    Example("avg_pool2d of a floor of a sigmoid", graphs.row(graphs.SIGMOID, graphs.FLOOR, graphs.AVERAGE)),
    Example("where between a sigmoid and an int8 tensor", graphs.row(graphs.SIGMOID, mixed="first")),
    Example("where between an int8 tensor and what chooses between it and a sigmoid", graphs.chosen_twice),
    Example(
        "tanh and a linear that ends the program",
        graphs.row(graphs.SIGMOID, graphs.LINEAR),
        _program("tanh_perceptron"),
    ),
    Example("conv1d of a sigmoid that ends the program", graphs.conv1d, _program("sigmoid_conv1d")),
    Example("amax of a sigmoid that ends the program", graphs.row(graphs.SIGMOID, graphs.AMAX)),
    Example("max_pool2d of a sigmoid that ends the program", graphs.row(graphs.SIGMOID, graphs.MAX_POOL)),
    Example("bmm of a sigmoid and an int8 tensor", graphs.product, only_on="<1.4"),
    Example("bmm of an int8 tensor and a gated one", lambda: graphs.product(gated=True), only_on="<1.3"),
    Example(
        "bmm of a gated relu and the relu",
        lambda: graphs.product(graphs.RELU[0], gated=True, twice=True),
        only_on="<1.3",
    ),
    Example("where between ones and an int8 tensor", graphs.made, _program("ones_chosen")),
    Example("avg_pool2d of ones", lambda: graphs.made(pooled=True)),
    Example("bmm of ones and an int8 tensor", graphs.product_of_made, only_on="<1.4"),
    Example("bmm of a relu and an int8 tensor", lambda: graphs.product(graphs.RELU[0]), only_on="<1.3"),
)

GOOD = (
    Example("avg_pool2d of an abs", graphs.row(graphs.ABS, graphs.AVERAGE)),
    Example("avg_pool2d of a floor, which keeps int8", graphs.row(graphs.FLOOR, graphs.AVERAGE)),
    Example("permute after an amax of a sigmoid", graphs.row(graphs.SIGMOID, graphs.AMAX, graphs.PERMUTE)),
    Example("sigmoid that ends the program", graphs.row(graphs.SIGMOID)),
    Example("where between an int8 tensor and a sigmoid", graphs.row(graphs.SIGMOID, mixed="second")),
    Example("where between an int8 tensor and ones", lambda: graphs.made(first=False)),
    Example("where between a sigmoid and what may be one", graphs.chosen_twice_alike),
    Example("bmm of a sigmoid and itself", lambda: graphs.product(twice=True)),
    Example("bmm of a relu and itself", lambda: graphs.product(graphs.RELU[0], twice=True)),
    Example("sigmoid, multiplied and pooled", graphs.gated, _program("gated_and_pooled")),
)
