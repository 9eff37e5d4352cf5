"""The torch-free graph: nodes, qparams, the op table and the view that rules look through."""

from fuseguard.ir.activations import activation_bounds
from fuseguard.ir.graph import Arg, Graph, Node, Ref, SourceLine, StoredAs, TensorMeta
from fuseguard.ir.ops import OpInfo, Trait, canonical_target, lookup
from fuseguard.ir.qparams import QParams
from fuseguard.ir.view import Island, View

__all__ = [
    "Arg", "Graph", "Island", "Node", "OpInfo", "QParams", "Ref", "SourceLine", "StoredAs", "TensorMeta",
    "Trait", "View", "activation_bounds", "canonical_target", "lookup",
]  # fmt: skip
