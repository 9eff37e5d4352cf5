"""A short campaign of tools/fuzz.py over all formats. Every file has to end in a report or in one refusal."""

from __future__ import annotations

from fuzzing.campaign import Campaign
from fuzzing.corpus import FORMATS
from fuzzing.worker import Settings

INPUTS = 3000


def test_every_file_ends_in_a_report_or_a_refusal() -> None:
    campaign = Campaign(Settings(seed=21), jobs=1)
    tally = campaign.run(INPUTS)
    assert tally.inputs == INPUTS
    assert not tally.failures, tally.failures[0]
    outcomes = campaign.summary()["outcomes"]
    assert set(outcomes) == set(FORMATS)
    # Of each format some are read, some are refused, and some have another program than the good file.
    assert all(min(counts[kind] for kind in ("report", "unchanged", "refused")) > 5 for counts in outcomes.values())
