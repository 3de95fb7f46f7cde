"""The text of the comment on a pull request."""

from pathlib import Path

import pytest

from mlops_runtime.operations import pull_request
from mlops_runtime.operations.pull_request import comment_on, compared_with
from mlops_runtime.training.comparison import Comparison, Difference

METRICS = {
    "version": "1a2b3c4",
    "estimator": "a | b",
    "rows": {"training": 524, "held_out": 175},
    "metrics": {"roc_auc": {"value": 0.98123, "low": 0.94, "high": 1.0}, "recall": {"value": 0.5, "low": None}},
}


def compared(low: float) -> Comparison:
    difference = Difference("log_loss", champion=0.5, candidate=0.6, low=low, high=0.2)
    return Comparison("9f8e7d6", "1a2b3c4", rows=170, differences=(difference,), negligible=0.001)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(compared(-0.1), "The model is not significantly worse.", id="no worse"),
        pytest.param(compared(0.1), "`make deploy` would refuse it.", id="worse"),
        pytest.param(
            "main has other labels", "No comparison with the model of `main`: main has other labels.", id="none"
        ),
    ],
)
def test_a_comment_has_the_metrics_and_the_comparison(result: Comparison | str, expected: str) -> None:
    text = comment_on(METRICS, "main", result, 0.02, "<!-- mark -->")

    assert text.startswith(
        "<!-- mark -->\n**Model of `1a2b3c4`**: a | b, trained on 524 rows, evaluated on 175 others."
    )
    assert "| roc_auc | 0.9812 | 0.94 to 1 |\n| recall | 0.5 |  |\n" in text
    assert expected in text
    if isinstance(result, Comparison):
        assert "|  | `9f8e7d6` | `1a2b3c4` | difference | 95 % interval |\n" in text
        assert "| log_loss | 0.5 | 0.6 | +0.1 | " in text


def test_a_branch_that_cannot_be_trained_gives_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert "not a git repository" in str(compared_with("origin/main"))


def test_a_command_outside_a_pipeline_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "BITBUCKET_BUILD_NUMBER", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROJECT", "oncology")
    monkeypatch.setenv("MARGIN", "0.02")

    assert pull_request.main() == 1

    assert capsys.readouterr().err.startswith("comment: this is no pipeline of")
