"""The distributed model: its contract, its artefact and the classifier that loads it."""

import os

# ONNX Runtime 1.29 and later reports usage to its vendor unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
