import numpy as np
import pytest

from trainer.estimators import CANDIDATES, Candidate, Score, logistic_regression, select_estimator, settings_count
from trainer.table import Table

KINDS = [pytest.param(candidate, id=candidate.name) for candidate in CANDIDATES]


def test_the_setting_with_the_lowest_log_loss_is_chosen(table: Table) -> None:
    # given: one setting that may hardly learn, and one that may
    candidate = Candidate("linear", logistic_regression, {"C": (1e-6, 1.0)})
    heard: list[Score] = []
    # when
    selection = select_estimator(table.features, table.labels, 0, [candidate], folds=3, on_scored=heard.append)
    # then
    assert selection.name == "linear (C=1.0)"
    assert selection.estimator[-1].C == 1.0
    assert [score.name for score in heard] == ["linear (C=1e-06)", "linear (C=1.0)"]
    assert heard[::-1] == list(selection.scores)
    assert selection.scores[0].mean < selection.scores[1].mean


def test_of_equal_scores_the_first_candidate_wins(table: Table) -> None:
    candidates = [Candidate("first", logistic_regression), Candidate("second", logistic_regression)]
    assert select_estimator(table.features, table.labels, 0, candidates, folds=2).name == "first"


@pytest.mark.parametrize("candidate", KINDS)
def test_every_kind_learns_with_missing_values(candidate: Candidate, table: Table) -> None:
    estimator = candidate.build(0).fit(table.features, table.labels)
    missing = np.full((1, table.features.shape[1]), np.nan)
    assert estimator.score(table.features, table.labels) > 0.9
    assert np.isfinite(estimator.predict_proba(missing)).all()


def test_the_default_grid_is_searched_whole() -> None:
    assert settings_count(CANDIDATES) == 13
    assert settings_count([Candidate("plain", logistic_regression)]) == 1
