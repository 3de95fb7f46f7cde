"""Log in to the registry of the images, publish an image there, or get layers from it: login, publish and layers.

The image engine is called as a process, by the command in DOCKER; it keeps the login. Settings come from the
environment, where make puts those of project.mk. This module needs the standard library alone.
"""

import argparse
import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

GOLDEN_LABEL = "mlops-runtime.golden"
"""Label of an image with the hash of the golden records of its model."""

ACR_USER = "00000000-0000-0000-0000-000000000000"
"""Name of the user that Azure Container Registry takes a token from."""

MAX_COMMITS = 20
"""Number of commits back to which an image is looked for whose layers a build can use."""

Failure = Literal["limit", "absent", "login", "other"]

FAILURES: tuple[tuple[Failure, re.Pattern[str]], ...] = (
    ("limit", re.compile(r"toomanyrequests|too many requests|status(?: code)?:? 429", re.IGNORECASE)),
    # Docker Hub denies a repository that does not exist, and podman then says unauthorized as well.
    (
        "absent",
        re.compile(
            r"manifest (?:for \S+ )?(?:unknown|not found)|name unknown|repository .*does not exist|: not found\s*$"
            r"|insufficient_scope|access denied|is denied|\bdenied:",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    ("login", re.compile(r"unauthorized|no basic auth|authentication required|username/password", re.IGNORECASE)),
)
"""What engines and registries say of each failure; the first that occurs counts."""

HELP = re.compile(r"(See|Run) 'docker [^']*--help'")
"""Start of the line that Docker writes after the reason why a container does not start."""


class RegistryError(RuntimeError):
    """The registry cannot be used as the settings say."""


class Registry:
    """The registry of the images of a project, and the engine that speaks to it.

    Attributes:
        address: host of the registry, and the path below which the images are, if there is one.
        host: the part of the address that has the login.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the settings.

        Raises:
            RegistryError: if one is missing or cannot be used.
        """
        self._environment = environment
        self._engine = shlex.split(environment.get("DOCKER") or "docker")
        self.address = self._setting("REGISTRY").rstrip("/")
        self.host, _, self._path = self.address.partition("/")
        if self.host == "docker.io" and not self._path:
            raise RegistryError("Docker Hub has images of accounts alone: set REGISTRY=docker.io/ACCOUNT")

    def log_in(self, *, asked: bool) -> None:
        """Log the engine in, as LOGIN says.

        Args:
            asked: whether a token is needed now. Otherwise the engine's own login serves where no token comes.

        Raises:
            RegistryError: if there are no credentials, or the registry does not take them.
        """
        match self._setting("LOGIN"):
            case "ecr":
                user, password = "AWS", self._password_of_aws()
            case "acr":
                user, password = ACR_USER, self._token_of_azure()
            case "token":
                user = self._environment.get("REGISTRY_USER") or self._path.rpartition("/")[2]
                if not user:
                    raise RegistryError(f"{self.host} needs the name of a user: set REGISTRY_USER")
                password = self._token(user, asked=asked)
                if not password:
                    return
            case "none":
                if asked:
                    print(f"LOGIN=none: run {self._engine[0]} login {self.host} if it asks for a login")
                return
            case word:
                raise RegistryError(f"LOGIN={word} is not usable: set it to ecr, acr, token or none")
        result = self._run("login", "--username", user, "--password-stdin", self.host, given=password)
        if result.returncode == 0:
            print(f"logged in to {self.host} as {user}")
            return
        match kind_of(result.stderr):
            case "limit":
                reason = self._limit()
            case "login" | "absent":
                reason = f"it does not accept this password of {user}, who may need a new token"
            case _:
                reason = last_line(result.stderr)
        raise RegistryError(f"cannot log in to {self.host}: {reason}; nothing was pushed")

    def publish(self, component: str) -> str:
        """Push the image that was built of a component, unless its version was published before, and sign it with SIGN.

        Returns:
            The image that the registry has, by digest; build/COMPONENT.image names it as well.

        Raises:
            RegistryError: if it has none afterwards, or has another model than the one that MODEL asks for, or if the
                image was not signed.
        """
        version = self._setting("VERSION")
        signer = shlex.split(self._environment.get("SIGN", ""))
        if signer and shutil.which(signer[0]) is None:
            raise RegistryError(f"{signer[0]} is not installed, and SIGN names it: install it; nothing was pushed")
        repository = self.repository(component)
        image = f"{repository}:{version}"
        built = Path(f"build/{component}.built").read_text(encoding="utf-8").strip()
        pulled = self._run("pull", "--quiet", image)
        if pulled.returncode == 0:
            print(f"{image} was published before")
            self._compare_models(component, image, built)
        elif kind_of(pulled.stderr) == "absent":
            self._push(built, image)
        else:
            raise RegistryError(f"cannot ask for {image}: {self._reason(pulled.stderr)}; nothing was pushed")
        published = f"{repository}@{self._digest(repository, image)}"
        if signer:
            _sign(signer, published)
        Path(f"build/{component}.image").write_text(f"{published}\n", encoding="utf-8")
        return published

    def layers(self, component: str, versions: Iterable[str]) -> str:
        """Pull the newest image of a component that was published, for a build to use its layers.

        Args:
            component: name of the image.
            versions: that may have been published, the newest first.

        Returns:
            The image; empty if there is none. Podman's builds take no layers of a named image, so it gets none.
        """
        if "podman" in self._engine[0]:
            return ""
        for version in versions:
            image = f"{self.repository(component)}:{version}"
            pulled = self._run("pull", "--quiet", image)
            if pulled.returncode == 0:
                return image
            if kind_of(pulled.stderr) != "absent":
                print(f"{image} gives no layers: {self._reason(pulled.stderr)}", file=sys.stderr)
                break
        return ""

    def repository(self, component: str) -> str:
        """Return the repository of a component: two levels on the host alone, one below a path of the host."""
        project = self._setting("PROJECT")
        return f"{self.address}/{project}{'-' if self._path else '/'}{component}"

    def _push(self, built: str, image: str) -> None:
        for command in (("tag", built, image), ("push", "--quiet", image)):
            result = self._run(*command)
            if result.returncode != 0:
                reason = self._reason(result.stderr or result.stdout)
                raise RegistryError(f"cannot push {image}: {reason}; nothing was deployed")
        # Podman compresses layers as it pushes, and learns the digest that the registry has by pulling.
        if "Digest" in self._inspect(image):
            pulled = self._run("pull", "--quiet", image)
            if pulled.returncode != 0:
                raise RegistryError(f"cannot ask for {image}, which was pushed: {self._reason(pulled.stderr)}")

    def _compare_models(self, component: str, image: str, built: str) -> None:
        if component != "webservice" or self._golden(image) == self._golden(built):
            return
        message = f"{image} has a model of another training run: to publish this one, commit, or set VERSION"
        if self._environment.get("MODEL"):
            raise RegistryError(message)
        print(message, file=sys.stderr)

    def _golden(self, image: str) -> str:
        return str((self._inspect(image)["Config"].get("Labels") or {}).get(GOLDEN_LABEL, ""))

    def _digest(self, repository: str, image: str) -> str:
        # Docker leaves out docker.io.
        names = {repository, repository.removeprefix("docker.io/")}
        parts = [str(each).partition("@") for each in self._inspect(image).get("RepoDigests") or ()]
        digests = [digest for name, _, digest in parts if name in names]
        # Podman keeps the digest from before it compressed the layers as well, which the registry does not know.
        if len(digests) > 1:
            digests = [each for each in digests if self._run("pull", "--quiet", f"{repository}@{each}").returncode == 0]
        if not digests:
            raise RegistryError(
                f"{self._engine[0]} names no digest of {image}: remove that image here, and publish again"
            )
        return digests[0]

    def _inspect(self, image: str) -> dict[str, Any]:
        result = self._run("image", "inspect", image)
        if result.returncode != 0:
            raise RegistryError(f"{self._engine[0]} cannot show {image}: {last_line(result.stderr)}")
        details: dict[str, Any] = json.loads(result.stdout)[0]
        return details

    def _reason(self, output: str) -> str:
        match kind_of(output):
            case "limit":
                return self._limit()
            case "absent":
                return (
                    f"{self.host} has no such repository, or who is logged in may not write to it:"
                    f" create it{' (make infrastructure)' if self._setting('LOGIN') == 'ecr' else ''}, or log in"
                )
            case "login":
                return f"{self.host} asks for a login: run {self._engine[0]} login {self.host}, or set LOGIN=token"
            case _:
                return last_line(output)

    def _limit(self) -> str:
        return f"the limit of {self.host} on pulls is met: log in, as an account may pull more, or wait"

    def _password_of_aws(self) -> str:
        aws = shlex.split(self._environment.get("AWS") or "aws")
        result = run([*aws, "ecr", "get-login-password"])
        if result.returncode != 0:
            reason = last_line(result.stderr)
            raise RegistryError(f"cannot log in to {self.host}: AWS gives no password: {reason}; see make doctor")
        return result.stdout

    def _token_of_azure(self) -> str:
        az = shlex.split(self._environment.get("AZ") or "az")
        name = self._environment.get("ACR") or self.host.partition(".")[0]
        result = run([*az, "acr", "login", "--name", name, "--expose-token", "--only-show-errors", "--output", "json"])
        if result.returncode != 0:
            reason = last_line(result.stderr)
            raise RegistryError(f"cannot log in to {self.host}: Azure gives no token: {reason}; run az login")
        return str(json.loads(result.stdout)["accessToken"])

    def _token(self, user: str, *, asked: bool) -> str:
        """Return the token on standard input; empty if there is none and none is needed now."""
        if sys.stdin.isatty():
            return getpass.getpass(f"Token of {user} at {self.host}: ") if asked else ""
        token = sys.stdin.read().strip()
        if asked and not token:
            raise RegistryError("there is no token on standard input: run make login <FILE, or in a terminal")
        return token

    def _run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return run([*self._engine, *arguments], given)

    def _setting(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            raise RegistryError(f"{name} is not set: run this with make, and see project.mk")
        return value


def run(command: Sequence[str], given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command with a text on its standard input, and return the result.

    Raises:
        RegistryError: if it does not start.
    """
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RegistryError(f"{command[0]} does not start: {error.strerror}; see make doctor") from error


def _sign(command: Sequence[str], image: str) -> None:
    result = run([*command, image])
    if result.returncode != 0:
        reason = last_line(result.stderr)
        raise RegistryError(f"{image} was not signed: {reason}; nothing was deployed, and make publish tries again")
    print(f"{image} was signed")


def recent_versions() -> list[str]:
    """Return what git calls the last commits, the newest first."""
    commits = run(["git", "rev-list", "--first-parent", f"--max-count={MAX_COMMITS}", "HEAD"]).stdout.split()
    return run(["git", "describe", "--tags", "--always", *commits]).stdout.split()


def kind_of(output: str) -> Failure:
    """Return what failed, from what an engine said."""
    return next((kind for kind, pattern in FAILURES if pattern.search(output)), "other")


def last_line(output: str) -> str:
    """Return the last line that has text, and does not name the help of Docker."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not HELP.match(line)]
    return lines[-1] if lines else "no reason given"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.registry", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("login").add_argument("--asked", action="store_true", help="a token is needed now")
    for command in ("publish", "layers"):
        commands.add_parser(command).add_argument("component", choices=("webservice", "trainer", "dashboard"))
    arguments = parser.parse_args(argv)
    try:
        registry = Registry(os.environ)
        if arguments.command == "login":
            registry.log_in(asked=arguments.asked)
        elif arguments.command == "layers":
            image = registry.layers(arguments.component, recent_versions())
            # BuildKit takes layers only of images that it has built with this argument.
            print("--build-arg BUILDKIT_INLINE_CACHE=1", f"--cache-from {image}" if image else "")
        else:
            print(registry.publish(arguments.component))
    except (RegistryError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
