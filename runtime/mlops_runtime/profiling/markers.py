"""Decides which words of a column are values and which mean a missing value, by evidence in the table."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from mlops_runtime.missing import AUTO, NONE_WORDS, SYMBOLS, is_usual, missing_words
from mlops_runtime.profiling.columns import Tally, quoted

MIN_LABEL_SHARE = 0.2
"""Minimum share of a word in a target without an empty cell for the word to be a label."""

CODE = re.compile(r"[A-Z]{2}")
"""A code of two capital letters, such as that of a country; NA is then one of them."""

OVERRULE = 'the answer missing="…", MISSING in datamodel.py, names the words'


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Words that a person named.

    Attributes:
        words: cells that mean a missing value in columns of words, or None for the usual ones.
        missing: words that mean a missing value in a column, by its name.
        values: words that are values of a column, by its name.
    """

    words: tuple[str, ...] | None = None
    missing: Mapping[str, Collection[str]] = field(default_factory=dict)
    values: Mapping[str, Collection[str]] = field(default_factory=dict)

    @classmethod
    def from_answer(cls, answer: str) -> Self:
        """Return the words of an answer: with commas between them; empty for none, auto for the usual ones."""
        words = tuple(dict.fromkeys(filter(None, map(str.strip, answer.split(",")))))
        return cls(words=None if words == (AUTO,) else words)

    def in_every_kind(self, column: str) -> frozenset[str]:
        """Return the words that mean a missing value in a column of any kind."""
        return frozenset((*(self.words or ()), *self.missing.get(column, ())))


NOTHING_NAMED = Named()


def word_values(tally: Tally, of_table: Collection[str], named: Named, *, is_target: bool = False) -> frozenset[str]:
    """Return the cells of a column of words that are values, of those that mean a missing value elsewhere.

    Args:
        tally: statistics of the column.
        of_table: cells that mean a missing value in other columns of the table, where they cannot be values.
        named: words that a person named.
        is_target: whether the column is the target.
    """
    missing = missing_words("category", named.words, named.missing.get(tally.name, ()))
    open_words = frozenset(cell for cell in tally.markers if cell not in missing)
    values = frozenset(named.values.get(tally.name, ())).intersection(tally.markers)
    if not is_usual(named.words):
        return open_words | values
    empty = tally.rows - tally.present - tally.markers.total()
    others = [cell for cell in tally.markers if cell in missing and cell not in values]
    decided = {
        cell
        for cell in others
        if cell not in named.missing.get(tally.name, ())
        and (_is_symbol_among_symbols(cell, tally) or _is_word(cell, others, tally, empty, of_table, is_target))
    }
    return open_words | values | decided


def _is_symbol_among_symbols(cell: str, tally: Tally) -> bool:
    """Return whether a symbol is one of several, as in `+`, `-` or `*`, `**`."""
    return cell in SYMBOLS and any(not any(map(str.isalnum, value)) for value in tally.values or ())


def _is_word(
    cell: str, others: Collection[str], tally: Tally, empty: int, of_table: Collection[str], is_target: bool
) -> bool:
    """Return whether a word such as `None` or `NA` is a value: nothing else marks the missing values."""
    if empty or len(others) > 1 or cell in of_table:
        return False
    if cell in NONE_WORDS:
        return True
    if CODE.fullmatch(cell) and tally.values and all(map(CODE.fullmatch, tally.values)):
        return True
    return is_target and tally.markers[cell] >= MIN_LABEL_SHARE * tally.rows


def marker_warnings(decisions: Mapping[str, tuple[Tally, Collection[str]]]) -> Iterator[str]:
    """Yield a sentence for each word that may be a value or mean a missing value: what it is in which columns.

    Args:
        decisions: statistics of each column of words, and which of its markers are values, by its name.
    """
    columns: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for name, (tally, values) in decisions.items():
        for cell in tally.markers:
            columns[cell, cell in values].append(name)
    for (cell, is_value), names in columns.items():
        meaning = "is a value" if is_value else "means a missing value"
        place = quoted(names[0]) if len(names) == 1 else f"{len(names)} columns such as {quoted(names[0])}"
        yield f"{quoted(cell)} {meaning} in {place}: {OVERRULE} that mean a missing value"
