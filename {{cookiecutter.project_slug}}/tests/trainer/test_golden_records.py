import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from trainer.estimators import logistic_regression
from trainer.golden import golden_records
from trainer.ranges import field_ranges
from trainer.table import Table

from {{cookiecutter.__package}}_model.datamodel import Label, feature_matrix


@pytest.fixture(scope="module")
def estimator(table: Table) -> Pipeline:
    return logistic_regression(0).fit(table.features, table.labels)


def test_golden_records_cover_labels_missing_values_and_the_border(estimator: Pipeline, table: Table) -> None:
    # when
    golden = golden_records(estimator, table.records)
    # then
    assert 8 <= len(golden) <= 12
    assert len({one.record for one in golden}) == len(golden)
    assert {one.prediction.label for one in golden} == set(Label)
    surest = estimator.predict_proba(table.features).max(axis=1)
    assert golden[0].prediction.probability == surest.min()
    if any(field.optional for field in field_ranges()):
        assert np.isnan(feature_matrix([one.record for one in golden])).any()


def test_their_predictions_are_those_of_the_estimator(estimator: Pipeline, table: Table) -> None:
    golden = golden_records(estimator, table.records)
    features = feature_matrix([one.record for one in golden])
    assert [one.prediction.label for one in golden] == estimator.predict(features).tolist()
    assert [one.prediction.probability for one in golden] == pytest.approx(
        estimator.predict_proba(features).max(axis=1)
    )


def test_few_records_without_missing_values_are_enough(estimator: Pipeline, table: Table) -> None:
    whole = [record for record in table.records if None not in vars(record).values()][:3]
    golden = golden_records(estimator, [*whole, *whole])
    assert {one.record for one in golden} == set(whole)
