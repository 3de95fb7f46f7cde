"""The trainer: read, check, fit, evaluate, gate, export, report. Run it with `python -m trainer`."""
