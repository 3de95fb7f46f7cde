"""Synthetic data: orders with a field of each kind, and a contract for each task."""

import csv
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlops_runtime.contract import (
    Category,
    Contract,
    DateFormat,
    ExpectedRange,
    Features,
    Integer,
    LabelPrediction,
    Layout,
    RecordModel,
    Task,
    Text,
    ValuePrediction,
    field_specs,
)

DATE_FORMAT = "%d/%m/%Y"
"""Format of the dates in the table."""


class Size(StrEnum):
    """Values of Size."""

    LARGE = "large"
    MEDIUM = "medium, or so"
    SMALL = "small"


class Order(RecordModel):
    """An order."""

    weight: Annotated[float, ExpectedRange(-3, 41.5)] = Field(
        alias="Weight (kg)", ge=0, le=1000, description="Of the parcel"
    )
    margin: float | None = Field(default=None, alias="Margin %", description="Of the shop")
    items: Annotated[Integer, ExpectedRange(0, 14)] | None = Field(
        default=None, alias="Items", description="In the parcel"
    )
    express: bool = Field(alias="Express", description="Whether it was urgent")
    insured: bool | None = Field(default=None, alias="Insured", description="Whether it was insured")
    size: Size | None = Field(default=None, alias="Size", description="Of the parcel")
    courier: Category = Field(alias="Courier", description="Few values")
    city: Category | None = Field(default=None, alias="City", description="Many values")
    remark: Text | None = Field(default=None, alias="Remark", description="Of the customer")
    ordered: Annotated[date, DateFormat(DATE_FORMAT)] = Field(alias="Ordered", description="Day of the order")
    paid: datetime | None = Field(default=None, alias="Paid at", description="When the money came")
    slot: time = Field(alias="Slot", description="When it was brought")


class Fate(StrEnum):
    """Two labels."""

    KEPT = "kept"
    RETURNED = "returned"


class Route(StrEnum):
    """Four labels; the first is rare."""

    AIR = "air"
    RAIL = "rail"
    ROAD = "road"
    SEA = "sea"


class FatePrediction(LabelPrediction):
    """A prediction of a fate."""

    label: Fate


class RoutePrediction(LabelPrediction):
    """A prediction of a route."""

    label: Route


FIELDS = field_specs(Order)
LAYOUT = Layout(FIELDS)
TARGET = {Task.BINARY: "Fate", Task.MULTICLASS: "Route", Task.REGRESSION: "Price paid"}
LABELS: dict[Task, tuple[str, ...]] = {Task.BINARY: tuple(Fate), Task.MULTICLASS: tuple(Route), Task.REGRESSION: ()}
TASKS = tuple(TARGET)
"""Tasks that have a target among the columns."""
PREDICTIONS: dict[Task, type[LabelPrediction] | type[ValuePrediction]] = {
    Task.BINARY: FatePrediction,
    Task.MULTICLASS: RoutePrediction,
    Task.REGRESSION: ValuePrediction,
}
CONTRACTS = {task: Contract(Order, PREDICTIONS[task], task, TARGET[task]) for task in TASKS}
"""The contract for each task."""

COURIERS = ("Bolt & Co.", "Eilpost", "Möwe")
CITIES = tuple(f"city {number}" for number in range(40))
WORDS = ("fragile", "urgent", "ring twice", "über den Hof", "please", "leave it")


def some_orders(count: int, seed: int = 0) -> list[Order]:
    """Return random orders; about a tenth of the optional values is missing."""
    generator = np.random.default_rng(seed)

    def optional(value: Any) -> Any:
        return None if generator.random() < 0.1 else value

    def order() -> Order:
        day = date(2020, 1, 1) + timedelta(days=int(generator.integers(2000)))
        slot = time(int(generator.integers(8, 20)), int(generator.integers(60)))
        words = generator.choice(WORDS, size=generator.integers(1, 5))
        return Order.model_validate(
            {
                "Weight (kg)": round(generator.exponential(6), 2),
                "Margin %": optional(round(generator.normal(), 2)),
                "Items": optional(float(generator.integers(1, 12))),
                "Express": bool(generator.random() < 0.3),
                "Insured": optional(bool(generator.random() < 0.5)),
                "Size": optional(list(Size)[generator.integers(3)]),
                "Courier": str(generator.choice(COURIERS)),
                "City": optional(str(generator.choice(CITIES))),
                "Remark": optional(" ".join(words)),
                "Ordered": day,
                "Paid at": optional(datetime.combine(day, slot)),
                "Slot": slot,
            }
        )

    return [order() for _ in range(count)]


def targets(orders: Sequence[Order], task: Task, seed: int = 0) -> NDArray[Any]:
    """Return the target, shape (orders,): indices of labels, or prices with noise that grows with the price."""
    generator = np.random.default_rng(seed)
    price = np.array(
        [
            5 + 3 * order.weight + 10 * order.express + 4 * (order.size is Size.LARGE)
            + 8 * (order.city in CITIES[:10]) + 6 * ("fragile" in (order.remark or "")) + order.slot.hour / 4
            for order in orders
        ]
    )  # fmt: skip
    price *= generator.normal(1, 0.1, len(orders))
    match task:
        case Task.REGRESSION:
            return np.asarray(price)
        case Task.BINARY:
            return np.asarray(price > np.quantile(price, 0.7), dtype=np.intp)
        case Task.MULTICLASS:
            return np.asarray(np.searchsorted(np.quantile(price, [0.04, 0.3, 0.6]), price), dtype=np.intp)
        case _:
            raise ValueError(f"orders have no target for the task {task}")


def features(count: int, seed: int = 0) -> Features:
    """Return random orders as arrays."""
    return LAYOUT.encode(some_orders(count, seed))


def cells(order: Order) -> list[str]:
    """Return an order as a row of the table."""
    return [_cell(value) for value in vars(order).values()]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(" ")
        case date():
            return value.strftime(DATE_FORMAT)
        case time():
            return value.isoformat()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def rows_of_table(count: int, task: Task, seed: int = 0) -> list[list[str]]:
    """Return a table of random orders with a header; the last column is the target."""
    orders = some_orders(count, seed)
    labels = LABELS[task]
    target_cells = [str(labels[value]) if labels else f"{value:.2f}" for value in targets(orders, task, seed).tolist()]
    header = [*(field.name for field in FIELDS), TARGET[task]]
    return [header, *([*cells(order), target] for order, target in zip(orders, target_cells, strict=True))]


def write_table(path: Path, rows: Sequence[Sequence[str]], delimiter: str = ",") -> Path:
    """Write a table to a file and return the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return path
