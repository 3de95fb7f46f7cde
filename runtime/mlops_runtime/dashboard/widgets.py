"""Streamlit's widgets for the fields of a record, its prediction, a scored table, and drift."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import streamlit as st

from mlops_runtime.dashboard.client import Client, ClientError, Scored
from mlops_runtime.dashboard.drift import Drift, DriftHistory, drift_of
from mlops_runtime.dashboard.inputs import Input

MAX_BARS, MAX_LINES, MAX_FAULTS = 12, 8, 100
DRIFTED = 0.25
"""Index above which records differ from the training rows, by the usual rule of thumb for a stability index."""
MIN_DATE, MAX_DATE = date(1900, 1, 1), date(2199, 12, 31)


def ask(field: Input) -> Any:
    """Show an input for a field, and return its value; None if it is not known."""
    name, key = field.name, f"field {field.name}"
    help_text = field.description or None
    match field.kind:
        case "number" | "integer":
            if field.optional and not st.checkbox(f"{name} is known", field.value is not None, key=f"known {name}"):
                return None
            kind: type = int if field.kind == "integer" else float
            if field.low is None or field.high is None:
                value: Any = st.number_input(name, value=kind(field.value or 0), help=help_text, key=key)
                return value
            start, end, step = kind(field.low), kind(field.high), kind(field.step)
            value = start if field.value is None else kind(field.value)
            return st.slider(name, start, end, value, step, key=key, help=help_text)
        case "choice" | "boolean":
            choices = [*(field.choices or (True, False)), *([None] if field.optional else [])]
            index = choices.index(field.value) if field.value in choices else None
            words = {None: "not known"} | ({True: "yes", False: "no"} if field.kind == "boolean" else {})
            format_func = partial(_in_words, words)
            return st.selectbox(name, choices, index, format_func=format_func, key=key, help=help_text)
        case "date":
            day = date.fromisoformat(field.value) if field.value else None
            low, high = min(day or MIN_DATE, MIN_DATE), max(day or MAX_DATE, MAX_DATE)
            chosen = st.date_input(name, day, low, high, key=key, help=help_text)
            return chosen.isoformat() if isinstance(chosen, date) else None
        case _:
            return st.text_input(name, field.value or "", help=help_text, key=key) or None


def show_prediction(prediction: Mapping[str, Any]) -> None:
    """Show a prediction: its label with the probabilities, or its value with the interval; and its warnings."""
    if "label" in prediction:
        st.metric("Prediction", str(prediction["label"]))
        for label, share in sorted(prediction["probabilities"].items(), key=lambda item: -item[1])[:MAX_BARS]:
            st.progress(share, f"{label}: {share:.1%}")
    else:
        st.metric("Prediction", readable(prediction["value"]))
        st.caption(f"Interval: {readable(prediction['low'])} to {readable(prediction['high'])}")
    for warning in prediction["warnings"]:
        st.warning(warning)


def show_contributions(explanation: Mapping[str, Any]) -> None:
    """Show the contribution of each field to a prediction, as the service explains it."""
    parts = explanation["contributions"][:MAX_BARS]
    names = [part["fields"][0] if len(part["fields"]) == 1 else f"{len(part['fields'])} others" for part in parts]
    amounts = {"field": names, "contribution": [part["amount"] for part in parts]}
    st.bar_chart(amounts, x="field", y="contribution", horizontal=True, sort=False)
    mean, output = readable(explanation["mean"]), readable(explanation["output"])
    st.caption(
        f"From {mean}, the mean over reference records, to {output} for this one. "
        "Shapley values describe the model, not causes."
    )


def show_scored(name: str, parts: Iterable[Scored]) -> None:
    """Show the progress while a table is scored, then the faulty rows and a button to download the result.

    Args:
        name: of the file.
        parts: of the scored table, as they arrive; at least one.
    """
    bar, lines = st.empty(), []
    faults: list[dict[str, Any]] = []
    for part in parts:
        lines.append(part.csv)
        faults += [{"row": row, "fault": fault} for row, fault in part.faults[: MAX_FAULTS - len(faults)]]
        bar.progress(part.progress, f"{part.rows:,} rows")
    bar.empty()
    if part.problem:
        st.error(part.problem)
    st.success(f"{part.rows - part.faulty:,} of {part.rows:,} rows have a prediction.")
    if faults:
        st.dataframe(faults, hide_index=True)
    result = f"{name.rpartition('.')[0] or name}-predictions.csv"
    st.download_button("Download the table with predictions", "".join(lines), result, "text/csv")


@st.fragment(run_every=60)
def show_drift(client: Client, history: DriftHistory) -> None:
    """Show how much the records of the last day differ from the training rows, anew each minute.

    Args:
        client: of the service.
        history: of its drift so far.
    """
    try:
        latest = drift_of(client.metrics())
    except ClientError as error:
        st.error(str(error))
        return
    st.metric("Records of the last day", f"{latest.records:,}")
    show_index([*history.samples(), latest])


def show_index(samples: Sequence[Drift]) -> None:
    """Show the latest index of each field, its course, and which fields differ from the training rows.

    Args:
        samples: oldest first; at least one.
    """
    latest = samples[-1]
    if not latest.index:
        st.info("No index yet: the service has counted too few records to tell drift from chance.")
        return
    show_lines(samples)
    ranked = sorted(latest.index.items(), key=lambda item: -item[1])
    st.dataframe([{"field": field, "index": index} for field, index in ranked], hide_index=True)
    for field, index in ranked:
        if index > DRIFTED:
            st.warning(f"{field} differs from the training rows.")


def show_lines(samples: Sequence[Drift]) -> None:
    """Show the index over time, of the fields that differ most.

    Args:
        samples: oldest first; at least one.
    """
    latest = samples[-1].index
    fields = sorted(latest, key=lambda name: -latest[name])[:MAX_LINES]
    rows = [
        {"time": sample.time.isoformat(), "field": name, "index": sample.index[name]}
        for sample in samples
        for name in fields
        if name in sample.index
    ]
    # Below the chart and one below the other, long names have room on a phone.
    legend = {"orient": "bottom", "columns": 1, "labelLimit": 280, "rowPadding": 2, "symbolType": "stroke"}
    st.vega_lite_chart(
        rows,
        {
            "height": 460,
            "mark": {"type": "line", "point": len(samples) == 1},
            "encoding": {
                "x": {"field": "time", "type": "temporal", "title": None},
                "y": {"field": "index", "type": "quantitative", "title": "stability index"},
                "color": {"field": "field", "type": "nominal", "title": None, "sort": fields, "legend": legend},
            },
        },
    )


def readable(value: float) -> str:
    """Return a number with four significant digits, but with all digits before the point."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def _in_words(words: Mapping[Any, str], value: Any) -> str:
    return words.get(value, str(value))
