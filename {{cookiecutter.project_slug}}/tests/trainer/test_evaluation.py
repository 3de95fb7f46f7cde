import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from trainer.estimators import logistic_regression
from trainer.evaluation import (
    LOWER_IS_BETTER,
    METRICS,
    Outcomes,
    estimates,
    evaluate,
    metric_values,
    weighted_metrics,
)
from trainer.split import split_table
from trainer.table import Table

from {{cookiecutter.__package}}_model.datamodel import FEATURES, Label


@st.composite
def outcomes(draw: st.DrawFn) -> Outcomes:
    """Rows of both labels, with ties among their probabilities."""
    size = draw(st.integers(2, 30))
    truth = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(lambda rows: 0 < sum(rows) < len(rows)))
    steps = draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    probability = np.array(steps) / 20
    return Outcomes(np.array(truth), probability > 0.5, probability)


def by_scikit_learn(rows: Outcomes, weights: np.ndarray | None = None) -> dict[str, float]:
    truth, predicted, probability = rows.truth, rows.predicted, rows.probability
    options = {"sample_weight": weights}
    return {
        "accuracy": reference.accuracy_score(truth, predicted, **options),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, predicted, **options),
        "precision": reference.precision_score(truth, predicted, zero_division=0, **options),
        "recall": reference.recall_score(truth, predicted, **options),
        "f1": reference.f1_score(truth, predicted, **options),
        "roc_auc": reference.roc_auc_score(truth, probability, **options),
        "average_precision": reference.average_precision_score(truth, probability, **options),
        "brier": reference.brier_score_loss(truth, probability, **options),
        "log_loss": reference.log_loss(truth, probability, **options),
    }


@given(rows=outcomes())
def test_metrics_are_those_of_scikit_learn(rows: Outcomes) -> None:
    found = metric_values(rows)
    assert tuple(found) == METRICS
    assert found == pytest.approx(by_scikit_learn(rows))


@given(rows=outcomes(), data=st.data())
def test_weighted_metrics_are_those_of_scikit_learn(rows: Outcomes, data: st.DataObject) -> None:
    # given: each row drawn some times, and at least one row of each label drawn
    size = len(rows.truth)
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)), dtype=float)
    weights[np.argmax(rows.truth)] += 1
    weights[np.argmin(rows.truth)] += 1
    # when
    found = {name: values[0] for name, values in weighted_metrics(rows, weights[None, :]).items()}
    # then
    assert found == pytest.approx(by_scikit_learn(rows, weights))


@given(rows=outcomes())
def test_every_interval_is_in_order_and_within_the_range_of_its_metric(rows: Outcomes) -> None:
    for name, estimate in estimates(rows, seed=0, resamples=50).items():
        assert 0 <= estimate.low <= estimate.high
        assert name == "log_loss" or estimate.high <= 1


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    # given: rows, and resamples of them drawn one by one
    generator = np.random.default_rng(7)
    truth = np.arange(120) < 40
    probability = np.clip(generator.normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99)
    rows = Outcomes(truth, probability > 0.5, probability)
    drawn = []
    for _ in range(600):
        places = np.concatenate([generator.choice(np.flatnonzero(side), side.sum()) for side in (truth, ~truth)])
        drawn.append(reference.roc_auc_score(truth[places], probability[places]))
    # when
    found = estimates(rows, seed=0)["roc_auc"]
    # then
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.015)


def test_the_seed_decides_the_interval() -> None:
    truth = np.arange(40) < 15
    rows = Outcomes(truth, truth, np.linspace(1, 0, 40))
    assert estimates(rows, seed=1) == estimates(rows, seed=1)
    assert estimates(rows, seed=1) != estimates(rows, seed=2)


def test_more_rows_give_a_narrower_interval() -> None:
    truth = np.arange(60) < 20
    predicted = truth ^ (np.arange(60) % 7 == 0)
    widths = []
    for times in (1, 16):
        rows = Outcomes(np.tile(truth, times), np.tile(predicted, times), np.tile(predicted * 0.8 + 0.1, times))
        accuracy = estimates(rows, seed=0)["accuracy"]
        widths.append(accuracy.high - accuracy.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.15)


def test_the_evaluation_is_about_the_rarer_label_and_beats_the_majority(table: Table) -> None:
    # given
    training, held_out = split_table(table, 0, 0.25)
    estimator = logistic_regression(0).fit(training.features, training.labels)
    # when
    evaluation = evaluate(estimator, training, held_out, seed=0)
    # then
    assert {evaluation.positive, evaluation.negative} == set(Label)
    assert (table.labels == evaluation.positive).sum() < (table.labels == evaluation.negative).sum()
    assert evaluation.majority["accuracy"] == (held_out.labels == evaluation.negative).mean()
    assert evaluation.majority["roc_auc"] == 0.5
    for name, estimate in evaluation.metrics.items():
        better = estimate.value < evaluation.majority[name]
        assert better is (name in LOWER_IS_BETTER), name
        assert estimate.low <= estimate.value <= estimate.high


def test_importances_name_each_feature_once_and_fall(table: Table) -> None:
    estimator = logistic_regression(0).fit(table.features, table.labels)
    importances = evaluate(estimator, table, table, seed=0).importances
    means = [importance.mean for importance in importances]
    assert sorted(importance.feature for importance in importances) == sorted(FEATURES)
    assert means == sorted(means, reverse=True)
    assert means[0] > 0
