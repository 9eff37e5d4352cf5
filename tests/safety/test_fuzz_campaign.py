"""A short campaign of tools/fuzz.py over all formats. Every file has to end in a report or in one refusal."""

from __future__ import annotations

import pytest

from fuzzing.campaign import Campaign
from fuzzing.corpus import FORMATS
from fuzzing.worker import Settings

INPUTS = 3000
#: Nearly every byte of these is part of the program.
LOWERED = ("pte", "vgf", "TOSA")


@pytest.mark.slow
def test_every_file_ends_in_a_report_or_a_refusal() -> None:
    campaign = Campaign(Settings(seed=21), jobs=1)
    tally = campaign.run(INPUTS)
    assert tally.inputs == INPUTS
    assert not tally.failures, tally.failures[0]
    outcomes = campaign.summary()["outcomes"]
    assert set(outcomes) == set(FORMATS)
    # Of each format some are read and some are refused. Of each archive, some hold the program of the good file.
    for name, counts in outcomes.items():
        kinds = ("report", "refused") if name in LOWERED else ("report", "unchanged", "refused")
        assert min(counts.get(kind, 0) for kind in kinds) > 5, (name, counts)
