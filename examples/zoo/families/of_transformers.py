"""Models of transformers, random weights from small configurations. Ids are letters of English text in int64."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from zoo.data import SEED, images, text, waves, with_statistics
from zoo.packages import torchvision
from zoo.program import Built, program

_LETTERS = 128
_SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip


class _One(nn.Module):
    """The one result that is wanted: its name, or the first."""

    def __init__(self, model: nn.Module, name: str, take: Callable[..., dict[str, Any]]) -> None:
        super().__init__()
        self.model = model
        self.name = name
        self.take = take

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = getattr(self.model(**self.take(*inputs)), self.name)
        return result


class _OfIds(_One):
    """Takes ids, [batch, length]."""

    def __init__(self, model: nn.Module, name: str, **options: Any) -> None:
        super().__init__(model, name, lambda ids: {"input_ids": ids, **options})

    def forward(self, ids: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(ids)


class _OfMasked(nn.Module):
    """Takes ids and their mask, both [batch, length]."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = getattr(self.model(input_ids=ids, attention_mask=mask), self.name)
        return result


def _transformers() -> Any:
    torchvision()  # which transformers imports
    torch.manual_seed(SEED)
    return importlib.import_module("transformers")


def _made(kind: str, config: str, **options: Any) -> nn.Module:
    transformers = _transformers()
    settings = getattr(transformers, config)(vocab_size=_LETTERS, pad_token_id=0, **options)
    settings._attn_implementation = "eager"
    model: nn.Module = getattr(transformers, kind)(settings)
    return model.eval()


def _of_ids(model: nn.Module, name: str, length: int = 16, **options: Any) -> Built:
    sets = [(ids,) for ids in text(9, length)]
    return Built(_OfIds(model, name, **options), sets[:6], sets[6:])


@program("transformers", "mask from ids, pooler, three embeddings")
def bert() -> Built:
    """A classifier that also takes a mask."""
    model = _made("BertForSequenceClassification", "BertConfig", max_position_embeddings=32, **_SMALL)
    ids = text(9, 16)
    masks = [(torch.arange(16) < 16 - number % 4).long()[None] for number in range(9)]
    sets = list(zip(ids, masks, strict=True))
    return Built(_OfMasked(model, "logits"), sets[:6], sets[6:])


@program("transformers", "embeddings with int64 ids")
def distilbert() -> Built:
    """A classifier."""
    model = _made(
        "DistilBertForSequenceClassification", "DistilBertConfig", dim=32, n_layers=2, n_heads=4, hidden_dim=64,
        max_position_embeddings=32,
    )  # fmt: skip
    return _of_ids(model, "logits")


@program("transformers", "one layer used twice: shared weights")
def albert() -> Built:
    """Its layers share all weights."""
    model = _made(
        "AlbertModel", "AlbertConfig", embedding_size=16, max_position_embeddings=32, num_hidden_groups=1, **_SMALL
    )
    return _of_ids(model, "last_hidden_state")


@program("transformers", "embedding tied to the head, causal mask")
def gpt2() -> Built:
    """All logits."""
    model = _made("GPT2LMHeadModel", "GPT2Config", n_embd=32, n_layer=2, n_head=4, n_positions=32)
    return _of_ids(model, "logits", use_cache=False)


@program("transformers", "rotary embedding, RMS norm, grouped queries, SiLU gates")
def llama() -> Built:
    """All logits."""
    model = _made(
        "LlamaForCausalLM", "LlamaConfig", num_key_value_heads=2, max_position_embeddings=32, **_SMALL
    )
    return _of_ids(model, "logits", use_cache=False)


@program("transformers", "norms of queries and keys, tied head")
def qwen3() -> Built:
    """All logits."""
    model = _made(
        "Qwen3ForCausalLM", "Qwen3Config", num_key_value_heads=2, head_dim=8, max_position_embeddings=32,
        tie_word_embeddings=True, **_SMALL,
    )  # fmt: skip
    return _of_ids(model, "logits", use_cache=False)


@program("transformers", "relative position buckets, RMS norm")
def t5_encoder() -> Built:
    """The encoder alone."""
    model = _made("T5EncoderModel", "T5Config", d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return _of_ids(model, "last_hidden_state")


@program("transformers", "ReLU in the feed-forward layers, position offset")
def opt() -> Built:
    """All logits."""
    model = _made(
        "OPTForCausalLM", "OPTConfig", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
        max_position_embeddings=32, word_embed_proj_dim=32,
    )  # fmt: skip
    return _of_ids(model, "logits", use_cache=False)


@program("transformers", "state space: a scan over time", configs=("int8",))
def mamba() -> Built:
    """Four steps."""
    model = _made("MambaModel", "MambaConfig", hidden_size=16, num_hidden_layers=1, state_size=4)
    return _of_ids(model, "last_hidden_state", 4, use_cache=False)


class _OfImage(nn.Module):
    """Takes images, [batch, 3, height, width]."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = getattr(self.model(pixel_values=pixels), self.name)
        return result


@program("transformers", "attention with reduced keys, upsampled features concatenated")
def segformer() -> Built:
    """Two stages."""
    transformers = _transformers()
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[4, 2], hidden_sizes=[16, 32], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16, num_labels=5,
    )  # fmt: skip
    model = transformers.SegformerForSemanticSegmentation(config)
    sets = images(9, 32)
    return Built(
        with_statistics(_OfImage(model, "logits"), images(4, 32, batch=4, seed=7)), sets[:6], sets[6:]
    )


class _OfFeatures(nn.Module):
    """Takes spectra, [batch, mel bands, frames]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.model(spectrum).last_hidden_state
        return result


@program("transformers", "1-D convolutions before attention")
def whisper_encoder() -> Built:
    """Sixteen frames."""
    transformers = _transformers()
    config = transformers.WhisperConfig(
        d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64, num_mel_bins=16,
        max_source_positions=16,
    )  # fmt: skip
    config._attn_implementation = "eager"
    sets = waves(9, 32, channels=16)
    encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder(config)
    return Built(_OfFeatures(encoder.eval()), sets[:6], sets[6:])
