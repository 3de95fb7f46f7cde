"""The web-service: predictions over HTTP, a form for people, and what a cluster asks of a service."""
