"""The dashboard, a client of the service: values to try, tables, the model card, drift. `make dashboard` opens it."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st
from mlops_runtime.dashboard import Client, ClientError, DriftHistory, Input, inputs_of, samples_in
from mlops_runtime.dashboard.widgets import ask, show_contributions, show_drift, show_prediction, show_scored

TITLE = "{{cookiecutter.project_name}}"
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
        show_contributions(answer)


def show_table() -> None:
    """Take a table, score it with progress, and offer the result for download."""
    file = st.file_uploader("A table: CSV, JSON or JSON Lines, with the names of the fields in its first row")
    if file is not None:
        show_scored(file.name, CLIENT.score(file.name, file.getvalue()))


def show_model_card() -> None:
    """Show the release, and the report of its training."""
    release = CLIENT.release()
    model = release["model"]
    st.caption(f"Release {release['version']}: {model['estimator']}, trained on {model['trained_at'][:10]}")
    st.iframe(CLIENT.report(), height=1200)


PAGES: dict[str, Callable[[], None]] = {
    "What if": show_what_if,
    "Table": show_table,
    "Model card": show_model_card,
    "Drift": lambda: show_drift(CLIENT, history()),
}

st.set_page_config(page_title=TITLE, layout="wide")
st.title(TITLE)
page = st.segmented_control("Page", list(PAGES), default="What if", label_visibility="collapsed", required=True)
try:
    history()
    PAGES[page]()
except ClientError as error:
    st.error(str(error))
