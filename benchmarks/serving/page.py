"""docs/serving.md: the results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import figures
from catalogue import FLOOR, IN_TURNS, SERVERS, SERVICE, SETTINGS
from clients import ANSWER_TIMEOUT, REFUSED, RIGHT, UNANSWERED, WRONG
from figures import Figure, Round

HERE = Path(__file__).resolve().parent
Results = Mapping[str, Any]
MB = 1e6
NOTHING = "–"
AT_16 = figures.rate("16")
WORTH_IT = 1.1
"""Minimum ratio of rates for which a setting is called better."""

MORE_WORKERS = (
    "A worker runs Python on one core at a time, so set `WORKERS` to the number of cores that the service may use: "
    "4 on a machine of 4 cores that runs nothing else. On Kubernetes keep one worker per pod and add pods. More than "
    "two workers were not measured: measure them with your load."
)
ONE_WORKER = (
    "With the load on the same cores a second worker is not faster here. On a machine with more cores try one worker "
    "per idle core, and measure it with your load: that was not measured here."
)


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of the service.

    Attributes:
        text: what.
        measured: the measured figure.
        met: whether a value reaches it.
        form: of the figure.
    """

    text: str
    measured: Figure | None
    met: Callable[[float], bool]
    form: str = ",.2f"

    def cells(self) -> list[str]:
        """Return the cells of the row."""
        if self.measured is None:
            return [self.text, "not measured", NOTHING]
        return [self.text, self.measured.text(self.form), "met" if self.met(self.measured.value) else "**not met**"]


def page(results: Results) -> str:
    """Return the page in Markdown."""
    measured = [server for server in SERVERS if results["rounds"][server.name]]
    titles = {server.name: server.title for server in SERVERS}
    parts = [
        (HERE / "introduction.md").read_text(),
        *surroundings(results),
        "",
        "## Goals",
        "",
        *goal_notes(),
        "",
        *table(("Goal", "Measured", ""), [goal.cells() for goal in goals(results)]),
        "",
        "## Requests",
        "",
        "Correct responses per second; for batches of 1,000 records over 4 connections, rows per second.",
        "",
        *table(
            ("Server", "1 connection", "16 connections", "256 connections", "batches"),
            [[server.title, *rate_cells(results["rounds"][server.name])] for server in measured],
        ),
        "",
        *failures(results),
        "Rate of this service divided by that of the others:",
        "",
        *table(
            ("To", "1 connection", "16 connections", "256 connections", "batches"),
            [
                [server.title, *ratio_cells(results["rounds"], server.name)]
                for server in measured
                if server.name != SERVICE
            ],
        ),
        "",
        "Alternating load, at 16 connections: these servers run at the same time, and each is under load for 50 ms in "
        "turn. Other programs on the machine slow all of them equally, so these ratios vary least. At the start of a "
        "turn the processor's caches hold data of the other servers.",
        "",
        *table(
            ("Server", "Requests per second", "This service divided by it"),
            [[titles[name], *turn_cells(results["turns"], name)] for name in IN_TURNS],
        ),
        "",
        "## Latency",
        "",
        "Median and 99th percentile in milliseconds, as measured by wrk.",
        "",
        *table(
            ("Server", "1: p50", "1: p99", "16: p50", "16: p99", "256: p50", "256: p99"),
            [[server.title, *latency_cells(results["rounds"][server.name])] for server in measured],
        ),
        "",
        "## Unanswered requests",
        "",
        *client_notes(),
        "",
        *table(
            ("Server", "Connections", "Correct", "Refused (429, 503)", "Wrong", "Unanswered"),
            [row for server in measured for row in client_rows(server.title, results["rounds"][server.name])],
        ),
        "",
        "## Start, memory, size",
        "",
        *weight_notes(results),
        "",
        *table(
            ("Server", "Start, s", "Processes", "Main, MB", "Worker, MB", "Worker RSS, MB", "All, MB",
             "Processor time per request, µs", "Environment, MB"),
            [[server.title, *weight_cells(results, server.name)] for server in measured],
        ),
        "",
        "## Threads and workers",
        "",
        *setting_notes(),
        "",
        *table(
            ("Setting", "16 connections", "256 connections", "batches", "16: p99, ms"),
            [[setting.title, *setting_cells(results["rounds"][setting.name])] for setting in SETTINGS],
        ),
        "",
        *advice(results),
        "",
        "## Compared servers",
        "",
        *table(
            ("Server", "Versions", "Features"),
            [[server.title, version_cell(results["examined"][server.name]), server.does] for server in SERVERS],
        ),
        "",
        *variants(results),
        "## Method",
        "",
        (HERE / "method.md").read_text().rstrip().replace("SECONDS", str(results["seconds"])),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; columns after the first are aligned right, unless their texts are long."""
    kinds = [
        ":---" if index == 0 or any(len(row[index]) > 60 for row in rows) else "---:" for index in range(len(names))
    ]
    return [f"| {' | '.join(cells)} |" for cells in (names, kinds, *rows)]


def goals(results: Results) -> list[Goal]:
    """Return the goals with their results."""
    rounds = results["rounds"]
    service = rounds[SERVICE]
    turns = results["turns"]

    def against(name: str, measure: figures.Measure = AT_16) -> Figure | None:
        return figures.ratio(service, rounds[name], measure)

    def at_least(bound: float) -> Callable[[float], bool]:
        return lambda value: value >= bound

    return [
        Goal(
            "at 16 connections, alternating load, at least 0.6 of raw WSGI with the model",
            in_turns(turns, FLOOR),
            at_least(0.6),
        ),
        Goal(
            "at 16 connections, alternating load, at least 2.2 times FastAPI",
            in_turns(turns, "fastapi"),
            at_least(2.2),
        ),
        Goal("at 16 connections at least 15 times BentoML", against("bentoml"), at_least(15), ",.1f"),
        Goal("at 16 connections at least 15 times MLServer", against("mlserver"), at_least(15), ",.1f"),
        Goal(
            "at 16 connections at least 60 times mlflow, scikit-learn", against("mlflow-sklearn"), at_least(60), ",.0f"
        ),
        Goal("at 16 connections at least 60 times mlflow, ONNX", against("mlflow-onnx"), at_least(60), ",.0f"),
        Goal("batches of 1,000: at least raw WSGI's rate", against(FLOOR, figures.rows), at_least(1)),
        Goal(
            "p99 at 16 connections divided by FastAPI's: at most 1",
            against("fastapi", figures.percentile("16", "p99")),
            lambda value: value <= 1,
        ),
        Goal(
            "start to first correct response under 0.8 s", figures.of(service, figures.start), lambda value: value < 0.8
        ),
        Goal("under 90 MB a worker (PSS)", figures.of(service, figures.worker_memory), lambda value: value < 90, ".0f"),
        Goal(
            "unanswered requests at 256 connections: 0",
            figures.figure(
                sum(kind.get(UNANSWERED, 0) for kind in one["clients"].values()) for one in service if "clients" in one
            ),
            lambda value: value == 0,
            ",.0f",
        ),
    ]


def goal_notes() -> list[str]:
    """Return the text on the goals."""
    return [
        "One worker each. A ratio compares both servers in the same round, minutes apart; the table "
        "shows the median of the rounds, with minimum and maximum. Alternating load is described below. "
        "If a server has several variants, the fastest is compared."
    ]


def surroundings(results: Results) -> list[str]:
    """Return the lines on the machine, the rounds and the load of other programs."""
    machine = results["machine"]
    rounds = [one for name in (server.name for server in SERVERS) for one in results["rounds"][name]]
    busy = figures.of(rounds, lambda one: one["busy"] * 100)
    count = max(len(results["rounds"][server.name]) for server in SERVERS)
    quiet = (
        f" Before a server was started, other programs used {busy.text('.0f')} % of the processor time." if busy else ""
    )
    rounds_made = "One round" if count == 1 else f"{count} rounds"
    return [
        f"{machine['day']}, on {machine['cores']} cores ({machine['model']}), {machine['memory'] / 1e9:.0f} GB, "
        f"Linux {machine['kernel']}, shared by server and load. {rounds_made} over all servers; figures are medians, "
        f"with minimum and maximum in brackets.{quiet}"
    ]


def cell(measured: Figure | None, form: str = ",.0f") -> str:
    """Return a figure as a cell."""
    return measured.text(form) if measured else NOTHING


def rate_cells(rounds: Sequence[Round]) -> list[str]:
    """Return requests and rows per second."""
    return [*(cell(figures.of(rounds, figures.rate(load))) for load in ("1", "16", "256")),
            cell(figures.of(rounds, figures.rows))]  # fmt: skip


def ratio_cells(rounds: Mapping[str, Sequence[Round]], other: str) -> list[str]:
    """Return the rates of this service divided by those of another."""
    measures = (*(figures.rate(load) for load in ("1", "16", "256")), figures.rows)
    return [cell(figures.ratio(rounds[SERVICE], rounds[other], measure), ",.2f") for measure in measures]


def in_turns(turns: Sequence[Mapping[str, float]], name: str) -> Figure | None:
    """Return the rate of this service divided by that of another, under alternating load."""
    return figures.figure(one[SERVICE] / one[name] for one in turns if {SERVICE, name} <= one.keys())


def turn_cells(turns: Sequence[Mapping[str, float]], name: str) -> list[str]:
    """Return the rate of a server under alternating load, and its ratio to that of this service."""
    rates = figures.figure(one[name] for one in turns if name in one)
    return [cell(rates), cell(in_turns(turns, name), ",.2f")]


def latency_cells(rounds: Sequence[Round]) -> list[str]:
    """Return the latencies in milliseconds."""
    return [
        cell(figures.of(rounds, figures.percentile(load, name)), ",.2f")
        for load in ("1", "16", "256")
        for name in ("p50", "p99")
    ]


def setting_cells(rounds: Sequence[Round]) -> list[str]:
    """Return the results of a setting."""
    return [
        cell(figures.of(rounds, figures.rate("16"))),
        cell(figures.of(rounds, figures.rate("256"))),
        cell(figures.of(rounds, figures.rows)),
        cell(figures.of(rounds, figures.percentile("16", "p99")), ",.2f"),
    ]


def client_notes() -> list[str]:
    """Return the text on the outcomes of requests."""
    return [
        "256 clients at the same time, for 3 seconds over persistent connections, then for 3 seconds with a "
        "connection for each request. Each request must get a complete and correct response within "
        f"{ANSWER_TIMEOUT:.0f} seconds from the start of its connection or, over an open connection, of the request. "
        "Measured once for each server. The clients share the two cores, so the counts do not measure speed."
    ]


def client_rows(title: str, rounds: Sequence[Round]) -> list[list[str]]:
    """Return the outcomes of the requests of clients."""
    counted: Mapping[str, Mapping[str, int]] = next((one["clients"] for one in rounds if "clients" in one), {})
    names = {"kept": "kept", "new": "new for each request"}
    return [
        [title, names[kind], *(f"{counts.get(outcome, 0):,}" for outcome in (RIGHT, REFUSED, WRONG, UNANSWERED))]
        for kind, counts in counted.items()
    ]


def weight_notes(results: Results) -> list[str]:
    """Return the text on memory and size."""
    image = results["image"]
    of_image = f" The image of this service has {image / MB:.0f} MB." if image else ""
    return [
        "Start is the time from the start of the command to the first correct response, with all files in the page "
        "cache. Memory is measured after the load: PSS, in which a page shared by several processes is divided "
        "among them. The worker is the largest process other than the main process, or the main process without "
        "others. Processor time covers all processes of the server, at 16 connections. The environment is what pip "
        f"installs to serve, without the interpreter and the model.{of_image} "
        "No images of the other servers were built."
    ]


def weight_cells(results: Results, name: str) -> list[str]:
    """Return start, memory and size."""
    rounds = results["rounds"][name]
    measures: tuple[tuple[figures.Measure, str], ...] = (
        (figures.start, ",.2f"),
        (figures.processes, ".0f"),
        (figures.main_memory, ",.0f"),
        (figures.worker_memory, ",.0f"),
        (lambda one: figures.worker_memory(one, "rss"), ",.0f"),
        (figures.whole_memory, ",.0f"),
        (figures.processor_time, ",.0f"),
    )
    cells = [cell(figures.of(rounds, measure), form) for measure, form in measures]
    return [*cells, f"{results['examined'][name]['size'] / MB:,.0f}"]


def setting_notes() -> list[str]:
    """Return the text on the settings."""
    return [
        "This service with one setting changed, and the floor with a session of ONNX Runtime that uses more threads "
        "for one prediction. Requests per second, and rows per second in batches. The defaults are `THREADS=1`, "
        "`WORKERS=1` and one intra-op thread."
    ]


def advice(results: Results) -> list[str]:
    """Return the conclusions for other machines."""
    rounds = results["rounds"]

    def compared(one: str, other: str, measure: figures.Measure) -> Figure | None:
        return figures.ratio(rounds[one], rounds[other], measure)

    lines = []
    scaling = [compared("workers-2", "workers-1", figures.rate(load)) for load in ("16", "256")]
    if scaling[0] and scaling[1]:
        lines.append(
            f"- **Workers.** Two give {scaling[0].text('.2f')} times the rate of one at 16 connections and "
            f"{scaling[1].text('.2f')} times at 256, on {results['machine']['cores']} cores shared with wrk. "
            + (MORE_WORKERS if max(one.value for one in scaling if one) >= WORTH_IT else ONE_WORKER)
        )
    inside = [compared("intra-op-2", "intra-op-1", measure) for measure in (AT_16, figures.rows)]
    if inside[0] and inside[1]:
        better = max(one.value for one in inside if one) >= WORTH_IT
        lines.append(
            f"- **Threads inside a prediction.** A second one gives {inside[0].text('.2f')} times the rate at 16 "
            f"connections and {inside[1].text('.2f')} times in batches. "
            + ("The default of one is not the fastest here." if better else "One is enough.")
        )
    names = [setting.name for setting in SETTINGS if setting.name.startswith("threads-") and setting.environment]
    parts = []
    for where, measure in (("at 16 connections", AT_16), ("at 256", figures.rate("256")), ("in batches", figures.rows)):
        measured = [one for name in names if (one := compared(name, "threads-1", measure))]
        if measured:
            parts.append(
                f"{min(one.value for one in measured):.2f} to {max(one.value for one in measured):.2f} times {where}"
            )
    if parts:
        lines.append(f"- **`THREADS`.** Other values give {', '.join(parts)} the rate of the default.")
    return lines


def failures(results: Results) -> list[str]:
    """Return the servers without measurements, with reasons."""
    measured = [(server.title, results["examined"][server.name]["failure"]) for server in SERVERS]
    lines = [f"- {title}: not measured, {one_line(failure)}" for title, failure in measured if failure]
    return [*lines, ""] if lines else []


def variants(results: Results) -> list[str]:
    """Return the variants of servers, and the measured variant."""
    lines = []
    for server in SERVERS:
        examined = results["examined"][server.name]
        if len(server.variants) > 1 and not examined["failure"]:
            rates = [f"{name} {rate:,.0f}" for name, rate in examined["rates"].items()]
            rates += [f"{name} failed ({one_line(text)})" for name, text in examined["failures"].items()]
            lines.append(f"- {server.title}: {', '.join(rates)}. Measured: {examined['variant']}.")
    rate = results["examined"][SERVICE]["rates"].get("", 0)
    title = "Variants of the servers, with requests per second in a short measurement at 16 connections"
    return [f"{title} (this service: {rate:,.0f}):", "", *lines, ""]


def version_cell(examined: Mapping[str, Any]) -> str:
    """Return the versions in an environment."""
    names = (name for name in examined.get("versions", {}) if name != "python")
    return ", ".join(f"{name} {examined['versions'][name]}" for name in names) or NOTHING


def one_line(text: str) -> str:
    """Return a text for a cell."""
    return " ".join(text.split()).replace("|", "\\|")[:300]
