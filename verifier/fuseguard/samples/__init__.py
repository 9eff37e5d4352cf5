"""A small program to try fuseguard on: what ``tests/readers/make_fixtures.py`` saves of its ``ConvCat``.

A convolution and a ReLU go into a concatenation, which gives them qparams that reach below zero (FU101).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

#: What the sample is called where a name is shown.
NAME = "sample.pt2"


def sample() -> AbstractContextManager[Path]:
    """The file, 34 kB, for as long as it is needed: a package may be in an archive."""
    return resources.as_file(resources.files(__package__).joinpath("conv_cat.pt2"))
