"""Words that mean a missing value: one definition for profiling, training, the API and the page.

It needs only the standard library, because profiling runs before a project exists.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator
from functools import cache

AUTO = "auto"
"""Stands for `WORDS` in a list of words that a person writes."""

WORD_KINDS = frozenset(("choice", "category", "text"))
"""Kinds of columns in which a word may be a value."""

MAX_VARIANT_LENGTH = 8
"""Maximum length of a word of which all variants of case are listed."""


def _variants(words: Iterable[str]) -> Iterator[str]:
    """Yield the words in upper and lower case, and short ones in any mixture of both."""
    for word in words:
        if len(word) > MAX_VARIANT_LENGTH:
            yield from (word, word.lower(), word.upper(), word.capitalize(), word.title())
        else:
            yield from map("".join, itertools.product(*({letter.lower(), letter.upper()} for letter in word)))


SYMBOLS = frozenset(("?", "-", "--", "---", ".", "..", "...", "*", "**", "_", "\u2013", "\u2014"))
"""Symbols that mean a missing value, unless other values of the column are symbols too."""

NONE_WORDS = frozenset(_variants(("none", "nil")))
"""Words that are a value of a column of words unless there is evidence that they are not."""

NA_WORDS = frozenset(("NA", "na", "N/A", "n/a", "N.A.", "n.a.", "N.A", "n.a", "n / a", "N / A"))
"""Abbreviations of *not available*, which may also be a code. Na is the symbol of sodium."""

NULL_WORDS = frozenset(
    (
        *_variants(("null", "(null)", "<null>", "<na>", "nat", r"\n", "#n/a", "#na", "#value!", "#ref!", "#num!")),
        *_variants(("#div/0!", "#name?", "#null!", "#error!", "#n/a n/a")),
        *(f"{sign}1.#{word}" for sign in ("", "-", "+") for word in _variants(("ind", "qnan", "snan", "inf"))),
        *(f"{sign}{word}" for sign in ("", "+", "-") for word in _variants(("nan", "inf", "infinity"))),
    )
)
"""Null values of databases, spreadsheets and programming languages. JSON has no infinities, so they count too."""

WORDS = frozenset(("", *NULL_WORDS, *NA_WORDS, *NONE_WORDS, *SYMBOLS))
"""Cells that mean a missing value in a column of words."""

NO_VALUES = frozenset(
    (
        *WORDS,
        *_variants(("na", "n/d", "nd", "n.d.", "missing", "unknown", "unk", "(none)", "<none>", "(blank)", "blank")),
        *_variants(("empty", "(empty)", "undefined", "not available", "not applicable", "no data", "not known")),
        *_variants(("n.v.", "k.a.", "n/v", "tbd", "tba", "unavailable", "(missing)", "<missing>", "(unknown)")),
        *("----", "-----", "....", "***", "??", "???", "#", "##", "/", ":"),
        # SAS and Stata have 27 kinds of missing numbers
        *(f".{letter}" for letter in "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    )
)
"""Cells that mean a missing value in a column of numbers, dates, times or truth values, where no word is a value."""


def is_usual(named: Collection[str] | None) -> bool:
    """Return whether the usual words mean a missing value, and not only the words that a person named."""
    return named is None or AUTO in named


def missing_words(
    kind: str,
    named: Collection[str] | None = None,
    further: Collection[str] = (),
    values: Collection[str] = (),
) -> frozenset[str]:
    """Return the cells that mean a missing value in a column; an empty cell always does.

    Args:
        kind: kind of the column, or of the target: a kind of the contract.
        named: words that a person named for all columns, or None. In a column of words they replace `WORDS`, unless
            `AUTO` is one of them.
        further: words that are missing in this column as well.
        values: words that are values of this column.
    """
    words = _words_of(kind in WORD_KINDS, None if named is None else frozenset(named))
    added, removed = frozenset(further), words.intersection(values) - {""}
    # Most columns share one set: a set of their own takes 30 KB.
    return words if added <= words and not removed else (words - removed) | added


@cache
def _words_of(of_words: bool, named: frozenset[str] | None) -> frozenset[str]:
    """Return the cells that mean a missing value in columns of words, or of other kinds."""
    usual = (WORDS if is_usual(named) else frozenset()) if of_words else NO_VALUES
    return usual | {"", *(named or ())} - {AUTO}
