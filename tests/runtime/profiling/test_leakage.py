import random
from math import nan

import pytest

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.leakage import Values, leak

GENERATOR = random.Random(0)
NOISE = [GENERATOR.random() for _ in range(100)]
LABELS = [GENERATOR.choice("ab") for _ in range(100)]
AMOUNTS = [GENERATOR.random() for _ in range(100)]
RARE = ["b" if place % 20 == 0 else "a" for place in range(100)]


def warning(values: Values, target: Values, kind: str = "number") -> str | None:
    column = Column(name="x", kind=kind, rows=len(values), missing=0, distinct=0, optional=False)
    return leak(column, values, target, labelled=isinstance(target[0], str))


@pytest.mark.parametrize(
    ("values", "target", "kind", "message"),
    [
        pytest.param([f"code {label}" for label in LABELS], LABELS, "category", "with a single value", id="renamed"),
        pytest.param([ord(label) for label in LABELS], LABELS, "integer", "goes with a single value", id="coded"),
        pytest.param([2 * amount + 1 for amount in AMOUNTS], AMOUNTS, "number", "the same information", id="scaled"),
        pytest.param([-amount for amount in AMOUNTS], AMOUNTS, "number", "the same information", id="negated"),
        pytest.param([noise + 5 * (label == "b") for noise, label in zip(NOISE, LABELS, strict=True)], LABELS, "number",
                     "separates the labels without an error", id="separated"),
        pytest.param([noise if label == "b" else nan for noise, label in zip(NOISE, LABELS, strict=True)], LABELS,
                     "number", "whether 'x' has a value gives the label 'b' away", id="there-for-one-label"),
        pytest.param([f"{noise}" if label == "b" else "" for noise, label in zip(NOISE, LABELS, strict=True)], LABELS,
                     "text", "whether 'x' has a value gives the label 'b' away", id="text-for-one-label"),
    ],
)  # fmt: skip
def test_what_gives_the_target_away_is_named(values: Values, target: Values, kind: str, message: str) -> None:
    found = warning(values, target, kind)
    assert found is not None
    assert message in found
    assert "delete its field from datamodel.py" in found


@pytest.mark.parametrize(
    ("values", "target", "kind"),
    [
        pytest.param(NOISE, LABELS, "number", id="noise"),
        pytest.param(NOISE, AMOUNTS, "number", id="noise-beside-amounts"),
        pytest.param([amount + noise / 10 for amount, noise in zip(AMOUNTS, NOISE, strict=True)], AMOUNTS, "number",
                     id="correlated"),
        pytest.param([f"{place}" for place in range(100)], LABELS, "text", id="distinct-values"),
        pytest.param(["x", "y"] * 50, LABELS, "choice", id="other-labels"),
        pytest.param([5.0] * 100, AMOUNTS, "number", id="constant"),
        pytest.param([nan] * 99 + [1.0], AMOUNTS, "number", id="a-single-value"),
        pytest.param([0.0, 9.0], ["a", "b"], "number", id="separated-by-chance"),
        pytest.param([noise if place % 2 else nan for place, noise in enumerate(NOISE)], LABELS, "number",
                     id="gaps-by-chance"),
        pytest.param([noise if place % 2 else nan for place, noise in enumerate(NOISE)], RARE, "number",
                     id="gaps-where-nearly-all-have-the-label"),
    ],
)  # fmt: skip
def test_what_gives_nothing_away_is_not(values: Values, target: Values, kind: str) -> None:
    assert warning(values, target, kind) is None
