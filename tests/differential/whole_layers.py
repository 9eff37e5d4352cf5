"""The torch side of whole_kinds.py: what each kind holds and computes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .op_kinds import Params, Shape
from .whole_kinds import IN_PLACE, IN_PLACE_PAIR, MASKS


class Recurrent(nn.Module):
    """Two time steps, because they are unrolled: both with the other values, or the last one added to all of them."""

    def __init__(self, layer: type[nn.LSTM] | type[nn.GRU], shape: Shape, params: Params) -> None:
        super().__init__()
        self.inner = layer(shape[-1], shape[-1], batch_first=True)
        self.last = bool(params[0])

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = self.inner(value[:, :2])[0]
        if self.last:
            return value + result[:, -1:]
        return torch.cat([result, value[:, 2:]], 1) if value.shape[1] > 2 else result


class LstmCell(nn.Module):
    """One step, written out; the old cell comes from the value too."""

    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        self.gates = nn.Linear(shape[-1], 4 * shape[-1])

    def forward(self, value: Tensor) -> Tensor:
        taken, kept, new, shown = self.gates(value).chunk(4, -1)
        cell = torch.sigmoid(kept) * torch.tanh(value) + torch.sigmoid(taken) * torch.tanh(new)
        return torch.sigmoid(shown) * torch.tanh(cell)


class GruCell(nn.Module):
    """One step, written out; the old hidden state is the value's tanh."""

    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        self.inner, self.hidden = nn.Linear(shape[-1], 3 * shape[-1]), nn.Linear(shape[-1], 3 * shape[-1])

    def forward(self, value: Tensor) -> Tensor:
        old = torch.tanh(value)
        reset, update, new = self.inner(value).chunk(3, -1)
        old_reset, old_update, old_new = self.hidden(old).chunk(3, -1)
        ratio = torch.sigmoid(update + old_update)
        candidate = torch.tanh(new + torch.sigmoid(reset + old_reset) * old_new)
        return (1 - ratio) * candidate + ratio * old


class Attention(nn.Module):
    """Self-attention over a short sequence, masked in one of many ways."""

    causal: Tensor
    added: Tensor

    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        length, width = shape[1:]
        self.mask = MASKS[int(params[0])]
        self.width = width
        if self.mask.startswith("multi-head"):
            self.heads = nn.MultiheadAttention(width, 2, batch_first=True)
        else:
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        causal = torch.ones(length, length).triu(1).bool()
        self.register_buffer("causal", causal)
        self.register_buffer("added", torch.zeros(length, length).masked_fill(causal, -1e4))

    def forward(self, x: Tensor) -> Tensor:
        if self.mask.startswith("multi-head"):
            padding = x[..., 0] > 0 if self.mask.endswith("padded") else None
            result: Tensor = self.heads(x, x, x, key_padding_mask=padding, need_weights=False)[0]
            return result.nan_to_num() if padding is not None else result
        q, k, v = self.query(x), self.key(x), self.value(x)
        if self.mask.startswith("sdpa"):
            q, k, v = (item.unsqueeze(1) for item in (q, k, v))
            if self.mask == "sdpa causal":
                return F.scaled_dot_product_attention(q, k, v, is_causal=True).squeeze(1)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=~self.causal).squeeze(1)
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.width)
        return torch.softmax(self._masked(scores, x), -1) @ v

    def _masked(self, scores: Tensor, x: Tensor) -> Tensor:
        if self.mask == "causal, -inf":
            return scores.masked_fill(self.causal, float("-inf"))
        if self.mask == "causal, -1e9":
            return scores.masked_fill(self.causal, -1e9)
        if self.mask == "added":
            return scores + self.added
        if self.mask == "padding by input":
            return scores.masked_fill((x[..., 0] > 0).unsqueeze(1), -100.0)
        if self.mask == "where":
            return torch.where(self.causal, -100.0, scores)
        return scores


class Cosine(nn.Module):
    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        self.eps, self.dim = params[0], 1 if params[1] else -1

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return F.cosine_similarity(left, right, self.dim, self.eps).unsqueeze(self.dim)


class Norm(nn.Module):
    """A norm of values that are multiplied first, so that variances are tiny or huge; the first row may be constant."""

    kept: Tensor

    def __init__(self, kind: str, shape: Shape, params: Params) -> None:
        super().__init__()
        eps, self.factor, constant = params
        if kind == "group":
            self.norm: nn.Module = nn.GroupNorm(2, shape[1], eps)
        else:
            self.norm = nn.LayerNorm(shape[-1], eps) if kind == "layer" else nn.RMSNorm(shape[-1], eps)
        self.constant = bool(constant)
        kept = torch.ones(1, shape[1], *[1] * (len(shape) - 2))
        kept[:, : max(1, shape[1] // 2)] = 0.0
        self.register_buffer("kept", kept)

    def forward(self, value: Tensor) -> Tensor:
        value = value * self.factor
        result: Tensor = self.norm(value * self.kept if self.constant else value)
        return result


def _batch_norm(shape: Shape, params: Params) -> nn.Module:
    eps, *powers = params
    norm = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1], eps)
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    spread = torch.linspace(min(powers), max(powers), shape[1])
    norm.running_var.copy_(10.0**spread)
    return norm


class InPlace(nn.Module):
    """Writes to a value of its own, and returns it."""

    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        self.way = IN_PLACE[int(params[0])]

    def forward(self, value: Tensor) -> Tensor:
        own = value * 1.5
        way = self.way
        if way == "add_ number":
            own.add_(0.7)
        elif way == "mul_ number":
            own.mul_(-0.5)
        elif way == "clamp_":
            own.clamp_(-0.5, 1.0)
        elif way == "relu_ sigmoid_":
            own.relu_().sigmoid_()
        elif way == "slice from slice":
            own[:, :1] = value[:, 1:2]
        elif way == "slice number":
            own[:, 1:] = 0.5
        elif way == "masked_fill_":
            own.masked_fill_(value > 0.5, -1.0)
        elif way == "index_put_ number":
            own[:, torch.tensor([0])] = 0.25
        elif way == "copy_ of sigmoid":
            own.copy_(torch.sigmoid(value))
        elif way == "sub_ own mean":
            own.sub_(own.mean(1, keepdim=True))
        else:
            own[:, :1].add_(1.0)
        return own


class InPlacePair(nn.Module):
    """Writes a second value to one of its own."""

    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        self.way = IN_PLACE_PAIR[int(params[0])]

    def forward(self, value: Tensor, other: Tensor) -> Tensor:
        own = torch.relu(value) if self.way == "copy_" else value + other
        if self.way == "add_":
            own.add_(other)
        elif self.way == "mul_":
            own.mul_(other)
        elif self.way == "sub_ mul_":
            own.sub_(other).mul_(value)
        elif self.way == "slice":
            own[:, 1:] = other[:, :-1]
        elif self.way == "copy_":
            own.copy_(other)
        elif self.way == "add_ slice":
            own[:, :1] += other[:, 1:2]
        elif self.way == "index_copy_":
            own.index_copy_(1, torch.tensor([1, 0]), other[:, :2])
        else:
            own.add_(other, alpha=-0.5)
        return own


LAYERS: dict[str, Callable[[Shape, Params], nn.Module]] = {
    "lstm": lambda shape, params: Recurrent(nn.LSTM, shape, params),
    "gru": lambda shape, params: Recurrent(nn.GRU, shape, params),
    "lstm_cell": LstmCell,
    "gru_cell": GruCell,
    "attention": Attention,
    "cosine": Cosine,
    "layer_norm_scaled": lambda shape, params: Norm("layer", shape, params),
    "rms_norm_scaled": lambda shape, params: Norm("rms", shape, params),
    "group_norm_scaled": lambda shape, params: Norm("group", shape, params),
    "batch_norm_scaled": _batch_norm,
    "in_place": InPlace,
    "in_place_pair": InPlacePair,
}
