"""Streamlit's widgets for the fields of a record, and for its prediction."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import streamlit as st

from mlops_runtime.dashboard.drift import Drift
from mlops_runtime.dashboard.inputs import Input

MAX_BARS, MAX_LINES = 12, 8
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
