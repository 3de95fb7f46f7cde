"""The interface for programs: predictions, formats, OpenAPI."""
