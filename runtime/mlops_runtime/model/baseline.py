"""The baseline: distributions of the training rows, the reference for drift."""

from pydantic import BaseModel, ConfigDict


class NumberBaseline(BaseModel):
    """Distribution of numbers in the training rows.

    Of a text it is the number of its words, of a date the days since 1970, of a time the hour.

    Attributes:
        missing_share: share of the rows that have no number; all else is about those that have one.
        mean: of the numbers.
        standard_deviation: of the numbers.
        minimum: least of them.
        maximum: greatest of them.
        bin_edges: of bins of the same width; none if no row has a number.
        bin_shares: of the numbers in each bin.
        cuts: between groups of about the same size, so that drift shows wherever the numbers are: a bin of
            a skewed field may hold nearly all. Ascending; a number equal to a cut is in the group above.
        cut_shares: of the numbers in each group, one more than there are cuts.
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
    """The share of each value of a field among those training rows that have one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    missing_share: float
    shares: dict[str, float]


FieldBaseline = NumberBaseline | ValueBaseline


class Baseline(BaseModel):
    """The distributions of the training rows, by field, and of their target.

    Attributes:
        rows: number of training rows.
        fields: by name.
        target: the true labels or values.
        predictions: what the model says of the held-out rows: the reference for predictions, since a
            model that leans to the common labels, or to the mean, does so in service as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    fields: dict[str, FieldBaseline]
    target: FieldBaseline
    predictions: FieldBaseline
