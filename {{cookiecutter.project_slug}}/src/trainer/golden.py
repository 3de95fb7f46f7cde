"""Golden records: a few held-out rows whose predictions the artefact must give wherever it runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from {{cookiecutter.__package}}_model.datamodel import (
    Label,
    Prediction,
    Record,
    feature_matrix,
)
from {{cookiecutter.__package}}_model.metadata import GoldenRecord

PER_LABEL = 4
WITH_MISSING = 2


def golden_records(estimator: Pipeline, records: Sequence[Record]) -> tuple[GoldenRecord, ...]:
    """Return about ten distinct records with the estimator's predictions for them.

    The record nearest to the border between two labels comes first, where a small error shows
    first; then some with missing values, if there are any; then some of each label, from the
    surest to the least sure. The predictions are the estimator's own, not the exported model's:
    who reproduces them agrees with what was evaluated.
    """
    distinct = list(dict.fromkeys(records))
    features = feature_matrix(distinct)
    probabilities = estimator.predict_proba(features)
    winners = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    by_confidence = np.argsort(confidence, kind="stable")
    with_missing = np.isnan(features[by_confidence]).any(axis=1)
    chosen = [by_confidence[0], *_spread(by_confidence[with_missing], WITH_MISSING)]
    for label in range(len(estimator.classes_)):
        chosen += _spread(by_confidence[winners[by_confidence] == label], PER_LABEL)
    return tuple(
        GoldenRecord(
            record=distinct[row],
            prediction=Prediction(label=Label(estimator.classes_[winners[row]]), probability=float(confidence[row])),
        )
        for row in dict.fromkeys(int(row) for row in chosen)
    )


def _spread(rows: NDArray[np.intp], count: int) -> list[np.intp]:
    """Return up to `count` of the rows, evenly spaced from the last to the first."""
    if not len(rows):
        return []
    return [rows[place] for place in np.linspace(len(rows) - 1, 0, min(count, len(rows))).astype(int)]
