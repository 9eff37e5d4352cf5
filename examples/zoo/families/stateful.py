"""Programs with state: key-value caches, the two methods of a language model that share one, a stream."""

from __future__ import annotations

import torch
from torch import nn

from zoo.data import SEED, text, waves
from zoo.program import Built, program

_LENGTH, _PROMPT = 8, 4


class _Attention(nn.Module):
    """One head, whose keys and values stay in buffers. Writes them at ``place``, [batch 1]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.register_buffer("keys", torch.zeros(1, _LENGTH, width))
        self.register_buffer("values", torch.zeros(1, _LENGTH, width))

    def forward(self, x: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
        """``x``: [1, n, width]. ``written``: [n, length], a one in each row where that token goes."""
        query, key, value = self.project(x).chunk(3, -1)
        assert isinstance(self.keys, torch.Tensor)
        assert isinstance(self.values, torch.Tensor)
        kept = 1.0 - written.sum(0, keepdim=True).transpose(0, 1)
        keys = self.keys * kept + torch.matmul(written.t(), key)
        values = self.values * kept + torch.matmul(written.t(), value)
        self.keys.copy_(keys)
        self.values.copy_(values)
        scores = torch.matmul(query, keys.transpose(1, 2)) * self.width**-0.5
        result: torch.Tensor = self.out(torch.matmul(torch.softmax(scores, -1), values))
        return result


class _Decoder(nn.Module):
    """Letters to logits, with an embedding that is tied to the head."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(128, width)
        self.norm = nn.LayerNorm(width)
        self.attention = _Attention(width)
        self.feed = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    def forward(self, ids: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        x = x + self.attention(self.norm(x), written)
        x = x + self.feed(x)
        return nn.functional.linear(x, self.embed.weight)


def _decoder(tokens: int) -> Built:
    """The same weights for both methods; each writes ``tokens`` tokens into the cache."""
    torch.manual_seed(SEED)
    module = _Decoder()
    places = torch.eye(_LENGTH)
    sets = []
    for number, ids in enumerate(text(9, tokens)):
        start = 0 if tokens > 1 else _PROMPT + number % (_LENGTH - _PROMPT)
        sets.append((ids, places[start : start + tokens]))
    return Built(module.eval(), sets[:6], sets[6:], decompose=True)


@program("fuseguard", "writes four tokens into a key-value cache; shares it with decoder_decode")
def decoder_prefill() -> Built:
    """The first method of a language model."""
    return _decoder(_PROMPT)


@program("fuseguard", "writes one token into a key-value cache, three calls in a row")
def decoder_decode() -> Built:
    """Its second method."""
    return _decoder(1)


class _Rolling(nn.Module):
    """A cache that moves: the oldest entry goes, the newest comes at the end."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.key = nn.Linear(width, width)
        self.register_buffer("keys", torch.zeros(1, 4, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.keys, torch.Tensor)
        keys = torch.cat([self.keys[:, 1:], self.key(x)], 1)
        self.keys.copy_(keys)
        return torch.softmax(torch.matmul(x, keys.transpose(1, 2)), -1)


@program("fuseguard", "a cache that is sliced and concatenated in each call")
def rolling_cache() -> Built:
    """One token a call."""
    torch.manual_seed(SEED)
    sets = [(values[0].transpose(1, 2),) for values in waves(9, 1, channels=8)]
    return Built(_Rolling().eval(), sets[:6], sets[6:], decompose=True)


class _Stream(nn.Module):
    """A causal convolution over a stream: the last samples stay in a buffer, and a ReLU before them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 8, 1)
        self.filter = nn.Conv1d(8, 8, 5)
        self.head = nn.Conv1d(8, 2, 1)
        self.register_buffer("past", torch.zeros(1, 8, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.past, torch.Tensor)
        joined = torch.cat([self.past, torch.relu(self.stem(x))], 2)
        self.past.copy_(joined[:, :, -4:])
        result: torch.Tensor = self.head(torch.tanh(self.filter(joined)))
        return result


@program("fuseguard", "the last samples of a stream in a buffer")
def streaming_filter() -> Built:
    """Eight samples a call."""
    torch.manual_seed(SEED)
    sets = waves(9, 8, channels=2)
    return Built(_Stream().eval(), sets[:6], sets[6:], decompose=True)


class _State(nn.Module):
    """An LSTM cell whose state is in buffers."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, width)
        self.head = nn.Linear(width, 2)
        self.register_buffer("hidden", torch.zeros(1, width))
        self.register_buffer("carried", torch.zeros(1, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.hidden, torch.Tensor)
        assert isinstance(self.carried, torch.Tensor)
        hidden, carried = self.cell(x, (self.hidden, self.carried))
        self.hidden.copy_(hidden)
        self.carried.copy_(carried)
        result: torch.Tensor = self.head(hidden)
        return result


@program("fuseguard", "an LSTM cell with its state in buffers")
def lstm_stream() -> Built:
    """One step a call."""
    torch.manual_seed(SEED)
    sets = [(values[0][:, :, 0],) for values in waves(9, 4, channels=4)]
    return Built(_State().eval(), sets[:6], sets[6:], decompose=True)
