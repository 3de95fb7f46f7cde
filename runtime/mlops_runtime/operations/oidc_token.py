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
GIVEN = ("OIDC_TOKEN", "BITBUCKET_STEP_OIDC_TOKEN")
"""Variables that have the token itself: by `id_tokens` on GitLab, by a task on Azure DevOps, by `oidc` on Bitbucket."""


class TokenError(RuntimeError):
    """The pipeline gives no token."""


def oidc_token(environment: Mapping[str, str], audience: str) -> str:
    """Return the token of the run, from what the vendor of the pipeline puts into the environment.

    Args:
        environment: variables of the process.
        audience: whom the token is for, where the vendor asks; elsewhere the pipeline's file or the vendor says it.

    Raises:
        TokenError: if this is no pipeline, or it may not have a token.
    """
    if given := next(filter(None, map(environment.get, GIVEN)), None):
        return given
    if request := _github(environment, audience) or _azure_devops(environment):
        return _requested(*request)
    raise TokenError(
        "no pipeline gives a token here: a job needs `permissions: id-token: write` on GitHub, `id_tokens: OIDC_TOKEN` "
        "on GitLab, `oidc: true` on Bitbucket, SYSTEM_ACCESSTOKEN on Azure DevOps; on a machine of your own you log in "
        "yourself"
    )


def _github(environment: Mapping[str, str], audience: str) -> tuple[urllib.request.Request, str] | None:
    """Return the request for a token that a job on GitHub makes, and the field of its answer."""
    address, secret = (environment.get(f"ACTIONS_ID_TOKEN_REQUEST_{part}", "") for part in ("URL", "TOKEN"))
    if not address or not secret:
        return None
    query = urllib.parse.urlencode({"audience": audience})
    return _request(f"{address}{'&' if '?' in address else '?'}{query}", secret), "value"


def _azure_devops(environment: Mapping[str, str]) -> tuple[urllib.request.Request, str] | None:
    """Return the request for a token that a step on Azure DevOps makes, where it is always for the same audience."""
    address, secret = environment.get("SYSTEM_OIDCREQUESTURI", ""), environment.get("SYSTEM_ACCESSTOKEN", "")
    if not address or not secret:
        return None
    return _request(f"{address}?api-version=7.1", secret, data=b""), "oidcToken"


def _request(address: str, secret: str, data: bytes | None = None) -> urllib.request.Request:
    """Return a request by the secret of the run; with data, a POST."""
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    return urllib.request.Request(address, data, headers)  # noqa: S310 - the vendor's own address


def _requested(request: urllib.request.Request, name: str) -> str:
    """Return a field of the JSON that answers a request."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the vendor's own address
            answer = json.load(response)
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise TokenError(f"{request.host} gives no token: {error}; run the job again") from error
    token = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        raise TokenError(f"{request.host} answered without a token: run the job again")
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
