"""Networks that a package ships with trained weights: the three of MTCNN in facenet-pytorch (MIT), which find faces."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from zoo.data import images
from zoo.packages import torchvision
from zoo.program import Built, program

_FACES = "faces, by facenet-pytorch"


class _Joined(nn.Module):
    """All results of a network in one tensor: with softmax in the graph, as MTCNN runs it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results: tuple[torch.Tensor, ...] = self.network(x)
        return results


def _network(name: str, size: int) -> Built:
    torchvision()
    from facenet_pytorch.models import mtcnn

    network: Any = getattr(mtcnn, name)(pretrained=True)
    sets = images(11, size, batch=4)
    return Built(_Joined(network.eval()), sets[:8], sets[8:])


@program("facenet-pytorch", "PReLU, fully convolutional", weights=_FACES)
def mtcnn_p() -> Built:
    """The network of proposals, 24 x 24."""
    return _network("PNet", 24)


@program("facenet-pytorch", "PReLU, permuted before the linear", weights=_FACES)
def mtcnn_r() -> Built:
    """The network that refines, 24 x 24."""
    return _network("RNet", 24)


@program("facenet-pytorch", "PReLU, three results", weights=_FACES)
def mtcnn_o() -> Built:
    """The last network, 48 x 48."""
    return _network("ONet", 48)
