"""What a dashboard needs of the service: a client of its API, inputs from its contract, and drift over time.

It needs the standard library alone, so that it serves any toolkit: Streamlit, Gradio, Dash. `widgets` is for Streamlit.
"""

from mlops_runtime.dashboard.client import Client, ClientError
from mlops_runtime.dashboard.drift import DriftHistory, drift_of, samples_in
from mlops_runtime.dashboard.inputs import Input, inputs_of

__all__ = ["Client", "ClientError", "DriftHistory", "Input", "drift_of", "inputs_of", "samples_in"]
