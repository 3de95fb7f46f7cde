"""The trainer: run it with `make train`."""
