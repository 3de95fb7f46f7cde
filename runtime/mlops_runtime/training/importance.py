"""What a model looks at: by how much it gets worse when the values of one field are shuffled."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features, Layout

MAX_ROWS = 2000
MIN_ROWS = 100
MAX_REPEATS = 20
MIN_REPEATS = 3
WORK = 200_000_000
"""How many cells the model is given in all: a few seconds of work. The repeats become fewer first, then the rows."""

CALLS = 5000
"""How often the model is asked, unless there are more fields: a call takes a millisecond however little it is given."""

CELLS_OF_A_CHARACTER = 4
"""How many numbers the model takes in the time in which it takes a character of a text, about."""

Values = TypeVar("Values", NDArray[np.float64], NDArray[np.object_])


@dataclass(frozen=True, slots=True)
class Importance:
    """By how much the loss rises when one field is shuffled: mean and standard deviation over the shuffles."""

    feature: str
    mean: float
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class FieldColumns:
    """Where the values of a field are among the features: the places of its columns in each array."""

    name: str
    numbers: tuple[int, ...] = ()
    categories: tuple[int, ...] = ()
    texts: tuple[int, ...] = ()


def _places(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return at which places each name stands."""
    places: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(names):
        places[name] = (*places.get(name, ()), place)
    return places


def field_columns(layout: Layout) -> tuple[FieldColumns, ...]:
    """Return the columns of each field, in the order of the contract."""
    numbers = _places(number.field.name for number in layout.numbers)
    categories = _places(field.name for field in layout.categories)
    texts = _places(field.name for field in layout.texts)
    names = [field.name for field in layout.fields]
    return tuple(
        FieldColumns(name, numbers.get(name, ()), categories.get(name, ()), texts.get(name, ())) for name in names
    )


def importances(
    outputs: Callable[[Features], NDArray[np.float64]],
    features: Features,
    loss: Callable[[NDArray[np.intp], NDArray[np.float64]], float],
    seed: int,
) -> tuple[Importance, ...]:
    """Return the permutation importance of each field, the highest first.

    The columns of a field are shuffled together, so that a date stays a date (Breiman 2001, Random
    forests, Machine Learning 45). Not all rows are used if they are many, and with many fields
    neither as many repeats: all shuffles together take a few seconds.

    Args:
        outputs: what the model says of features, the first axis being the rows.
        features: of rows that the model has not been fitted on.
        loss: takes places of rows and the outputs for them, and returns the loss.
        seed: of the choice of rows and of the shuffles.
    """
    columns = field_columns(features.layout)
    generator = np.random.default_rng(seed)
    count, repeats = affordable(features, len(columns))
    rows = np.sort(generator.choice(len(features), count, replace=False))
    chosen = features.take(rows)
    least = loss(rows, outputs(chosen))
    found = []
    for field in columns:
        rises = [
            loss(rows, outputs(_shuffled(chosen, field, generator.permutation(count)))) - least for _ in range(repeats)
        ]
        found.append(Importance(field.name, float(np.mean(rises)), float(np.std(rises))))
    return tuple(sorted(found, key=lambda importance: importance.mean, reverse=True))


def affordable(features: Features, fields: int) -> tuple[int, int]:
    """Return how many of the rows are shuffled for each of so many fields, and how often."""
    rows = min(len(features), MAX_ROWS)
    characters = sum(len(text) for text in features.texts[:rows].ravel().tolist()) / max(rows, 1)
    cells = features.numbers.shape[1] + features.categories.shape[1] + CELLS_OF_A_CHARACTER * characters
    shuffled_rows = WORK / max(fields * cells, 1)
    most = int(np.clip(CALLS // max(fields, 1), 1, MAX_REPEATS))
    repeats = int(np.clip(shuffled_rows / max(rows, 1), min(MIN_REPEATS, most), most))
    return min(rows, max(int(shuffled_rows / repeats), MIN_ROWS)), repeats


def _shuffled(features: Features, field: FieldColumns, order: NDArray[np.intp]) -> Features:
    """Return the features with the columns of one field in another order of rows."""
    return Features(
        features.layout,
        _reordered(features.numbers, field.numbers, order),
        _reordered(features.categories, field.categories, order),
        _reordered(features.texts, field.texts, order),
    )


def _reordered(array: Values, places: tuple[int, ...], order: NDArray[np.intp]) -> Values:
    if not places:
        return array
    copy = array.copy()
    for place in places:
        copy[:, place] = array[order, place]
    return copy
