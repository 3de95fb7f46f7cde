"""Write the token of OpenID Connect that a pipeline's run has, for a cloud to exchange for its own credentials.

No key is stored: the vendor of the pipeline signs the token, and the cloud trusts it for a repository and environment.
This module needs the standard library alone.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT = 30
"""Seconds to wait for the vendor."""


class TokenError(RuntimeError):
    """The pipeline gives no token."""


def oidc_token(environment: Mapping[str, str], audience: str) -> str:
    """Return the token of the run, from what the vendor of the pipeline puts into the environment.

    Args:
        environment: variables of the process.
        audience: whom the token is for.

    Raises:
        TokenError: if this is no pipeline, or it may not have a token.
    """
    address, secret = (environment.get(f"ACTIONS_ID_TOKEN_REQUEST_{part}", "") for part in ("URL", "TOKEN"))
    if not address or not secret:
        raise TokenError(
            "no pipeline gives a token here: a job on GitHub needs `permissions: id-token: write`, "
            "and on a machine of your own you log in yourself"
        )
    query = urllib.parse.urlencode({"audience": audience})
    return _requested(f"{address}{'&' if '?' in address else '?'}{query}", secret, "value")


def _requested(address: str, secret: str, name: str) -> str:
    """Return a field of the JSON that an address answers with."""
    host = urllib.parse.urlsplit(address).hostname
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {secret}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the vendor's own address
            answer = json.load(response)
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise TokenError(f"{host} gives no token: {error}; run the job again") from error
    token = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        raise TokenError(f"{host} answered without a token: run the job again")
    return token


def write(path: Path, token: str) -> None:
    """Write a token into a file that its owner alone can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(token)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the token; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.oidc_token", description=__doc__)
    parser.add_argument("path", type=Path, help="file to write")
    parser.add_argument("audience", help="whom the token is for")
    parser.add_argument("needed", nargs="*", help="variables that the login needs as well")
    arguments = parser.parse_args(argv)
    try:
        if missing := [name for name in arguments.needed if not os.environ.get(name)]:
            raise TokenError(f"{' and '.join(missing)} must be set in the pipeline; docs/pipeline.md says to what")
        write(arguments.path, oidc_token(os.environ, arguments.audience))
    except (TokenError, OSError) as error:
        print(f"pipeline.login: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
