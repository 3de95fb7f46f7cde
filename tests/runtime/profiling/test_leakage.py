import random
from math import nan

import pytest

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.leakage import Values, leakage_warning

GENERATOR = random.Random(0)
NOISE = [GENERATOR.random() for _ in range(100)]
LABELS = [GENERATOR.choice("ab") for _ in range(100)]
AMOUNTS = [GENERATOR.random() for _ in range(100)]
IMBALANCED = ["b" if row % 20 == 0 else "a" for row in range(100)]


def warning(values: Values, target: Values, kind: str = "number") -> str | None:
    column = Column(name="x", kind=kind, rows=len(values), missing=0, distinct=0, optional=False)
    return leakage_warning(column, values, target, labelled=isinstance(target[0], str))


@pytest.mark.parametrize(
    ("values", "target", "kind", "message"),
    [
        pytest.param([f"code {label}" for label in LABELS], LABELS, "category", "with a single value", id="renamed"),
        pytest.param([ord(label) for label in LABELS], LABELS, "integer", "occurs with a single value", id="codes"),
        pytest.param([2 * amount + 1 for amount in AMOUNTS], AMOUNTS, "number", "the same information", id="scaled"),
        pytest.param([-amount for amount in AMOUNTS], AMOUNTS, "number", "the same information", id="negated"),
        pytest.param([noise + 5 * (label == "b") for noise, label in zip(NOISE, LABELS, strict=True)], LABELS, "number",
                     "separates the labels without an error", id="separated"),
        pytest.param([noise if label == "b" else nan for noise, label in zip(NOISE, LABELS, strict=True)], LABELS,
                     "number", "whether 'x' is missing reveals the label 'b'", id="missing-for-the-other-label"),
        pytest.param([f"{noise}" if label == "b" else "" for noise, label in zip(NOISE, LABELS, strict=True)], LABELS,
                     "text", "whether 'x' is missing reveals the label 'b'", id="text-missing-for-the-other-label"),
    ],
)  # fmt: skip
def test_a_column_that_reveals_the_target_gets_a_warning(
    values: Values, target: Values, kind: str, message: str
) -> None:
    sentence = warning(values, target, kind)
    assert sentence is not None
    assert message in sentence
    assert "delete its field from datamodel.py" in sentence


@pytest.mark.parametrize(
    ("values", "target", "kind"),
    [
        pytest.param(NOISE, LABELS, "number", id="noise"),
        pytest.param(NOISE, AMOUNTS, "number", id="noise-for-amounts"),
        pytest.param([amount + noise / 10 for amount, noise in zip(AMOUNTS, NOISE, strict=True)], AMOUNTS, "number",
                     id="correlated"),
        pytest.param([f"{row}" for row in range(100)], LABELS, "text", id="distinct-values"),
        pytest.param(["x", "y"] * 50, LABELS, "choice", id="independent-choices"),
        pytest.param([5.0] * 100, AMOUNTS, "number", id="constant"),
        pytest.param([nan] * 99 + [1.0], AMOUNTS, "number", id="a-single-value"),
        pytest.param([0.0, 9.0], ["a", "b"], "number", id="separated-by-chance"),
        pytest.param([noise if row % 2 else nan for row, noise in enumerate(NOISE)], LABELS, "number",
                     id="gaps-by-chance"),
        pytest.param([noise if row % 2 else nan for row, noise in enumerate(NOISE)], IMBALANCED, "number",
                     id="gaps-with-imbalanced-labels"),
    ],
)  # fmt: skip
def test_a_column_that_does_not_reveal_the_target_gets_no_warning(values: Values, target: Values, kind: str) -> None:
    assert warning(values, target, kind) is None
