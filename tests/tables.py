"""Synthetic tables for the tests, similar to tables of users."""

import csv
import random
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

ROWS = 400


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]], delimiter: str = ",") -> Path:
    """Write a table and return its path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def orders(path: Path) -> Path:
    """A regression table with columns of all kinds, semicolons, decimal commas, and names that are not identifiers."""
    generator = random.Random(1)
    words = ("urgent", "fragile", "please", "handle", "with", "care", "über", "den", "Wolken", "ring", "bell", "gift")
    header = (
        "Order no", "Weight (kg)", "Items", "Express", "Size", "City", "Remark", "Ordered", "Picked at", "class",
        "Price paid",
    )  # fmt: skip
    rows = []
    for number in range(ROWS):
        weight, items = round(generator.lognormvariate(1, 1), 2), generator.randint(0, 12)
        express, size, city = generator.random() < 0.3, generator.choice(["large", "small"]), generator.randint(0, 39)
        remark = " ".join(generator.choice(words) for _ in range(generator.randint(3, 9)))
        ordered = date(2020, 1, 1) + timedelta(days=generator.randint(0, 1500))
        grade = generator.choice("ABC")
        price = 10 * weight + 3 * items + 20 * express + city + 15 * ("fragile" in remark) + generator.gauss(0, 3)
        rows.append(
            (
                f"R-{number:05}", f"{weight}".replace(".", ","), items if generator.random() > 0.1 else "NA",
                "yes" if express else "no", size if generator.random() > 0.05 else "", f"city {city}",
                remark if generator.random() > 0.1 else "", ordered.strftime("%d.%m.%Y"),
                f"{generator.randint(6, 20):02}:{generator.randint(0, 59):02}", grade,
                f"{price:.2f}".replace(".", ","),
            )
        )  # fmt: skip
    return write_csv(path, header, rows, delimiter=";")


def flowers(path: Path) -> Path:
    """A multiclass table of four labels, one of them rare, with missing values and a choice."""
    generator = random.Random(2)
    centres = {"setosa": (5.0, 1.5), "versicolor": (6.0, 4.2), "virginica": (6.6, 5.6), "rara": (4.0, 7.0)}
    rows = []
    for number in range(ROWS):
        species = generator.choice(("setosa", "versicolor", "virginica")) if number % 25 else "rara"
        length, width = centres[species]
        rows.append(
            (
                number + 1,
                round(generator.gauss(length, 0.3), 1),
                round(generator.gauss(width, 0.4), 1) if generator.random() > 0.1 else "",
                generator.choice(("north", "south", "west")),
                species,
            )
        )
    return write_csv(path, ("", "Sepal.Length", "Petal.Length", "slope", "Species"), rows)


def tiny(path: Path) -> Path:
    """Twenty rows of a regression on one number."""
    generator = random.Random(3)
    rows = [(speed, round(3 * speed + generator.gauss(0, 4), 1)) for speed in range(4, 44, 2)]
    return write_csv(path, ("speed", "distance"), rows)


def words_only(path: Path) -> Path:
    """A binary table of choices alone, with a numeric target."""
    generator = random.Random(4)
    rows = []
    for _ in range(ROWS):
        sex, class_ = generator.choice(("male", "female")), generator.choice(("1st", "2nd", "3rd", "crew"))
        survived = generator.random() < (0.7 if sex == "female" else 0.2) + (0.1 if class_ == "1st" else 0)
        rows.append((sex, class_, generator.choice(("adult", "child")), int(survived)))
    return write_csv(path, ("Sex", "Class", "Age", "Survived"), rows)
