"""The running service, as the system tests start it."""

from tests.system.conftest import artefact, classifier, service, start_service

__all__ = ["artefact", "classifier", "service", "start_service"]
