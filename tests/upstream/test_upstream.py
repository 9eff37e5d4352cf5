"""A handful of Arm's own tests under the guard, and the classification of what a campaign finds.

Everything that ships is run with run_upstream.py; this is enough to notice a rule that refuses what upstream proves
right, and a plugin that records or refuses nothing.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_upstream
import upstream_summary

torch_only = [
    pytest.mark.torch,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tosa_reference_model") is None or importlib.util.find_spec("executorch") is None,
        reason="needs executorch and tosa-tools",
    ),
]

#: What the rules are about: fused activations, joins, splits, pools, tables, means. The same ids on every release.
HEALTHY = (
    "ops/test_relu.py::test_relu_tosa_INT_conv_folding[4d_randn_inplace=False]",
    "ops/test_linear.py::test_linear_tosa_INT[model_linear_rank1_ones,per_channel_quant=True]",
    "ops/test_cat.py::test_cat_tosa_INT[cat_rand_two_tensors_dim_0]",
    "ops/test_split.py::test_split_tensor_tosa_INT[split_4d_2_size_2_dim]",
    "ops/test_sigmoid.py::test_sigmoid_tosa_INT_add",
    "ops/test_max_pool.py::test_max_pool2d_tosa_INT[non_divisible_ceil_mode]",
    "ops/test_mean_dim.py::test_mean_dim_tosa_INT[rand_23_keepdim]",
)

#: Upstream's tolerance is 1e-3 of the value; int16 codes that are 31 steps off pass.
LOOSE = "ops/test_neg.py::test_neg_tosa_INT_a16w8[rank_1_ramp]"


def run(tests: tuple[str, ...], mode: str, folder: Path) -> dict[str, dict[str, Any]]:
    root = run_upstream.arm_tests()
    log = folder / f"{mode}.jsonl"
    options = ["--guard-mode", mode, "--guard-log", str(log), "--guard-preview", "--guard-judge"]
    command = run_upstream.pytest_command(root, [*options, *(str(root / test) for test in tests)])
    done = subprocess.run(
        command, env=run_upstream.environment(), cwd=folder, capture_output=True, text=True, timeout=500
    )
    records = upstream_summary.load(log)
    assert set(records) == set(tests), done.stdout[-2000:] + done.stderr[-2000:]
    return records


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return run((*HEALTHY, LOOSE), "record", tmp_path_factory.mktemp("upstream"))


class TestUnderTheGuard:
    pytestmark = torch_only

    @pytest.mark.parametrize("test", HEALTHY)
    def test_nothing_is_refused_where_upstream_compares_and_passes(
        self, test: str, recorded: dict[str, dict[str, Any]]
    ) -> None:
        record = recorded[test]
        assert record["outcome"] == "passed", record["reason"]
        assert upstream_summary.compared(record), "upstream compared nothing, so its pass says nothing"
        assert upstream_summary.verdict(record) in ("exact", "bounded")
        assert not upstream_summary.lost_codes(record), record["lowerings"]
        assert not any(lowering["errors"] for lowering in record["lowerings"])

    def test_the_record_tells_what_would_be_refused(self, recorded: dict[str, dict[str, Any]]) -> None:
        """The guard must be able to refuse here, or the tests above could not fail."""
        record = recorded[LOOSE]
        assert record["outcome"] == "passed", record["reason"]
        assert upstream_summary.compared(record)
        if upstream_summary.verdict(record) == "exact":
            assert not upstream_summary.lost_codes(record)
            pytest.skip("this release gives neg and its input one set of qparams")
        assert upstream_summary.verdict(record) == "wrong"
        assert upstream_summary.lost_codes(record) == {"QD202"}
        assert upstream_summary.kind_of(record) == "loose"

    def test_the_mode_guard_refuses(self, recorded: dict[str, dict[str, Any]], tmp_path: Path) -> None:
        if not upstream_summary.lost_codes(recorded[LOOSE]):
            pytest.skip("nothing to refuse on this release")
        records = run((HEALTHY[0], LOOSE), "guard", tmp_path)
        assert records[HEALTHY[0]]["outcome"] == "passed"
        assert "aten_neg_default" in records[LOOSE]["lowerings"][0]["refused"]
        assert records[LOOSE]["lowerings"][0]["delegated"] == 0
        # Upstream's test demands one delegate, and there is none.
        assert records[LOOSE]["outcome"] == "failed"


def record(judged: str, effect: str, *, lost: bool = True, elements: int = 4, outcome: str = "passed") -> Any:
    finding = {"code": "QD202", "effect": effect, "preview": False, "refuse": True, "cluster": ["neg"]}
    return {
        "test": "ops/test_neg.py::test",
        "outcome": outcome,
        "reason": "",
        "lowerings": [{"lost": {"neg": ["QD202"]} if lost else {}, "findings": [finding], "errors": []}],
        "compared": [{"eager": False, "elements": elements}],
        "delegate_runs": [{"inputs": 1}],
        "judged": [{"outcome": judged}],
    }


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (record("exact", "wrong"), "false alarm"),
        (record("bounded", "crash"), "false alarm"),
        (record("exact", "exact"), "consistency"),
        (record("exact", "cpu_fallback"), "consistency"),
        (record("wrong", "wrong"), "loose"),
        (record("not judged", "wrong"), "unjudged"),
        (record("exact", "wrong", lost=False), ""),
        (record("exact", "wrong", elements=0), ""),
        (record("exact", "wrong", outcome="failed"), ""),
    ],
)
def test_a_refusal_is_classified(made: dict[str, Any], kind: str) -> None:
    assert upstream_summary.kind_of(made) == kind


def test_the_table_names_what_only_the_judge_saw() -> None:
    table = upstream_summary.summarize([record("wrong", "wrong", lost=False), record("exact", "wrong")])
    assert "judge says wrong, no rule refuses: 1" in table
    assert "refused and passed: false alarm 1" in table


def test_a_run_goes_on_after_a_test_that_ended_the_process() -> None:
    records = {"a": record("exact", "exact"), "b": {"test": "b", "started": True}}
    assert run_upstream._not_done(["a", "b", "c"], records, "aborted", "Aborted") == ["c"]
    assert records["b"]["outcome"] == "aborted"
    assert run_upstream._not_done(["c"], {}, "aborted", "") == []
