import onnx
import pytest
from sklearn.pipeline import Pipeline

from trainer.estimators import CANDIDATES, Candidate, logistic_regression
from trainer.export import ParityError, check_parity, onnx_model
from trainer.ranges import draw_records
from trainer.table import Table

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.metadata import Metadata

KINDS = [pytest.param(candidate, id=candidate.name) for candidate in CANDIDATES]


def exported(estimator: Pipeline, like: Classifier) -> Classifier:
    metadata = like.metadata.model_copy(update={"labels": tuple(estimator.classes_)})
    return Classifier(onnx_model(estimator), Metadata.model_validate(metadata), ())


@pytest.mark.parametrize("candidate", KINDS)
def test_every_kind_gives_the_same_answers_once_exported(
    candidate: Candidate, table: Table, classifier: Classifier
) -> None:
    estimator = candidate.build(0).fit(table.features, table.labels)
    records = [*table.records, *draw_records(2000, seed=5)]
    assert check_parity(exported(estimator, classifier), estimator, records) < 1e-6


@pytest.mark.parametrize("candidate", KINDS)
def test_the_same_estimator_gives_the_same_bytes(candidate: Candidate, table: Table) -> None:
    first, second = (onnx_model(candidate.build(0).fit(table.features, table.labels)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("candidate", KINDS)
def test_operator_sets_are_in_order_of_their_domain(candidate: Candidate, table: Table) -> None:
    model = onnx.load_from_string(onnx_model(candidate.build(0).fit(table.features, table.labels)))
    onnx.checker.check_model(model)
    domains = [opset.domain for opset in model.opset_import]
    assert domains == sorted(domains)


def test_another_estimator_is_refused(table: Table, classifier: Classifier) -> None:
    # given: an export, and an estimator that learned the opposite
    estimator = logistic_regression(0).fit(table.features, table.labels)
    opposite = logistic_regression(0).fit(table.features, table.labels[::-1])
    # then
    with pytest.raises(ParityError, match=r"labels differ.*nothing was written"):
        check_parity(exported(estimator, classifier), opposite, table.records)


def test_a_probability_that_differs_is_refused_even_if_no_label_does(table: Table, classifier: Classifier) -> None:
    # given: an estimator that is a little surer than the one exported
    estimator = logistic_regression(0).fit(table.features, table.labels)
    export = exported(estimator, classifier)
    estimator[-1].coef_ *= 1 + 1e-4
    estimator[-1].intercept_ *= 1 + 1e-4
    # then
    with pytest.raises(ParityError, match="0 of"):
        check_parity(export, estimator, table.records)
