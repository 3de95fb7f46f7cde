"""The dashboard, a client of the service: values to try, tables, the model card, drift. `make dashboard` opens it."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st
from mlops_runtime.dashboard import Client, ClientError, DriftHistory, Input, inputs_of

TITLE = "{{cookiecutter.project_name}}"
MAX_BARS = 12
DRIFTED = 0.25
"""Index above which records differ from the training rows; see docs/monitoring.md."""

CLIENT = Client.from_environment()


@st.cache_data(ttl=60, show_spinner=False)
def inputs() -> list[Input]:
    """Return the inputs that the contract of the service asks for."""
    return inputs_of(CLIENT.description())


@st.cache_resource
def history() -> DriftHistory:
    """Return the samples of the drift, one a minute since the dashboard has started."""
    return DriftHistory(CLIENT.metrics).start()


def ask(field: Input) -> Any:
    """Show an input for a field, and return its value."""
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
            low, high, step = kind(field.low), kind(field.high), kind(field.step)
            value = low if field.value is None else kind(field.value)
            return st.slider(name, low, high, value, step, help=help_text, key=key)
        case "choice" | "boolean":
            choices = list(field.choices or (True, False))
            index = choices.index(field.value) if field.value in choices else None
            labels = {True: "yes", False: "no"} if field.kind == "boolean" else {}
            return st.selectbox(
                name, choices, index, format_func=lambda value: labels.get(value, str(value)), help=help_text, key=key,
                placeholder="not known",
            )  # fmt: skip
        case "date":
            day = date.fromisoformat(field.value) if field.value else None
            bounds = {"min_value": date(1900, 1, 1), "max_value": date(2199, 12, 31)}
            chosen = st.date_input(name, day, **bounds, help=help_text, key=key)
            return chosen.isoformat() if isinstance(chosen, date) else None
        case _:
            return st.text_input(name, field.value or "", help=help_text, key=key) or None


def show_what_if() -> None:
    """Show an input for each field, and the prediction with its explanation."""
    left, right = st.columns(2, gap="large")
    with left:
        record = {field.name: ask(field) for field in inputs()}
    with right:
        answer = CLIENT.explain({name: value for name, value in record.items() if value is not None})
        prediction = answer["prediction"]
        if "label" in prediction:
            st.metric("Prediction", str(prediction["label"]))
            probabilities = pd.Series(prediction["probabilities"], name="probability")
            st.bar_chart(probabilities, horizontal=True, height=80 + 30 * len(probabilities), x_label="probability")
        else:
            st.metric("Prediction", f"{prediction['value']:.4g}")
            st.caption(f"Interval: {prediction['low']:.4g} to {prediction['high']:.4g}")
        for warning in prediction["warnings"]:
            st.warning(warning)
        st.subheader("What drives it")
        parts = answer["contributions"][:MAX_BARS]
        names = [part["fields"][0] if len(part["fields"]) == 1 else f"{len(part['fields'])} others" for part in parts]
        amounts = pd.DataFrame({"field": names, "contribution": [part["amount"] for part in parts]})
        st.bar_chart(amounts, x="field", y="contribution", horizontal=True, sort=False)
        st.caption(
            f"From {answer['mean']:.3g}, the mean over reference records, to {answer['output']:.3g} for this one. "
            "Shapley values describe the model, not causes."
        )


def show_table() -> None:
    """Take a table, score it with progress, and offer the result for download."""
    file = st.file_uploader("A table: CSV, JSON or JSON Lines, with the names of the fields in its first row")
    if file is None:
        return
    bar, lines, faults, last = st.progress(0.0, "Reading"), [], [], {"rows": 0, "faulty": 0, "problem": ""}
    for last in CLIENT.score(file.name, file.getvalue()):
        lines.append(last["csv"])
        faults += last["faults"]
        bar.progress(last["progress"], f"{last['rows']:,} rows")
    bar.empty()
    if last["problem"]:
        st.error(last["problem"])
    st.success(f"{last['rows'] - last['faulty']:,} of {last['rows']:,} rows have a prediction.")
    if faults:
        st.dataframe(pd.DataFrame(faults[:100], columns=["row", "fault"]), hide_index=True)
    name = f"{file.name.rpartition('.')[0] or file.name}-predictions.csv"
    st.download_button("Download the table with predictions", "".join(lines), name, "text/csv")


def show_model_card() -> None:
    """Show the release, and the report of its training."""
    release = CLIENT.release()
    model = release["model"]
    st.caption(f"Release {release['version']}: {model['estimator']}, trained on {model['trained_at'][:10]}")
    st.iframe(CLIENT.report(), height=1200)


@st.fragment(run_every=60)
def show_drift() -> None:
    """Show how much the records of the last day differ from the training rows."""
    latest = history().sample()
    st.metric("Records of the last day", f"{latest.records:,}")
    if not latest.index:
        st.info("No index yet: the service has counted too few records to tell drift from chance.")
        return
    samples = pd.DataFrame([sample.index for sample in history().samples()])
    samples.index = pd.Index([sample.time for sample in history().samples()], name="time")
    st.line_chart(samples, y_label="population stability index")
    current = pd.Series(latest.index, name="index").sort_values(ascending=False)
    st.dataframe(current)
    for name in current.index[current > DRIFTED]:
        st.warning(f"{name} differs from the training rows.")


PAGES: dict[str, Callable[[], None]] = {
    "What if": show_what_if, "Table": show_table, "Model card": show_model_card, "Drift": show_drift,
}  # fmt: skip

st.set_page_config(page_title=TITLE, layout="wide")
st.title(TITLE)
page = st.segmented_control("Page", list(PAGES), default="What if", label_visibility="collapsed", required=True)
try:
    PAGES[page]()
except ClientError as error:
    st.error(str(error))
