"""API keys: who may ask, and under which name.

A caller shows a key as `Authorization: Bearer KEY`. A browser asks a person for a name and a
password (`Authorization: Basic`): the key is the password, under any name. The service knows
only the SHA-256 of each key: a folder holds a file for each caller, as a mounted Kubernetes
Secret looks, and whoever reads the folder cannot call the service. A slow hash, as for
passwords, would protect nothing more: a key has 256 random bits, which nobody guesses at any
speed, and each request would pay for it.

There is one key more, the operator's: made anew at each start, in a file that only the service's
user reads. Whoever may run a command inside the pod can check what it serves, without a caller's
key.
"""

import base64
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from mlops_runtime.serving.api.problems import problem_response
from mlops_runtime.serving.settings import OPERATOR, SettingsError
from mlops_runtime.serving.telemetry.logs import CALLER_KEY, PROBES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CHECK_INTERVAL = 5.0
"""Seconds for which the keys are taken to be as they were read."""
MAX_LENGTH = 512
"""Characters of an `Authorization` header that are looked at."""
OF_USER = stat.S_IRUSR | stat.S_IWUSR
OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
HASH = re.compile(r"[0-9a-f]{64}")
REALM = "API key"
"""What a key is for, in words that a client may show; Werkzeug puts a text with a space into the quotes it needs."""

logger = logging.getLogger("webservice")


def refusal(detail: str, **reason: str) -> "WSGIApplication":
    """Return the answer to a request without a valid key, which tells a browser to ask for one."""
    challenges = [
        WWWAuthenticate("bearer", {"realm": REALM, **reason}),
        WWWAuthenticate("basic", {"realm": REALM, "charset": "UTF-8"}),
    ]
    return problem_response(Unauthorized(detail, www_authenticate=challenges))


NO_KEY = refusal(
    "This service needs an API key: send `Authorization: Bearer KEY`, or the key as the password of"
    " `Authorization: Basic`. Whoever runs the service makes one with `make key NAME=caller`."
)
WRONG_KEY = refusal(
    "The `Authorization` header holds no key that this service knows: is it whole, and was it not removed?",
    error="invalid_token",
)


class Keys:
    """The keys that callers may show, read again while the service runs."""

    def __init__(self, folder: Path, operator_key: Path) -> None:
        """Read the keys.

        Args:
            folder: holds a file for each caller: its name is the caller's, its content the hash of the key.
            operator_key: file with the operator's key; there need not be one.

        Raises:
            SettingsError: if no caller's key can be read. A service that wants keys never runs without them.
        """
        self._folder = folder
        self._operator_key = operator_key
        try:
            callers = hashes_in(folder)
            self._names = callers | hash_of_operator(operator_key)
        except OSError as error:
            raise SettingsError(f"API_KEYS={folder} cannot be read: {error}") from error
        if not callers:
            raise SettingsError(f"API_KEYS={folder} holds no key: make one with `make key NAME=caller`")
        self._checked = time.monotonic()

    def caller(self, header: str) -> str | None:
        """Return the name of the caller that shows a key in this `Authorization` header; None without a valid one."""
        key = shown_key(header)
        if key is None:
            return None
        now = time.monotonic()
        if now - self._checked > CHECK_INTERVAL:
            self._checked = now
            self._refresh()
        shown = hashlib.sha256(key).digest()
        caller = None
        # Each is compared, whichever fits: the time tells nothing of the keys.
        for known, name in self._names.items():
            if hmac.compare_digest(known, shown):
                caller = name
        return caller

    def _refresh(self) -> None:
        """Take the keys that are there now; keep those that were there, when they cannot be read."""
        try:
            names = hashes_in(self._folder) | hash_of_operator(self._operator_key)
        except OSError as error:
            logger.error("the API keys stay as they were: %s", error)
            return
        if names != self._names:
            logger.info("API keys: %s", ", ".join(sorted(names.values())) or "none, so nobody is let in")
        self._names = names


def hashes_in(folder: Path) -> dict[bytes, str]:
    """Return the name of each caller by the hash of its key.

    Kubernetes changes the files of a Secret all at once: it writes a new folder and lets the link
    `..data` lead there. Where there is one, it is followed once, so that all files are of one state.

    Raises:
        OSError: if the files cannot be read.
    """
    latest = folder / "..data"
    snapshot = folder / latest.readlink() if latest.is_symlink() else folder
    hashes = {}
    for path in sorted(snapshot.iterdir()):
        content = path.read_text(encoding="utf-8", errors="replace").strip()
        if HASH.fullmatch(content):
            hashes[bytes.fromhex(content)] = path.name
        else:
            # Never the content: it may be a key.
            logger.error("the API key %s is left out: its file must hold the SHA-256 of a key, in hex", path.name)
    return hashes


def hash_of_operator(path: Path) -> dict[bytes, str]:
    """Return the operator's name by the hash of its key; nothing without a file of this user alone.

    Raises:
        OSError: if the file cannot be read.
    """
    try:
        # A link might lead to a file that others know.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            state = os.fstat(file.fileno())
            key = file.read()
    except FileNotFoundError:
        return {}
    if state.st_uid != os.geteuid() or state.st_mode & OF_OTHERS:
        logger.error("the operator's key is left out: %s is not a file of this user alone", path)
        return {}
    return {hashlib.sha256(key).digest(): OPERATOR}


def put_operator_key(path: Path) -> None:
    """Write a new operator's key into a file of this user alone.

    Raises:
        OSError: if that is not possible, as when the file is another user's.
    """
    path.unlink(missing_ok=True)
    # Never into a file that is there: another user of the machine may have put it there.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OF_USER), "w") as file:
        file.write(secrets.token_urlsafe(32))


def shown_key(header: str) -> bytes | None:
    """Return the key in an `Authorization` header; None if there is none, or the header is malformed."""
    if len(header) > MAX_LENGTH:
        return None
    scheme, _, credentials = header.partition(" ")
    credentials = credentials.strip(" ")
    try:
        match scheme.lower():
            case "bearer":
                return credentials.encode("ascii") or None
            case "basic":
                return base64.b64decode(credentials, validate=True).partition(b":")[2] or None
    except ValueError:
        # Not ASCII, or not Base64.
        return None
    return None


def keyed(application: "WSGIApplication", keys: Keys) -> "WSGIApplication":
    """Return the application for those alone who show a key.

    Only the probes are open: a kubelet has no key. The release and the metrics are not: they tell of
    the model, and of what was asked for. Nor is a caller trusted for where the request comes from: a
    proxy beside the service, as of a service mesh, makes all of them come from this machine.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] not in PROBES:
            header = environ.get("HTTP_AUTHORIZATION", "")
            caller = keys.caller(header)
            if caller is None:
                refused = WRONG_KEY if header else NO_KEY
                return refused(environ, start_response)
            environ[CALLER_KEY] = caller
        return application(environ, start_response)

    return answer
