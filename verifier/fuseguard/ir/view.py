"""What rules ask of a graph: qparams in and out of a node, islands, closed clusters, quantization domains.

A :class:`View` is read-only, made once per graph, and computes each answer at most once.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fuseguard.ir.graph import Arg, Graph, Node, Ref
from fuseguard.ir.ops import QUANTIZERS, Trait
from fuseguard.ir.qparams import QParams
from fuseguard.ir.value import Value

if TYPE_CHECKING:
    import networkx as nx


class Island(Value, frozen=True):
    """A compute node, the activation fused to it if any, and its Q/DQ boundary.

    ``inputs`` are the DQs that feed the anchor, ``output_q`` the Q that ends the island (None if its result
    is used in float). ``owner`` is the node whose direct user is ``output_q``.
    """

    anchor: Node
    activation: Node | None
    inputs: tuple[Node, ...]
    output_q: Node | None

    @property
    def owner(self) -> Node:
        return self.activation or self.anchor

    @property
    def name(self) -> str:
        return f"{self.anchor.name} -> {self.activation.name}" if self.activation else self.anchor.name


_MANY = 1_000
#: Kinds by another name in the edge dialect. What is read of them there by a getitem is their value here.
_SAME_KIND = {"max_pool2d_with_indices": "max_pool2d"}


class View:
    """Quantization-aware look-ups over one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._live = _reachable_backwards(graph)
        self._users = _live_users(graph, self._live)
        #: What models of the backend have found out about this graph, by what was asked.
        self.kept: dict[Hashable, Any] = {}
        self._calls: dict[Trait | None, tuple[Node, ...]] = {}
        self._of_kind: dict[tuple[str, ...], tuple[Node, ...]] = {}
        self._qparams: dict[str, QParams | None] = {}
        self._per_tensor: dict[tuple[Arg, ...], QParams] = {}  # by their arguments, which a Q and its DQs have alike
        self._keys: dict[str, dict[str, str]] = {}
        self._clusters: dict[str, frozenset[str]] = {}
        self._ordered: dict[tuple[int, ...], tuple[str, ...]] = {}  # by the ids of clusters that are kept

    # --- neighbours -------------------------------------------------------------------------------------

    def is_live(self, node: Node) -> bool:
        """Whether the node's value reaches an output or an assertion. PT2E leaves dead DQs, which no pass sees."""
        return node.name in self._live

    def users(self, node: Node) -> tuple[Node, ...]:
        """The live users of ``node``."""
        return self._users[node.name]

    def calls(self, trait: Trait | None = None) -> tuple[Node, ...]:
        """Live operator calls in topological order, those with ``trait`` if given."""
        if trait not in self._calls:
            if trait is None:
                found = tuple([node for node in self.graph if node.op == "call" and node.name in self._live])
            else:  # the nodes of a kind have its traits
                found = self.of_kind(*[kind for kind, nodes in self._kinds.items() if nodes[0].info.has(trait)])
            self._calls[trait] = found
        return self._calls[trait]

    @cached_property
    def ops(self) -> tuple[Node, ...]:
        """Live operator calls other than Q and DQ, in topological order."""
        return tuple([node for node in self.calls() if node.kind not in QUANTIZERS])

    def of_kind(self, *kinds: str) -> tuple[Node, ...]:
        """Live operator calls of these kinds, in topological order."""
        if kinds not in self._of_kind:
            found = [node for kind in kinds for node in self._kinds.get(kind, ())]
            self._of_kind[kinds] = tuple(sorted(found, key=lambda node: node.index) if len(kinds) > 1 else found)
        return self._of_kind[kinds]

    @cached_property
    def _kinds(self) -> Mapping[str, list[Node]]:
        groups: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self.calls():
            groups[node.kind].append(node)
        return groups

    @cached_property
    def code_dtypes(self) -> frozenset[str]:
        """The dtypes of all codes in the program whose qparams can be read."""
        found = map(self.qparams, self.of_kind("quantize", "dequantize"))
        return frozenset([qparams.dtype for qparams in found if qparams is not None])

    def is_q(self, node: Node) -> bool:
        return node.kind == "quantize"

    def is_dq(self, node: Node) -> bool:
        return node.kind == "dequantize"

    # --- qparams ----------------------------------------------------------------------------------------

    def qparams(self, node: Node) -> QParams | None:
        """The qparams that a Q or DQ node carries; None for other nodes and for unreadable ones."""
        name = node.name
        if name in self._qparams:
            return self._qparams[name]
        if node.kind not in QUANTIZERS:
            return None
        found = self._qparams[name] = self._read_qparams(node)
        return found

    def _read_qparams(self, node: Node) -> QParams | None:
        # quantize_per_tensor(x, scale, zero_point, qmin, qmax, dtype)
        # quantize_per_channel(x, scales, zero_points, axis, qmin, qmax, dtype)
        if "per_channel" in node.target:
            axis, qmin, qmax, dtype = (
                node.arg(3, "axis"), node.arg(4, "quant_min"), node.arg(5, "quant_max"), node.arg(6, "dtype"),
            )  # fmt: skip
            if not (isinstance(axis, int) and isinstance(qmin, int) and isinstance(qmax, int)):
                return None
            scales = self._buffer(node.arg(1, "scales"))
            zero_points = tuple(int(z) for z in self._buffer(node.arg(2, "zero_points")) if math.isfinite(z))
            source = "" if scales else _text(node.arg(1, "scales"))
            return QParams(scales, zero_points, qmin, qmax, _text(dtype), axis, source)
        if not node.kwargs and node.args[1:] in self._per_tensor:
            return self._per_tensor[node.args[1:]]
        scale, zero_point, qmin, qmax, dtype = (
            node.arg(1, "scale"), node.arg(2, "zero_point"), node.arg(3, "quant_min"), node.arg(4, "quant_max"),
            node.arg(5, "dtype"),
        )  # fmt: skip
        if not (
            isinstance(scale, int | float)
            and isinstance(zero_point, int)
            and isinstance(qmin, int)
            and isinstance(qmax, int)
        ):
            return None
        found = QParams.per_tensor(float(scale), zero_point, qmin, qmax, _text(dtype))
        if not node.kwargs:
            self._per_tensor[node.args[1:]] = found
        return found

    def _buffer(self, arg: Arg) -> tuple[float, ...]:
        return self.graph.buffers.get(arg.name, ()) if isinstance(arg, Ref) else ()

    def in_dq(self, node: Node, position: int) -> Node | None:
        """The DQ that feeds the argument at ``position``, or None."""
        arg = node.args[position] if position < len(node.args) else None
        producer = self.graph.nodes[arg.name] if isinstance(arg, Ref) else None
        return producer if producer is not None and producer.kind == "dequantize" else None

    def in_qp(self, node: Node, position: int) -> QParams | None:
        """The qparams of the DQ feeding the argument at ``position``."""
        producer = self.in_dq(node, position)
        return self.qparams(producer) if producer is not None else None

    def out_q(self, node: Node) -> tuple[Node, ...]:
        """The Q nodes among the live users of ``node``."""
        return tuple([user for user in self._users[node.name] if user.kind == "quantize"])

    def out_qp(self, node: Node) -> QParams | None:
        """The qparams of the first Q among the live users of ``node``; None if there is none that can be read."""
        quantizers = self.out_q(node)
        return self.qparams(quantizers[0]) if quantizers else None

    def code_readers(self, q: Node) -> Iterator[tuple[Node, Node]]:
        """Each DQ of the codes that ``q`` makes, with each of its distinct live users."""
        for dq in self.users(q):
            if self.is_dq(dq):
                yield from ((dq, reader) for reader in self.users(dq))

    def maker(self, value: Node) -> Node | None:
        """The node whose result ``value`` is, through its DQ and Q; ``value`` itself if it is not dequantized."""
        if not (self.is_dq(value) and value.args):
            return value
        codes = self.graph.node_of(value.args[0])
        return self.owner(codes) if codes is not None and self.is_q(codes) else codes

    def output_owner(self, node: Node) -> Node:
        """The op that owns the output qparams of ``node``: the activation that an anchor fuses with, else itself."""
        activation = self._activation(node) if node.info.has(Trait.MAC) else None
        return activation or node

    def owner(self, q: Node) -> Node | None:
        """The node that owns the output qparams which ``q`` carries: the one whose direct user it is."""
        return self.producer(q)

    def producer(self, node: Node) -> Node | None:
        """The node that the first argument of ``node`` is the value of; None for a literal and where there is none."""
        return self.graph.node_of(node.args[0]) if node.args else None

    # --- islands ----------------------------------------------------------------------------------------

    @cached_property
    def islands(self) -> tuple[Island, ...]:
        """Every anchor with at least one DQ input, in topological order."""
        return tuple(island for node in self.calls(Trait.MAC) if (island := self._island(node)).inputs)

    def island_of(self, node: Node) -> Island | None:
        """The island of which ``node`` is the anchor or the activation."""
        return self._island_by_member.get(node.name)

    @cached_property
    def _island_by_member(self) -> dict[str, Island]:
        return {node.name: island for island in self.islands for node in (island.anchor, island.owner)}

    def _island(self, anchor: Node) -> Island:
        inputs = tuple([node for node in self.graph.inputs(anchor) if node.kind == "dequantize"])
        activation = self._activation(anchor)
        quantizers = self.out_q(activation or anchor)
        return Island(anchor, activation, inputs, quantizers[0] if quantizers else None)

    def _activation(self, anchor: Node) -> Node | None:
        users = self.users(anchor)
        return users[0] if len(users) == 1 and users[0].info.has(Trait.ACTIVATION) else None

    def groups(self, anchor: Node) -> int:
        """The group count of a convolution in either dialect, by its schema."""
        # convolution(x, w, b, stride, padding, dilation, transposed, output_padding, groups)
        # conv_transposeNd(x, w, b, stride, padding, output_padding, groups, dilation)
        # convNd(x, w, b, stride, padding, dilation, groups)
        position = 8 if anchor.operator == "convolution" else 6
        groups = anchor.arg(position, "groups", 1)
        return groups if isinstance(groups, int) else 1

    def transposed(self, anchor: Node) -> bool:
        if "conv_transpose" in anchor.target:
            return True
        return anchor.target.startswith("aten.convolution") and anchor.arg(6, "transposed", False) is True

    def key(self, node: Node) -> str:
        """A name for ``node`` that is the same in the ATen and in the edge dialect of one program.

        Module path, canonical kind, and the ordinal among the live calls that share both.
        """
        named = self._pool_of(node) or node
        kind = _SAME_KIND.get(named.kind, named.kind)
        if kind not in self._keys:
            self._keys[kind] = self._keys_of(kind)
        return self._keys[kind].get(named.name, node.name)

    def _keys_of(self, kind: str) -> dict[str, str]:
        seen: Counter[str] = Counter()
        keys: dict[str, str] = {}
        for node in self._by_kind[kind]:
            if self._pool_of(node) is None:
                keys[node.name] = f"{self.graph.name}/{node.module}:{kind}#{seen[node.module]}"
                seen[node.module] += 1
        return keys

    @cached_property
    def _by_kind(self) -> Mapping[str, list[Node]]:
        """The live calls of each kind, in topological order; what has two names is under one."""
        groups: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self.calls():
            groups[_SAME_KIND.get(node.kind, node.kind)].append(node)
        return groups

    def _pool_of(self, node: Node) -> Node | None:
        """The max_pool2d_with_indices of which a getitem takes the values."""
        producer = self.graph.node_of(node.args[0]) if node.info.has(Trait.GETITEM) and node.args else None
        return producer if producer is not None and producer.kind in _SAME_KIND else None

    # --- closed clusters --------------------------------------------------------------------------------

    def cluster(self, *nodes: Node) -> frozenset[str]:
        """The nodes that must be refused or rewritten together with ``nodes``.

        That is: an anchor with its activation and an activation with its anchor (refusing half of the pair
        makes the crash that it should prevent), the DQs that feed them, and whatever else reads such a DQ. A DQ
        that stays behind for another reader ends up in a partition of its own, without the reader: the reader
        then has a float input where its annotation promises integers. The output node is not such a reader: it may
        have floats. Arm's quantizer gives every reader a DQ of its own, so that in its programs clusters stay small.
        """
        found = {id(cluster): cluster for cluster in map(self._cluster_of, nodes)}
        [first, *others] = found.values()
        return first.union(*others) if others else first

    def ordered_cluster(self, *nodes: Node) -> tuple[str, ...]:
        """The same in the program's order. Nodes of one cluster get the same object: many findings may share one."""
        key = tuple(dict.fromkeys([id(self._cluster_of(node)) for node in nodes]))
        if key not in self._ordered:
            self._ordered[key] = self.in_order(self.cluster(*nodes))
        return self._ordered[key]

    def in_order(self, names: Set[str]) -> tuple[str, ...]:
        """Names of nodes in the program's order."""
        nodes = self.graph.nodes
        if len(names) > max(_MANY, len(nodes) // 8):  # a walk over all nodes takes less than sorting most of them
            return tuple([name for name in nodes if name in names])
        return tuple(sorted(names, key=lambda name: nodes[name].index))

    def _cluster_of(self, start: Node) -> frozenset[str]:
        if start.name in self._clusters:
            return self._clusters[start.name]
        if self.is_q(start) or start.op == "output":
            # A Q comes along with a DQ in front of it, and brings nothing itself.
            self._clusters[start.name] = frozenset((start.name,))
        else:
            members: dict[str, Node] = {}
            pending = [start]
            while pending:
                node = pending.pop()
                if node.name in members:
                    continue
                members[node.name] = node
                partner = self._partner(node)
                if partner is not None:
                    pending.append(partner)
                if self.is_dq(node):
                    pending += [user for user in self.users(node) if user.op != "output"]
                elif not self.is_q(node):
                    pending += [producer for producer in self.graph.inputs(node) if self.is_dq(producer)]
            cluster = frozenset(members)
            # Whichever member one starts from, the cluster is the same.
            self._clusters.update({name: cluster for name, node in members.items() if not self.is_q(node)})
        return self._clusters[start.name]

    def _partner(self, node: Node) -> Node | None:
        """The activation of an anchor, or the anchor of an activation."""
        if node.info.has(Trait.MAC):
            return self._activation(node)
        if node.info.has(Trait.ACTIVATION) and node.args:
            producer = self.graph.node_of(node.args[0])
            if producer is not None and producer.info.has(Trait.MAC) and self.users(producer) == (node,):
                return producer
        return None

    # --- quantization domains ---------------------------------------------------------------------------

    @cached_property
    def domains(self) -> tuple[frozenset[str], ...]:
        """Quantization domains: sets of nodes whose values share one set of codes.

        Nodes are joined across Q -> DQ and across value-transparent ops; the Qs in one domain should carry
        the same qparams. Domains of a single node are left out.
        """
        import networkx as nx  # imported late: most lint runs never ask for domains

        edges: nx.Graph[str] = nx.Graph()
        for node in self.calls():
            if self.is_q(node) or self.is_dq(node):
                if node.args and isinstance(node.args[0], Ref):
                    edges.add_edge(node.args[0].name, node.name)
            elif node.info.has(Trait.TRANSPARENT):
                for ref in node.refs():
                    edges.add_edge(ref.name, node.name)
        return tuple(frozenset(component) for component in nx.connected_components(edges))

    def domain(self, node: Node) -> frozenset[str]:
        """The domain that ``node`` belongs to; itself alone if nothing joins it to others."""
        return self._domain_of.get(node.name, frozenset((node.name,)))

    @cached_property
    def _domain_of(self) -> dict[str, frozenset[str]]:
        return {name: domain for domain in self.domains for name in domain}


def _text(arg: Arg) -> str:
    return arg.name if isinstance(arg, Ref) else str(arg)


def _live_users(graph: Graph, live: frozenset[str]) -> dict[str, tuple[Node, ...]]:
    if len(live) == len(graph):
        return {node.name: graph.users(node) for node in graph}
    return {node.name: tuple([user for user in graph.users(node) if user.name in live]) for node in graph}


def _reachable_backwards(graph: Graph) -> frozenset[str]:
    """Names of nodes that an output or an assertion depends on; placeholders always count as live."""
    live = {node.name for node in graph if node.op in ("placeholder", "output") or node.kind == "_assert_async"}
    for node in reversed(graph.nodes.values()):  # users come before what they use
        if node.name in live:
            live.update([producer.name for producer in graph.inputs(node)])
    return frozenset(live)
