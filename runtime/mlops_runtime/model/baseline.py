"""The baseline: distributions of the training rows, the reference for drift."""

from collections.abc import Collection, Sequence

from pydantic import BaseModel, ConfigDict


class NumberBaseline(BaseModel):
    """Distribution of the numbers of a field in the training rows.

    A text is represented by its number of words, a date by its days since 1970, a time by its hour.

    Attributes:
        missing_share: share of the rows without a number; the other attributes ignore these rows.
        mean: mean of the numbers.
        standard_deviation: standard deviation of the numbers.
        minimum: minimum of the numbers.
        maximum: maximum of the numbers.
        bin_edges: edges of bins of equal width; empty if no row has a number.
        bin_shares: share of the numbers in each bin.
        cuts: ascending limits of groups of about equal size; a number equal to a cut is in the group above.
            They show drift in a skewed field too, where one bin of equal width may hold nearly all numbers.
        cut_shares: share of the numbers in each group; there is one group more than cuts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    missing_share: float
    mean: float
    standard_deviation: float
    minimum: float
    maximum: float
    bin_edges: tuple[float, ...]
    bin_shares: tuple[float, ...]
    cuts: tuple[float, ...] = ()
    cut_shares: tuple[float, ...] = (1.0,)


class ValueBaseline(BaseModel):
    """Share of each value of a field among the training rows in which it is present.

    Attributes:
        missing_share: share of the rows without a value; the shares ignore these rows.
        shares: share of each value, by value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    missing_share: float
    shares: dict[str, float]


FieldBaseline = NumberBaseline | ValueBaseline


class Vocabulary(BaseModel):
    """The words of the texts of a field in the training rows.

    Attributes:
        words: distinct words, as `mlops_runtime.contract.features.tokens` reads them.
        unknown: distribution over the held-out rows of the share of a text's words that are not among `words`.
            Training rows have no such word.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...]
    unknown: NumberBaseline


class Baseline(BaseModel):
    """Distributions of the fields, the target and the predictions.

    Attributes:
        rows: number of training rows.
        fields: distribution of each field in the training rows, by name.
        target: distribution of the true labels or values in the training rows.
        predictions: distribution of the predictions for the held-out rows. It is the reference for drift of the
            predictions: a model biased towards frequent labels or the mean shows the same bias in service.
        vocabularies: words of the fields of texts whose unknown words tell drift, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    fields: dict[str, FieldBaseline]
    target: FieldBaseline
    predictions: FieldBaseline
    vocabularies: dict[str, Vocabulary] = {}


def unknown_share(words: Sequence[str], known: Collection[str]) -> float:
    """Return the share of the words of a text that are not known; NaN for a text without words."""
    return sum(word not in known for word in words) / len(words) if words else float("nan")
