"""The dashboard, a client of the service: values to try, tables, the model card, drift. `make dashboard` opens it."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st
from mlops_runtime.dashboard import Client, ClientError, DriftHistory, Input, drift_of, inputs_of, samples_in
from mlops_runtime.dashboard.widgets import ask, readable, show_lines, show_prediction

TITLE = "{{cookiecutter.project_name}}"
MAX_BARS, MAX_FAULTS = 12, 100
# Index above which records differ from the training rows: docs/monitoring.md.
DRIFTED = 0.25

CLIENT = Client.from_environment()


@st.cache_data(ttl=60, show_spinner=False)
def inputs() -> list[Input]:
    """Return the inputs that the contract of the service asks for."""
    return inputs_of(CLIENT.description())


@st.cache_resource
def history() -> DriftHistory:
    """Return the samples of the drift: those that `make download.drift` has fetched, then one a minute."""
    return DriftHistory(CLIENT.metrics, samples_in(Path("build/drift"))).start()


def show_what_if() -> None:
    """Show an input for each field, and the prediction with its explanation."""
    # On a phone, the first column is above the second one.
    result, form = st.columns(2, gap="large")
    with form:
        record = {field.name: ask(field) for field in inputs()}
    with result:
        answer = CLIENT.explain({name: value for name, value in record.items() if value is not None})
        show_prediction(answer["prediction"])
        st.subheader("What drives it")
        parts = answer["contributions"][:MAX_BARS]
        names = [part["fields"][0] if len(part["fields"]) == 1 else f"{len(part['fields'])} others" for part in parts]
        amounts = {"field": names, "contribution": [part["amount"] for part in parts]}
        st.bar_chart(amounts, x="field", y="contribution", horizontal=True, sort=False)
        st.caption(
            f"From {readable(answer['mean'])}, the mean over reference records, to {readable(answer['output'])} "
            "for this one. Shapley values describe the model, not causes."
        )


def show_table() -> None:
    """Take a table, score it with progress, and offer the result for download."""
    file = st.file_uploader("A table: CSV, JSON or JSON Lines, with the names of the fields in its first row")
    if file is None:
        return
    bar, parts = st.empty(), []
    for part in CLIENT.score(file.name, file.getvalue()):
        parts.append(part)
        bar.progress(part.progress, f"{part.rows:,} rows")
    bar.empty()
    if part.problem:
        st.error(part.problem)
    st.success(f"{part.rows - part.faulty:,} of {part.rows:,} rows have a prediction.")
    if faults := [{"row": row, "fault": fault} for part in parts for row, fault in part.faults]:
        st.dataframe(faults[:MAX_FAULTS], hide_index=True)
    name = f"{file.name.rpartition('.')[0] or file.name}-predictions.csv"
    st.download_button("Download the table with predictions", "".join(part.csv for part in parts), name, "text/csv")


def show_model_card() -> None:
    """Show the release, and the report of its training."""
    release = CLIENT.release()
    model = release["model"]
    st.caption(f"Release {release['version']}: {model['estimator']}, trained on {model['trained_at'][:10]}")
    st.iframe(CLIENT.report(), height=1200)


@st.fragment(run_every=60)
def show_drift() -> None:
    """Show how much the records of the last day differ from the training rows."""
    try:
        latest = drift_of(CLIENT.metrics())
    except ClientError as error:
        st.error(str(error))
        return
    st.metric("Records of the last day", f"{latest.records:,}")
    if not latest.index:
        st.info("No index yet: the service has counted too few records to tell drift from chance.")
        return
    show_lines([*history().samples(), latest])
    ranked = sorted(latest.index.items(), key=lambda item: -item[1])
    st.dataframe([{"field": name, "index": index} for name, index in ranked], hide_index=True)
    for name, index in ranked:
        if index > DRIFTED:
            st.warning(f"{name} differs from the training rows.")


PAGES: dict[str, Callable[[], None]] = {
    "What if": show_what_if, "Table": show_table, "Model card": show_model_card, "Drift": show_drift,
}  # fmt: skip

st.set_page_config(page_title=TITLE, layout="wide")
st.title(TITLE)
page = st.segmented_control("Page", list(PAGES), default="What if", label_visibility="collapsed", required=True)
try:
    history()
    PAGES[page]()
except ClientError as error:
    st.error(str(error))
