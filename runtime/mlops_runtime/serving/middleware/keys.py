"""API keys: authentication of callers.

A caller sends its key as `Authorization: Bearer KEY`, or as the password of `Authorization: Basic`, for which
browsers prompt. The service reads the SHA-256 of each key from a folder with one file per caller. It reads the
folder again every few seconds, so keys are added and removed without a restart.

The operator's key is generated at each start and kept in a file that only the user of the service can read.
With it, anyone who may run a command in the pod can verify the service without a caller's key.
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

from mlops_runtime.operator_key import OPERATOR
from mlops_runtime.serving.api.problems import problem_response
from mlops_runtime.serving.routes import route_of
from mlops_runtime.serving.settings import SettingsError
from mlops_runtime.serving.telemetry.logs import CALLER_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CHECK_INTERVAL = 5.0
"""Seconds after which the keys are read again."""
MAX_LENGTH = 512
"""Maximum number of characters of an `Authorization` header."""
USER_PERMISSIONS = stat.S_IRUSR | stat.S_IWUSR
OTHERS_PERMISSIONS = stat.S_IRWXG | stat.S_IRWXO
HASH = re.compile(r"[0-9a-f]{64}")
REALM = "API key"
"""Realm of the challenge, which a browser may show."""

logger = logging.getLogger("webservice")


def unauthorized(detail: str, **reason: str) -> "WSGIApplication":
    """Return the response to a request without a valid key; its challenge makes a browser prompt for one."""
    challenges = [
        WWWAuthenticate("bearer", {"realm": REALM, **reason}),
        WWWAuthenticate("basic", {"realm": REALM, "charset": "UTF-8"}),
    ]
    return problem_response(Unauthorized(detail, www_authenticate=challenges))


NO_KEY = unauthorized(
    "This service needs an API key: send `Authorization: Bearer KEY`, or the key as the password of"
    " `Authorization: Basic`. The operator of the service makes one with `make key NAME=caller`."
)
WRONG_KEY = unauthorized(
    "The `Authorization` header holds no valid key: check that it is complete, and that it has not been removed.",
    error="invalid_token",
)


class Keys:
    """The valid keys, which are reloaded while the service runs."""

    def __init__(self, folder: Path, operator_key: Path) -> None:
        """Read the keys.

        Args:
            folder: has one file per caller, named after the caller, with the hash of the key.
            operator_key: file with the operator's key, which may be missing.

        Raises:
            SettingsError: if there is no readable key of a caller.
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
        """Return the name of the caller whose key is in an `Authorization` header; None if the key is not valid."""
        key = key_in(header)
        if key is None:
            return None
        now = time.monotonic()
        if now - self._checked > CHECK_INTERVAL:
            self._checked = now
            self._refresh()
        digest = hashlib.sha256(key).digest()
        caller = None
        # Compares all keys, so that the time does not depend on which one matches.
        for known, name in self._names.items():
            if hmac.compare_digest(known, digest):
                caller = name
        return caller

    def _refresh(self) -> None:
        """Reload the keys; keep the current ones if that fails."""
        try:
            names = hashes_in(self._folder) | hash_of_operator(self._operator_key)
        except OSError as error:
            logger.error("the API keys cannot be read and stay as they are: %s", error)
            return
        if names != self._names:
            logger.info("API keys: %s", ", ".join(sorted(names.values())) or "none, so all callers are refused")
        self._names = names


def hashes_in(folder: Path) -> dict[bytes, str]:
    """Return the names of the callers by the hashes of their keys.

    Kubernetes updates a mounted Secret atomically: it writes a new folder and points the link `..data` to it.
    This follows the link once, so that all files belong to the same version.

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
            # The content may be a key, so it is not logged.
            logger.error("the API key %s is ignored: its file must hold the SHA-256 of a key in hexadecimal", path.name)
    return hashes


def hash_of_operator(path: Path) -> dict[bytes, str]:
    """Return the operator's name by the hash of its key; empty unless the file is readable by this user alone.

    Raises:
        OSError: if the file cannot be read.
    """
    try:
        # A link could point to a file whose content an attacker knows.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            state = os.fstat(file.fileno())
            key = file.read()
    except FileNotFoundError:
        return {}
    if state.st_uid != os.geteuid() or state.st_mode & OTHERS_PERMISSIONS:
        logger.error("the operator's key is ignored: %s is not readable by this user alone", path)
        return {}
    return {hashlib.sha256(key).digest(): OPERATOR}


def put_hashes(folder: Path, text: str) -> None:
    """Write the hashes of keys, as `name:hash name:hash`, into a file for each name.

    Raises:
        OSError: if a file cannot be written.
    """
    for entry in text.split():
        name, _, digest = entry.partition(":")
        (folder / Path(name).name).write_text(digest, encoding="utf-8")


def put_operator_key(path: Path, key: str = "") -> None:
    """Write the operator's key, a new one if none is given, into a file that only this user can read.

    Raises:
        OSError: if the file cannot be replaced, for example because it belongs to another user.
    """
    path.unlink(missing_ok=True)
    # O_EXCL: another user of the machine may have created the file.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, USER_PERMISSIONS), "w") as file:
        file.write(key or secrets.token_urlsafe(32))


def key_in(header: str) -> bytes | None:
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


def with_api_keys(application: "WSGIApplication", keys: Keys) -> "WSGIApplication":
    """Return the application, with status 401 for requests without a valid key, except on public routes.

    `/version` and `/metrics` are not public: they describe the model and its use. A local address is not
    trusted: with the proxy of a service mesh in the pod, all requests come from this machine.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not route_of(environ["PATH_INFO"]).public:
            header = environ.get("HTTP_AUTHORIZATION", "")
            caller = keys.caller(header)
            if caller is None:
                refused = WRONG_KEY if header else NO_KEY
                return refused(environ, start_response)
            environ[CALLER_KEY] = caller
        return application(environ, start_response)

    return answer
