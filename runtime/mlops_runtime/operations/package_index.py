"""An index of Python packages that takes uploads: CodeArtifact, Nexus, Artifactory, GitLab, pypiserver.

User and password come from TWINE_USERNAME and TWINE_PASSWORD, or the password from the command `keyring`. They are on
no command line. This module needs the standard library alone; twine, by the command in the environment variable TWINE,
uploads.
"""

import base64
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import Request, urlopen

TIMEOUT = 30.0
"""Seconds in which the index must answer a request."""
LOGIN = (
    "set TWINE_USERNAME and TWINE_PASSWORD in the environment, or TWINE_USERNAME alone and keep the password in keyring"
)


class PackageIndexError(RuntimeError):
    """The index cannot be used, or refuses a wheel."""


class _Links(HTMLParser):
    """Collects the addresses of a page of the simple index."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.addresses.append(address)


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """An index at the address to which twine uploads; its pages are below `simple/` there.

    Attributes:
        url: address for uploads.
        user: name to log in with; empty for none.
        password: of the user.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of_environment(cls, url: str) -> Self:
        """Return the index at an address, with the login of the environment.

        Raises:
            PackageIndexError: if the address is not that of a server, or has a password in it.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise PackageIndexError(f"MODEL_INDEX is no address: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PackageIndexError("MODEL_INDEX is no address of a server: it begins with https://")
        if "@" in parts.netloc:
            raise PackageIndexError(f"MODEL_INDEX has a user or a password in it, which others can read: {LOGIN}")
        user = os.environ.get("TWINE_USERNAME", "")
        return cls(url, user, os.environ.get("TWINE_PASSWORD", "") or _kept_password(url, user))

    def content(self, wheel: str) -> bytes | None:
        """Return the wheel of a name that the index has, or None if it has none.

        Raises:
            PackageIndexError: if the index does not answer, or asks for another login.
        """
        project = re.sub(r"[-_.]+", "-", wheel.partition("-")[0]).lower()
        page = f"{self.url.rstrip('/')}/simple/{project}/"
        answer = self._get(page)
        if answer is None:
            return None
        links = _Links()
        links.feed(answer.decode("utf-8", "replace"))
        for address in links.addresses:
            try:
                target = urljoin(page, address)
            except ValueError:
                continue  # it is no address, and so not that of the wheel
            if PurePosixPath(unquote(urlsplit(target).path)).name == wheel:
                return self._get(target)
        return None

    def upload(self, wheels: Sequence[Path]) -> None:
        """Upload wheels by twine.

        Raises:
            PackageIndexError: if twine does not start, or the index refuses a wheel.
        """
        command = [*shlex.split(os.environ.get("TWINE") or "twine"), "upload", "--non-interactive"]
        command += ["--disable-progress-bar", "--repository-url", self.url, *map(str, wheels)]
        login = {"TWINE_USERNAME": self.user, "TWINE_PASSWORD": self.password} if self.password else {}
        try:
            result = subprocess.run(command, env=os.environ | login, capture_output=True, text=True, check=False)
        except OSError as error:
            message = f"{command[0]} does not start ({error.strerror}): pipx install twine, or set TWINE to its path"
            raise PackageIndexError(message) from error
        if result.returncode != 0:
            lines = (result.stdout + result.stderr).strip().splitlines() or [f"status {result.returncode}"]
            raise PackageIndexError(f"{self.url} takes no wheel: {' '.join(lines[-1].split())}; {LOGIN}")

    def _get(self, address: str) -> bytes | None:
        """Return what is at an address, or None if nothing is."""
        request = Request(address)  # noqa: S310 - of_environment checks the scheme
        if self.user and urlsplit(address).netloc == urlsplit(self.url).netloc:
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            # It does not go along to another server that this one names.
            request.add_unredirected_header("Authorization", f"Basic {token}")
        try:
            with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
                content: bytes = response.read()
                return content
        except HTTPError as error:
            if error.code == 404:
                return None
            raise PackageIndexError(f"{address} answers with status {error.code}: {LOGIN}") from error
        except (URLError, OSError, HTTPException) as error:
            raise PackageIndexError(f"{address} does not answer: {error}") from error


def _kept_password(url: str, user: str) -> str:
    """Return the password that keyring keeps for a user of an index; empty if there is none."""
    keyring = shutil.which("keyring")
    if not user or keyring is None:
        return ""
    result = subprocess.run([keyring, "get", url, user], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""
