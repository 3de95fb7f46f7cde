"""The report on a training run: one HTML file."""
