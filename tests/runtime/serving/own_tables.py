"""Odd tables, each of which trains: what their rows have to do with an API is tested with all of them."""

import codecs
import random
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

from mlops_runtime.contract import Contract
from mlops_runtime.profiling.profile import profile
from mlops_runtime.profiling.render.datamodel import render

ROWS = 120

Cells = Sequence[str]


def rows(*columns: Callable[[int], str]) -> list[list[str]]:
    return [[column(number) for column in columns] for number in range(ROWS)]


def amount(number: int) -> str:
    return f"{random.Random(number).uniform(-900, 900):.2f}"


def place(number: int) -> str:
    return ("north", "south", "west")[number % 3]


def outcome(number: int) -> str:
    return "yes" if number % 4 else "no"


def words(*some: str) -> Callable[[int], str]:
    return lambda number: some[number // 2 % len(some)]


def grouped(number: int) -> str:
    return f"{random.Random(number).randint(1000, 99_000_000):,}"


def german(number: int) -> str:
    return f"{random.Random(number).uniform(1000, 90_000):,.2f}".translate(str.maketrans(",.", ".,"))


def account(number: int) -> str:
    value = f"{random.Random(number).uniform(1, 9000):,.2f}"
    return (value, f"({value})", f"{value}-")[number % 3]


def reais(number: int) -> str:
    return f"R$ {german(number)}"


def lakhs(number: int) -> str:
    crores, rest = divmod(random.Random(number).randint(10_000_000, 99_000_000), 10_000_000)
    return f"₹{crores},{rest // 100_000:02},{rest // 1000 % 100:02},{rest % 1000:03}"


def moment(number: int, form: str) -> str:
    return (datetime(2020, 1, 1) + timedelta(minutes=random.Random(number).randrange(700_000))).strftime(form)  # noqa: DTZ001


def day_of_france(number: int) -> str:
    return f"{number % 28 + 1} {('janv.', 'févr.', 'mars', 'août', 'déc.')[number % 5]} 202{number % 3}"


def text(header: Cells, cells: Sequence[Cells], delimiter: str = ",", end: str = "\n") -> str:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if {delimiter, '"', "\n", "\r"} & set(cell) else cell

    return "".join(delimiter.join(map(quoted, row)) + end for row in [header, *cells])


HEADER = ("x", "k", "y")
PLAIN = rows(amount, place, outcome)


def with_column(*values: str) -> str:
    """Return a table with a further column of these values, in turn."""
    return text(("v", *HEADER), [[values[n // 2 % len(values)], *row] for n, row in enumerate(PLAIN)])


def named(*names: str) -> str:
    """Return a table with further columns of these names."""
    further = [[amount(number + 7 * place) for place in range(len(names))] for number in range(ROWS)]
    return text((*names, *HEADER), [[*cells, *row] for cells, row in zip(further, PLAIN, strict=True)])


def with_target(*labels: str) -> str:
    """Return a table with these labels, in turn."""
    return text(HEADER, rows(amount, place, words(*labels)))


TABLES: dict[str, str | bytes] = {
    "plain": text(HEADER, PLAIN),
    "semicolons": text(HEADER, PLAIN, ";"),
    "bars": text(HEADER, PLAIN, "|"),
    "tabs": text(HEADER, PLAIN, "\t"),
    "line ends of Windows": text(HEADER, PLAIN, end="\r\n"),
    "decimal commas": text(HEADER, [[x.replace(".", ","), *rest] for x, *rest in PLAIN], ";"),
    "thousands": text(HEADER, rows(grouped, place, outcome)),
    "thousands and decimal commas": text(HEADER, rows(german, place, outcome), ";"),
    "currency": text(HEADER, [[f"${x}" if x[0] != "-" else f"-${x[1:]}", *rest] for x, *rest in PLAIN]),
    "per cent": text(HEADER, [[f"{x} %", *rest] for x, *rest in PLAIN]),
    "UTF-8 with a mark": codecs.BOM_UTF8 + text(HEADER, PLAIN).encode(),
    "UTF-16": text(HEADER, PLAIN).encode("utf-16"),
    "Latin-1": text(HEADER, rows(amount, words("Köln", "Gießen", "Übersee"), outcome)).encode("latin-1"),
    "repeated names": text(("x", "x", "k", "k", "y"), rows(amount, lambda n: amount(n + 1), place, place, outcome)),
    "names that are empty": text(("", "x", "", "y"), rows(lambda n: str(3 * n), amount, place, outcome)),
    "a repeated header": text(HEADER, [*PLAIN[:50], HEADER, *PLAIN[50:]]),
    "empty rows": text(HEADER, [*PLAIN[:50], ["", "", ""], *PLAIN[50:], ["", "", ""]]),
    "an identifier and a constant": text(
        ("id", "source", *HEADER), [[f"A-{n:04}", "web", *row] for n, row in enumerate(PLAIN)]
    ),
    "yes and no": with_column("yes", "no"),
    "Y and N": with_column("Y", "N"),
    "t and f": with_column("t", "f"),
    "TRUE and FALSE": with_column("TRUE", "FALSE"),
    "0 and 1": with_column("0", "1"),
    "words for missing numbers": with_column("1.5", "NA", "2.5", "NULL", "7", "", "#N/A", "-"),
    "words for missing words": with_column("red", "N/A", "blue", "", "null"),
    "None as a word": with_column("None", "Mild", "Severe"),
    "blanks around cells": text(HEADER, [[f" {cell} " for cell in row] for row in PLAIN]),
    "commas and quotes": with_column("a, b", 'c "d"', "e"),
    "line breaks": with_column("a\nb", "c\nd", "e"),
    "long categories": with_column("a" * 300, "b" * 250, "c"),
    "days of Europe": with_column("31.12.2024", "01.02.2023", "15.06.2022"),
    "days of the USA": with_column("12/31/2024", "02/01/2023", "06/15/2022"),
    "dates and times": with_column("2024-12-31 13:45:00", "2023-02-01 08:00:00", "2022-06-15 23:59:59"),
    "short rows": text(("x", "y", "k"), rows(amount, outcome, place)).replace(",west\n", "\n"),
    "names of answers": named("label", "error", "high", "low", "value", "probabilities", "warnings"),
    "names of Python": named("class", "None", "self", "model_dump", "2x", "import", "__init__"),
    "names with signs": named("a, b", 'say "x"', "x;y", "100 %", "\N{SLIGHTLY SMILING FACE}", "$(x)", "<b>"),
    "names of several lines": named("first\nsecond", "a\tb"),
    "names of hundreds of letters": named("height in the morning, " * 12 + "in cm", "Dampfschifffahrt" * 20),
    "letters from right to left": text(
        ('גובה (ס"מ)', "الدخل", "עיר", "y"),
        rows(amount, lambda n: amount(n + 5), words("חיפה", "ירושלים, העתיקה"), words("כן", "אולי (?)", "لا")),
    ),
    "labels with signs": with_target('\N{SLIGHTLY SMILING FACE} "good", yes', "so;so\nbad", "100 %"),
    "labels of many letters": with_target("a label of many words, " * 8 + "end", "Donaudampfschifffahrt" * 9),
    "labels that are ordinal numbers": with_target("1st", "2nd", "3rd"),
    "labels equal as numbers": with_target("0", "1", "0.0", "1.0"),
    "the label None": with_target("None", "mild", "severe"),
    "amounts of accounts": text(HEADER, rows(account, place, outcome)),
    "amounts in reais": text(HEADER, rows(reais, place, outcome), ";"),
    "amounts in lakhs": text(HEADER, rows(lakhs, place, outcome)),
    "times in 14 digits": text(HEADER, rows(lambda n: moment(n, "%Y%m%d%H%M%S"), place, outcome)),
    "times of Oracle": text(HEADER, rows(lambda n: moment(n, "%d-%b-%y %I.%M.%S.000000 %p").upper(), place, outcome)),
    "days of France": text(HEADER, rows(day_of_france, place, outcome)),
    "days of Japan": text(HEADER, rows(lambda n: moment(n, "%Y年%m月%d日 %H:%M"), place, outcome)),
    "cells of Hive": text(HEADER, PLAIN, "\x01").replace("north", r"\N"),
    "a line below the header": text(HEADER, [["---", "---", "---"], *PLAIN], "|") + f"({ROWS} rows)\n",
    "titles, sums and notes": f"Sales,2020\n\n{text(HEADER, PLAIN)}Total:,,\n\nSource: the office\n",
    "questions below the header": text(
        HEADER, [["How much?", "Where?", "Would you?"], ['{"ImportId":"Q1"}'] * 3, *PLAIN]
    ),
    "a mark in some rows": with_column("x", "", ""),
    "ISO-2022-JP": text(HEADER, rows(amount, words("東京", "大阪", "つくば"), outcome)).encode("iso2022_jp"),
    "Cyrillic of a Mac": text(HEADER, rows(amount, words("Москва", "Щёлково", "Тверь"), outcome)).encode(
        "mac_cyrillic"
    ),
    "amounts": text(HEADER, rows(place, outcome, amount)),
}
"""Content of a file by name; the target is `y`."""


def write_table(name: str, folder: Path) -> Path:
    """Write a table into a folder, with a file name that tells it from the others."""
    content = TABLES[name]
    path = folder / f"own_table_{list(TABLES).index(name)}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def contract_of(path: Path) -> Contract:
    """Return the contract that is derived from a table, as a project has it."""
    module = ModuleType(path.stem)
    # pydantic looks up the annotations of a record in its module.
    sys.modules[module.__name__] = module
    exec(render(profile(path, "y")), module.__dict__)
    contract: Contract = module.CONTRACT
    return contract
