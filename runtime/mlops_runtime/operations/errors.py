"""Errors that every road to production has in common."""


class RoadError(RuntimeError):
    """The platform refuses a command, or cannot be reached."""


class AwayError(RoadError):
    """The platform has not refused anything: it cannot be asked now, or somebody else was faster.

    Nothing is undone then: the next command goes on from the state that this one leaves.
    """


class RolloutError(RuntimeError):
    """The replicas of a release do not become ready, or do not predict what they should."""


class LockError(RuntimeError):
    """Somebody else holds the lock, or has taken it over."""


class DeployError(RuntimeError):
    """A release was not deployed; the message says what runs now and what to do."""


class InterruptedRolloutError(RuntimeError):
    """Somebody asked this process to stop."""


class ManifestError(RuntimeError):
    """A value that the manifests need is missing or cannot be used."""
