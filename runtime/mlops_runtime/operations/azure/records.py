"""The records of the releases of one environment, and the lock of its deploys: a blob and the lease on it.

The blob has a release on each line. It is written with the lease alone, so a command that has lost the lock writes
nothing. A lease that is not renewed ends by itself: a command that is killed leaves no lock.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote
from uuid import uuid4

from mlops_runtime.operations.azure.az import Az, AzureError, Object
from mlops_runtime.operations.errors import LockError
from mlops_runtime.operations.lease import block_stop_signals
from mlops_runtime.operations.releases import Release, from_json, to_json

DURATION = 60
"""Seconds without a renewal after which a lease ends; no lease of Blob storage is longer, unless it has no end."""
RENEW_INTERVAL = 15.0
"""Seconds between two renewals."""
POLL_INTERVAL = 2.0
"""Seconds between two polls of a lock that somebody else holds."""
LOST = ("LeaseLost", "LeaseIdMismatchWithBlobOperation", "LeaseIdMismatchWithLeaseOperation",
        "LeaseNotPresentWithBlobOperation", "LeaseNotPresentWithLeaseOperation", "LeaseIsBrokenAndCannotBeRenewed",
        "BlobNotFound")  # fmt: skip
"""Errors of who writes without the lease."""


@dataclass
class Records:
    """The records in a container of the storage account that the environment names.

    Attributes:
        az: the command.
        container: of the storage account.
        name: of the blob.
        now: clock.
    """

    az: Az
    container: str
    name: str
    now: Callable[[], float] = time.monotonic
    _lease: str = ""
    _holder: str = ""
    _renewed: float = 0.0
    _held: list[Release] = field(default_factory=list)

    def releases(self) -> list[Release]:
        """Return the releases, ascending.

        Raises:
            AzureError: if they cannot be read.
        """
        if self._lease:
            return list(self._held)
        return self._read()[0]

    def holder(self) -> str:
        """Return who holds the lock; empty if nobody does.

        Raises:
            AzureError: if that cannot be read.
        """
        return self._read()[1]

    def _read(self) -> tuple[list[Release], str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "records")
            try:
                facts: Object = self._blob("download", self.name, "--file", str(path), "--no-progress")
            except AzureError as error:
                if error.code in ("BlobNotFound", "ContainerNotFound"):
                    return [], ""
                raise self._explained(error) from error
            lines = path.read_text(encoding="utf-8").splitlines()
        try:
            releases = [from_json(line) for line in lines if line]
        except ValueError as error:
            raise AzureError(f"{error}: correct the blob {self.name} of {self.container}, which was edited") from error
        locked = facts["properties"]["lease"]["status"] == "locked"
        return releases, unquote((facts.get("metadata") or {}).get("holder", "")) or "somebody" if locked else ""

    def save(self, release: Release) -> None:
        """Write the record of a release.

        Raises:
            LockError: if this process does not hold the lock.
            AzureError: if it cannot be written.
        """
        self.keep([*(each for each in self._held if each.number != release.number), release])

    def keep(self, releases: Sequence[Release]) -> None:
        """Write the records of some releases, and no others.

        Raises:
            LockError, AzureError: as `save`.
        """
        self.check()
        ordered = sorted(releases, key=lambda release: release.number)
        try:
            self._write("\n".join(map(to_json, ordered)), "--overwrite", "--lease-id", self._lease, *self._metadata())
        except AzureError as error:
            if error.code in LOST:
                raise LockError(f"somebody has taken over the lock {self.name}") from error
            raise self._explained(error) from error
        self._held = ordered

    def put(self, name: str, text: str) -> None:
        """Write another blob of the container.

        Raises:
            AzureError: if it cannot be written.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "blob")
            path.write_text(text, encoding="utf-8")
            self._blob("upload", name, "--file", str(path), "--overwrite", "--no-progress")

    def get(self, name: str) -> str | None:
        """Return another blob of the container; None if there is none.

        Raises:
            AzureError: if it cannot be read.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "blob")
            try:
                self._blob("download", name, "--file", str(path), "--no-progress")
            except AzureError as error:
                if error.code == "BlobNotFound":
                    return None
                raise self._explained(error) from error
            return path.read_text(encoding="utf-8")

    @contextmanager
    def locked(self, who: str, wait: float) -> Iterator[Callable[[], None]]:
        """Hold the lock, and renew it in the background; yield what raises `LockError` once it is lost.

        Raises:
            LockError: if somebody else still holds it after the time to wait.
            AzureError: if it cannot be had.
        """
        self._acquire(who, wait)
        stop = threading.Event()

        def renew() -> None:
            block_stop_signals()
            while not stop.wait(RENEW_INTERVAL):
                self._renew()

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield self.check
        finally:
            stop.set()
            thread.join()
            self._release()

    def check(self) -> None:
        """Check that this process still holds the lock.

        Raises:
            LockError: if it was lost, or could not be renewed: nothing may be changed any more.
        """
        if not self._lease:
            raise LockError(f"somebody has taken over the lock {self.name}")
        if self.now() - self._renewed > DURATION:
            raise LockError(f"the lock {self.name} could not be renewed for {DURATION} s")

    def _acquire(self, who: str, wait: float) -> None:
        started, waited = self.now(), False
        lease, self._holder = str(uuid4()), who
        while True:
            asked = self.now()
            try:
                self._lock("acquire", "--lease-duration", str(DURATION), "--proposed-lease-id", lease)
                break
            except AzureError as error:
                if error.code == "BlobNotFound":
                    self._create()
                    continue
                if error.code != "LeaseAlreadyPresent":
                    raise self._explained(error) from error
            holder = self._read()[1]
            if self.now() - started >= wait:
                raise LockError(
                    f"{holder or 'somebody'} holds the lock {self.name}: wait for it to finish, or set WAIT to more"
                    f" seconds; if it is dead for certain, it ends by itself in {DURATION} s"
                )
            if not waited:
                self.az.say(f"waiting for {holder or 'somebody'} to finish (at most {wait:g} s)")
                waited = True
            self.az.sleep(POLL_INTERVAL)
        self._lease, self._renewed = lease, asked
        self._held = self._read()[0]
        self.keep(self._held)  # with the name of the holder

    def _create(self) -> None:
        try:
            self._write("", "--if-none-match", "*")
        except AzureError as error:
            if error.code != "BlobAlreadyExists":
                raise self._explained(error) from error

    def _renew(self) -> None:
        asked = self.now()
        try:
            self._lock("renew", "--lease-id", self._lease)
            self._renewed = asked
        except AzureError as error:
            if error.code in LOST:
                self._lease = ""  # `check` says so; another error counts once the lease has ended

    def _release(self) -> None:
        lease, self._lease = self._lease, ""
        try:
            if lease:
                self._lock("release", "--lease-id", lease)
        except AzureError as error:
            self.az.say(f"the lock {self.name} ends by itself in {DURATION} s: {error}")

    def _metadata(self) -> tuple[str, ...]:
        return ("--metadata", f"holder={quote(self._holder)}")

    def _write(self, text: str, *options: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "records")
            path.write_text(text, encoding="utf-8")
            self._blob("upload", self.name, "--file", str(path), "--no-progress", *options)

    def _blob(self, command: str, name: str, *options: str) -> Object:
        where = ("--container-name", self.container, "--name", name)
        result: Object = self.az.run("storage", "blob", command, *where, *options)
        return result

    def _lock(self, command: str, *options: str) -> None:
        where = ("--container-name", self.container, "--blob-name", self.name)
        self.az.run("storage", "blob", "lease", command, *where, *options)

    def _explained(self, error: AzureError) -> AzureError:
        """Return an error that says what to do about it."""
        match error.code:
            case "ContainerNotFound":
                return AzureError(f"there is no container {self.container}: run make infrastructure", error.code)
            case "AuthorizationPermissionMismatch" | "AuthorizationFailure":
                reason = "who is logged in may not use the storage account"
                return AzureError(f"{reason}: run make infrastructure, or ask for Storage Blob Data Contributor")
        return error
