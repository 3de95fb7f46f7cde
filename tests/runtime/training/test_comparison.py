"""Candidates against a champion, on synthetic predictions of known quality, and the command that compares them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlops_runtime.contract import Task
from mlops_runtime.operations.comparison import main
from mlops_runtime.testing.synthetic import TASKS
from mlops_runtime.training.comparison import Comparison, compare, shared_rows
from mlops_runtime.training.held_out import MAIN_METRIC, HeldOut

LABELS = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
each_task = pytest.mark.parametrize("task", TASKS, ids=str)


def model(task: Task, noise: float, rows: int = 400, first: int = 0, seed: int = 2) -> HeldOut:
    """Return predictions that differ from the truth the more, the greater the noise is."""
    labels = len(LABELS[task])
    generator = np.random.default_rng(1)
    truth = generator.integers(0, labels, rows) if labels else generator.normal(size=rows)
    errors = np.random.default_rng(seed).normal(size=(rows, labels or 1))
    if labels:
        scores = np.exp(2 * np.eye(labels)[truth] + noise * errors)
        predicted = scores / scores.sum(axis=1, keepdims=True)
    else:
        predicted = truth[:, None] + noise * errors
    content: dict[str, Any] = {
        "version": f"noise-{noise:g}",
        "task": task,
        "target": "target",
        "labels": LABELS[task],
        "metric": MAIN_METRIC[task],
        "rows": [f"{row:08}" for row in range(first, first + rows)],
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
    }
    return HeldOut.model_validate(content)


def entity_model(found: float, texts: int = 300) -> HeldOut:
    """Return predictions that find this share of the entities of texts, and nothing else."""
    generator = np.random.default_rng(1)
    true = generator.integers(0, 4, (texts, 2))
    correct = generator.binomial(true, found)
    return HeldOut.model_validate(
        {
            "version": f"found-{found:g}",
            "task": Task.ENTITIES,
            "target": "entities",
            "labels": ("ORG", "PER"),
            "metric": MAIN_METRIC[Task.ENTITIES],
            "rows": [f"{row:08}" for row in range(texts)],
            "truth": true.sum(axis=1).tolist(),
            "predicted": np.hstack([true, correct, correct]).tolist(),
        }
    )


def write(path: Path, held_out: HeldOut) -> str:
    path.write_text(held_out.model_dump_json())
    return str(path)


def run(folder: Path, champion: HeldOut, candidate: HeldOut, *options: str) -> int:
    """Run the command on two models with a margin of 2 %."""
    files = write(folder / "champion.json", champion), write(folder / "candidate.json", candidate)
    return main([*files, "--margin", "0.02", *options])


def comparison(champion: HeldOut, candidate: HeldOut) -> Comparison:
    result = compare(champion, candidate)
    assert isinstance(result, Comparison)
    return result


@each_task
def test_a_worse_candidate_is_refused_with_a_table(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(tmp_path, model(task, 1), model(task, 2))

    output = capsys.readouterr()
    loss = "log loss" if LABELS[task] else "squared error"
    assert code == 1
    assert [line.split("  ")[0] for line in output.out.splitlines()] == ["on the same rows", loss, MAIN_METRIC[task]]
    assert output.out.splitlines()[1].endswith("  400")
    assert output.err.startswith(f"compare: the {loss} of noise-2 is ")
    assert output.err.endswith('worse by more than MARGIN=0.02 of it; improve the model, or set OVERRULE="reason"\n')
    assert output.err.count("\n") == 1


@each_task
@pytest.mark.parametrize("noise", [pytest.param(0.5, id="better"), pytest.param(1, id="equal")])
def test_a_candidate_that_is_no_worse_passes(task: Task, noise: float, tmp_path: Path) -> None:
    assert run(tmp_path, model(task, 1), model(task, noise)) == 0


@each_task
def test_a_candidate_that_is_worse_by_less_than_the_margin_passes(task: Task) -> None:
    result = comparison(model(task, 1), model(task, 1.05))
    loss = result.differences[0]
    share = (loss.candidate - loss.champion) / loss.champion
    assert loss.low > 0
    assert not result.is_worse(1.1 * share)
    assert result.is_worse(0.5 * loss.low / loss.champion)


def test_a_difference_that_may_be_chance_passes() -> None:
    # given: few rows, and each model has errors of its own
    champion, candidate = (model(Task.REGRESSION, noise, rows=40, seed=noise) for noise in (4, 5))
    # then
    result = comparison(champion, candidate)
    loss = result.differences[0]
    assert loss.candidate > 1.02 * loss.champion
    assert loss.low < 0.02 * loss.champion
    assert not result.is_worse(0.02)


def test_losses_far_below_that_of_a_guess_differ_in_nothing_that_matters() -> None:
    result = comparison(model(Task.REGRESSION, 0.0001), model(Task.REGRESSION, 0.001))
    assert result.differences[0].low > 50 * result.differences[0].champion
    assert not result.is_worse(0.02)


def test_a_candidate_is_overruled_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(tmp_path, model(Task.BINARY, 1), model(Task.BINARY, 2), "--overrule", "the data have changed")

    assert code == 0
    assert capsys.readouterr().out.endswith("worse by more than MARGIN=0.02 of it; overruled: the data have changed\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"task": Task.MULTICLASS, "metric": "macro_f1"}, "noise-1 has another task", id="task"),
        pytest.param({"target": "other"}, "noise-1 has another target", id="target"),
        pytest.param({"labels": ("nay", "yea")}, "noise-1 has other labels", id="labels"),
        pytest.param({"rows": tuple(f"x{row}" for row in range(400))}, "noise-1 has 0 of the held-out rows", id="rows"),
    ],
)
def test_another_problem_is_nothing_to_compare_with(
    changes: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(tmp_path, model(Task.BINARY, 1).model_copy(update=changes), model(Task.BINARY, 2))

    output = capsys.readouterr()
    assert code == 0
    assert output.out.startswith(f"Nothing to compare noise-2 with: {reason}")
    assert output.out.count("\n") == 1


@pytest.mark.parametrize(
    ("shared", "is_compared"), [pytest.param(29, False, id="too few"), pytest.param(30, True, id="enough")]
)
def test_a_comparison_needs_30_shared_rows(shared: int, is_compared: bool) -> None:
    champion = model(Task.REGRESSION, 1, rows=100)
    candidate = model(Task.REGRESSION, 1, rows=100, first=100 - shared)
    assert isinstance(compare(champion, candidate), Comparison) is is_compared


def test_without_a_champion_the_first_model_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = write(tmp_path / "candidate.json", model(Task.BINARY, 1))

    assert main([str(tmp_path / "none.json"), candidate, "--margin", "0.02"]) == 0
    assert capsys.readouterr().out == "Nothing to compare noise-1 with: no held-out predictions of a deployed model.\n"


@pytest.mark.parametrize("content", ["", "{}", '{"version": 1}'], ids=["empty", "no content", "other content"])
def test_a_damaged_file_of_the_champion_is_refused_unless_overruled(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    champion = tmp_path / "champion.json"
    champion.write_text(content)
    arguments = [str(champion), write(tmp_path / "candidate.json", model(Task.BINARY, 1)), "--margin", "0.02"]
    # then
    assert main(arguments) == 1
    assert f"compare: {champion} holds no held-out predictions: " in capsys.readouterr().err
    assert main([*arguments, "--overrule", "damaged"]) == 0


def test_a_candidate_without_predictions_cannot_be_overruled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    champion = write(tmp_path / "champion.json", model(Task.BINARY, 1))

    assert main([champion, str(tmp_path / "none.json"), "--margin", "0.02", "--overrule", "hurry"]) == 1
    assert "cannot be read: No such file or directory; train the model again" in capsys.readouterr().err


@pytest.mark.parametrize("margin", ["-0.1", "nan", "inf", "much", "", "-x"])
def test_a_margin_that_is_no_share_is_refused(margin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["champion.json", "candidate.json", f"--margin={margin}"]) == 1

    message = f"compare: MARGIN={margin} is not usable: give a number of at least 0, as in MARGIN=0.02\n"
    assert capsys.readouterr().err == message


def test_the_interval_is_that_of_scipy() -> None:
    # given: squared errors, whose mean scipy resamples in pairs
    champion, candidate = model(Task.REGRESSION, 1), model(Task.REGRESSION, 1.5)
    losses = [(np.array(each.predicted)[:, 0] - each.truth) ** 2 for each in (champion, candidate)]
    expected = stats.bootstrap(
        losses, lambda a, b, axis: (b - a).mean(axis), paired=True, method="percentile", n_resamples=5000, rng=0
    ).confidence_interval
    # when
    loss = comparison(champion, candidate).differences[0]
    # then
    assert (loss.champion, loss.candidate) == pytest.approx([each.mean() for each in losses])
    assert (loss.low, loss.high) == pytest.approx(tuple(expected), rel=0.05)


def test_the_result_is_the_same_each_time() -> None:
    models = model(Task.MULTICLASS, 1), model(Task.MULTICLASS, 2)
    assert compare(*models) == compare(*models)


def test_equal_rows_are_paired_one_to_one() -> None:
    assert shared_rows(["a", "a", "b", "c"], ["a", "b", "b", "d"]).tolist() == [[0, 2], [0, 1]]


@each_task
def test_the_order_of_the_rows_does_not_matter(task: Task) -> None:
    champion, candidate = model(task, 1), model(task, 2)
    reverse = {name: getattr(candidate, name)[::-1] for name in ("rows", "truth", "predicted")}
    assert compare(champion, candidate.model_copy(update=reverse)) == compare(champion, candidate)


def test_only_shared_rows_count() -> None:
    # given: a candidate that is wrong on rows that the champion was trained on
    champion, candidate = model(Task.REGRESSION, 1, rows=200), model(Task.REGRESSION, 1, rows=200)
    wrong = candidate.model_copy(
        update={
            "rows": (*candidate.rows[:100], *(f"x{row}" for row in range(100))),
            "predicted": (*candidate.predicted[:100], *[(99.0,)] * 100),
        }
    )
    # when
    result = comparison(champion, wrong)
    # then
    assert result.rows == 100
    assert result.differences[0].champion == result.differences[0].candidate


def test_a_model_that_finds_fewer_entities_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, entity_model(0.9), entity_model(0.95)) == 0
    capsys.readouterr()

    code = run(tmp_path, entity_model(0.9), entity_model(0.7))

    output = capsys.readouterr()
    assert code == 1
    assert [line.split("  ")[0] for line in output.out.splitlines()] == ["on the same rows", "1 - F1", "f1"]
    assert output.err.startswith("compare: the 1 - F1 of found-0.7 is 0.1")
