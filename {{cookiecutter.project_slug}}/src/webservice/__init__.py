"""The web-service: run it with `make serve`."""
