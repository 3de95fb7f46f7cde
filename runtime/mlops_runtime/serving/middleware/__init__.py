"""WSGI middleware: access log, API keys, rate limits, and a shorter path to predictions."""
