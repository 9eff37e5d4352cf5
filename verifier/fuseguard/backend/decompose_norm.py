"""What the backend puts in the place of the mean and the rstd of a layer or group norm.

Source: ``DecomposeLayerNormPass`` and ``DecomposeGroupNormPass``, the same in ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.
They write the normalization out and give its
result to every getitem of the op, whichever of its three results that takes. The INT profile never gets so far: only
the float profile's support list has the two ops.

Rules that depend on it: OP716.
"""

from __future__ import annotations

from fuseguard.ir import Node, Trait, View

_NORMS = ("aten.native_layer_norm.", "aten.native_group_norm.")
_NAMES = ("result", "mean", "rstd")


def side_results(view: View, node: Node) -> dict[str, Node]:
    """By ``mean`` and ``rstd``, the getitems that a program uses; empty for other ops."""
    if not node.target.startswith(_NORMS):
        return {}
    taken = {}
    for user in view.users(node):
        place = user.arg(1, "index") if user.info.has(Trait.GETITEM) else 0
        if place in (1, 2) and isinstance(place, int) and view.users(user):
            taken[_NAMES[place]] = user
    return taken


def readers(view: View, value: Node) -> list[Node]:
    """Who reads a value, as it is or through its Q and DQ."""
    found: list[Node] = []
    for user in view.users(value):
        found += [reader for _, reader in view.code_readers(user)] if view.is_q(user) else [user]
    return found
