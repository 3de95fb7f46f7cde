"""Let a pipeline reach the machine with Docker: its ssh key, and the keys that the machine shows, for this run.

Works with the standard library alone.
"""

import os
import sys
import urllib.parse
from collections.abc import Mapping
from pathlib import Path


class SshKeyError(RuntimeError):
    """The machine cannot be reached with what the pipeline has."""


def install(environment: Mapping[str, str], home: Path) -> str:
    """Write key, known hosts and configuration into `.ssh`; return in a sentence what was done.

    Args:
        environment: variables of the process: DEPLOY_HOST, DEPLOY_KEY and DEPLOY_HOST_KEYS.
        home: folder of the user.

    Raises:
        SshKeyError: if one of them is missing, or DEPLOY_HOST is no address for ssh.
    """
    address = environment.get("DEPLOY_HOST", "")
    if not address:
        return "DEPLOY_HOST is empty: the engine of this machine needs no login"
    machine = urllib.parse.urlsplit(address)
    if machine.scheme != "ssh" or not machine.hostname:
        raise SshKeyError(f"DEPLOY_HOST={address} is not usable: set it to ssh://user@machine")
    key, host_keys = (environment.get(name, "").strip() for name in ("DEPLOY_KEY", "DEPLOY_HOST_KEYS"))
    if not key or not host_keys:
        raise SshKeyError("DEPLOY_KEY and DEPLOY_HOST_KEYS must be set in the pipeline; docs/pipeline.md says to what")
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "pipeline_key"
    _write(path, f"{key}\n")
    _append(folder / "known_hosts", host_keys)
    # ssh refuses a machine that shows another key.
    options = f"  IdentityFile {path}\n  IdentitiesOnly yes\n  StrictHostKeyChecking yes"
    _append(folder / "config", f"Host {machine.hostname}\n{options}")
    return f"ssh reaches {machine.hostname} with the key of the pipeline"


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _append(path: Path, text: str) -> None:
    """Add lines to a file, unless it has them."""
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    if text not in there:
        separator = "" if there.endswith("\n") or not there else "\n"
        _write(path, f"{there}{separator}{text}\n")


def main() -> int:
    """Install the key; return the exit status."""
    try:
        print(install(os.environ, Path.home()))
    except (SshKeyError, OSError) as error:
        print(f"pipeline.login: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
