"""Compare a trained model, the candidate, with the model that was verified last, the champion.

Both are evaluated on the rows that neither has seen in training. Each bootstrap resample draws the same rows for both,
so that the difference of their losses varies less than the losses (paired percentile bootstrap: Efron and Tibshirani
1993, An Introduction to the Bootstrap, chapter 13).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mlops_runtime.contract import Task
from mlops_runtime.number_format import readable
from mlops_runtime.training.evaluation import CONFIDENCE, bootstrap_weights
from mlops_runtime.training.held_out import HeldOut
from mlops_runtime.training.outcomes import Floats, Outcomes, WeightedMetrics

MIN_ROWS = 30
"""Minimum number of shared rows: fewer say little about a difference."""

NEGLIGIBLE = 0.001
"""Share of the loss of a prediction without features below which a difference does not matter. Of a model that is
nearly always right, any margin would be too small."""

SEED = 0


class ComparisonError(ValueError):
    """A file with held-out predictions cannot be used."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of both models on the shared rows.

    Attributes:
        name: name of the measure.
        champion: its value for the champion.
        candidate: its value for the candidate.
        low: lower bound of the 95 % confidence interval of candidate - champion.
        high: upper bound.
    """

    name: str
    champion: float
    candidate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate and champion on the rows that both have held out.

    Attributes:
        champion: version of the champion.
        candidate: version of the candidate.
        rows: number of shared rows.
        differences: of each measure; the first one is the loss, which decides.
        negligible: difference of the loss that does not matter.
    """

    champion: str
    candidate: str
    rows: int
    differences: tuple[Difference, ...]
    negligible: float

    def is_worse(self, margin: float) -> bool:
        """Return whether the candidate's loss is significantly above the champion's by more than the margin.

        Args:
            margin: share of the champion's loss.
        """
        loss = self.differences[0]
        return loss.low > max(margin * loss.champion, self.negligible)

    def __str__(self) -> str:
        rows = [("on the same rows", self.champion, self.candidate, "difference", "95 % interval", "rows")]
        for each in self.differences:
            values = readable(each.champion, 4), readable(each.candidate, 4), signed(each.candidate - each.champion)
            rows.append((each.name, *values, f"{signed(each.low)} to {signed(each.high)}", str(self.rows)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)


def compare(champion: HeldOut, candidate: HeldOut) -> Comparison | str:
    """Return the comparison, or the reason why the two cannot be compared."""
    for name, other in (("task", "another task"), ("target", "another target"), ("labels", "other labels")):
        if getattr(champion, name) != getattr(candidate, name):
            return f"{champion.version} has {other}"
    places = shared_rows(champion.rows, candidate.rows)
    rows = places.shape[1]
    if rows < MIN_ROWS:
        return f"{champion.version} has {rows} of the held-out rows, and a comparison needs {MIN_ROWS}"
    outcomes = champion.outcomes(places[0]), candidate.outcomes(places[1])
    return Comparison(
        champion=champion.version,
        candidate=candidate.version,
        rows=rows,
        differences=_differences(candidate.task, candidate.metric, outcomes[0], outcomes[1]),
        negligible=NEGLIGIBLE * outcomes[0].uninformed_loss(),
    )


def shared_rows(first: Sequence[str], second: Sequence[str]) -> NDArray[np.intp]:
    """Return the places of the shared rows in both, shape (2, rows); equal rows are paired one to one."""
    places = [{key: place for place, key in enumerate(_numbered(rows))} for rows in (first, second)]
    shared = [key for key in places[0] if key in places[1]]
    return np.array([[each[key] for key in shared] for each in places], dtype=np.intp)


def _numbered(rows: Sequence[str]) -> list[tuple[str, int]]:
    """Return each identity with the number of equal ones before it."""
    seen: Counter[str] = Counter()
    numbered = []
    for row in rows:
        numbered.append((row, seen[row]))
        seen[row] += 1
    return numbered


def _differences(task: Task, metric: str, champion: Outcomes, candidate: Outcomes) -> tuple[Difference, ...]:
    measures = [_measures(task, metric, outcomes) for outcomes in (champion, candidate)]
    values = [measure(np.ones((1, champion.rows))) for measure in measures]
    resampled: dict[str, list[Floats]] = {name: [] for name in values[0]}
    for weights in bootstrap_weights(champion, SEED):
        of_champion, of_candidate = (measure(weights) for measure in measures)
        for name, differences in resampled.items():
            differences.append(of_candidate[name] - of_champion[name])
    tail = (1 - CONFIDENCE) / 2
    bounds = {name: np.quantile(np.concatenate(each), (tail, 1 - tail)).tolist() for name, each in resampled.items()}
    return tuple(Difference(name, *(float(value[name][0]) for value in values), *bounds[name]) for name in resampled)


def _measures(task: Task, metric: str, outcomes: Outcomes) -> WeightedMetrics:
    """Return the function that computes the loss and the main metric from sample weights."""
    metrics, loss = outcomes.task_metrics(task, outcomes.reference_label(task)), outcomes.weighted_loss()

    def measures(weights: Floats) -> dict[str, Floats]:
        return {outcomes.LOSS[task]: loss(weights), metric: metrics(weights)[metric]}

    return measures


def read_held_out(path: Path) -> HeldOut:
    """Return the held-out predictions in a file.

    Raises:
        ComparisonError: if the file cannot be read, or holds something else.
    """
    try:
        return HeldOut.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ComparisonError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ComparisonError(f"{path} holds no held-out predictions: {error.errors()[0]['msg']}") from error


def check(champion: Path, candidate: HeldOut, margin: float) -> None:
    """Compare a model with the champion, if there is one, and print the result.

    Raises:
        ComparisonError: if the champion's file cannot be used, or the candidate is worse by more than the margin.
    """
    if not champion.is_file():
        print(f"Nothing to compare {candidate.version} with: no held-out predictions of a deployed model.")
        return
    result = compare(read_held_out(champion), candidate)
    if isinstance(result, str):
        print(f"Nothing to compare {candidate.version} with: {result}.")
        return
    print(result)
    if result.is_worse(margin):
        loss = result.differences[0]
        raise ComparisonError(
            f"the {loss.name} of {result.candidate} is {readable(loss.candidate, 4)}, that of {result.champion}"
            f" on the same rows {readable(loss.champion, 4)}: worse by more than MARGIN={margin:g} of it"
        )


def signed(value: float) -> str:
    """Return a difference with its sign and four significant digits."""
    return f"{'+' if value >= 0 else ''}{readable(value, 4)}"
