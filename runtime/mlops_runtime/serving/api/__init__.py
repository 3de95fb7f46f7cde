"""The HTTP API: predictions, formats, errors, OpenAPI."""
