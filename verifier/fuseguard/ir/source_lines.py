"""Which recorded line is the model's own: not one of torch, of ExecuTorch, of its quantizer or of Arm's passes.

A model may itself be an installed package (torchvision, timm, executorch/examples). Its line is the place of a finding,
and the line of the user's code that called it is where the user can do something.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuseguard.ir.graph import SourceLine

# Installed, from a source checkout (pytorch/torch/nn/modules/conv.py), and without the folder in front. A folder of the
# user's that is called torch is none: what must follow is a folder or file of the package itself.
_FRAMEWORK = re.compile(
    r"(?:site|dist)-packages/(?:torch|torchao|functorch|torchgen|fuseguard|fuseguard_rules)/"
    r"|(?:^|/)torch/(?:nn/(?:modules|functional|parallel|utils|parameter|attention)\b|fx/|export/|_[a-z_]+(?:/|\.py)"
    r"|ao/|utils/|jit/|autograd/|functional\.py|overrides\.py|tensor\.py)"
    r"|(?:^|/)executorch/(?:backends|exir|devtools|extension|kernels|runtime|sdk|util)/"
    r"|(?:^|/)torchao/(?:quantization|prototype|utils)\b"
)


@lru_cache(maxsize=8192)
def of_framework(file: str) -> bool:
    """Whether a file is one of torch, torchao or ExecuTorch, and so not the model's."""
    return _FRAMEWORK.search(file.replace("\\", "/")) is not None


def model_line(stack: Sequence[SourceLine]) -> SourceLine | None:
    """The innermost line of the model's own code; None if none was recorded. ``stack``: outermost first."""
    return next((line for line in reversed(stack) if not line.generated and not of_framework(line.file)), None)


def calling_line(stack: Sequence[SourceLine]) -> SourceLine | None:
    """The innermost line of the user's own code, where the model's line is of an installed package; else None."""
    line = model_line(stack)
    if line is None or not line.installed:
        return None
    mine = (item for item in reversed(stack) if not item.generated and not item.installed)
    return next((item for item in mine if not of_framework(item.file)), None)
