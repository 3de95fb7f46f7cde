"""Login and publish against a stand-in for the image engine, which answers as engines and registries do."""

import io
import json
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.operations.registry import Registry, RegistryError, main

ENGINE = """
import json, sys
from pathlib import Path

folder = Path(__file__).parent
answers = json.loads((folder / "answers.json").read_text())
given = sys.stdin.read()
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([sys.argv[1:], given]) + "\\n")
if sys.argv[1] == "image":
    print(json.dumps([answers["images"].get(sys.argv[3], {"Config": {}})]))
    raise SystemExit
answer = answers.get(sys.argv[1], "")
if isinstance(answer, list):
    answer = answer[sum(json.loads(line)[0][0] == sys.argv[1] for line in (folder / "calls").open()) - 1]
sys.exit(answer or None)
"""

ABSENT = "Error response from daemon: manifest for r/acct/oncology-webservice:1 not found: manifest unknown"
LIMIT = (
    "Error response from daemon: toomanyrequests: You have reached your pull rate limit. You may increase the limit by"
    " authenticating and upgrading: https://www.docker.com/increase-rate-limit"
)
NO_LOGIN = 'Error response from daemon: Head "http://r/v2/acct/x/manifests/1": no basic auth credentials'
REFUSED = 'Error response from daemon: Get "http://r/v2/": dial tcp 127.0.0.1:9: connect: connection refused'
DENIED = "denied: requested access to the resource is denied"


@dataclass
class Engine:
    """The stand-in: its answers by command, an error text or empty, and how it was called."""

    folder: Path
    answers: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Any] = field(default_factory=dict)

    def environment(self, **settings: str) -> dict[str, str]:
        (self.folder / "answers.json").write_text(json.dumps(self.answers | {"images": self.images}))
        program = self.folder / "engine.py"
        program.write_text(ENGINE)
        defaults = {"REGISTRY": "docker.io/acct", "LOGIN": "none", "PROJECT": "oncology", "VERSION": "1"}
        return defaults | {"DOCKER": shlex.join([sys.executable, str(program)])} | settings

    def calls(self) -> list[tuple[list[str], str]]:
        path = self.folder / "calls"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def commands(self) -> list[str]:
        return [arguments[0] for arguments, _ in self.calls()]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that has built both images, in the folder of a project."""
    (tmp_path / "build").mkdir()
    for component in ("webservice", "trainer"):
        (tmp_path / f"build/{component}.built").write_text("sha256:1")
    monkeypatch.chdir(tmp_path)
    image = {"Config": {"Labels": {}}, "RepoDigests": ["acct/oncology-webservice@sha256:2", "r/x@sha256:3"]}
    return Engine(tmp_path, {"pull": ABSENT}, {"docker.io/acct/oncology-webservice:1": image})


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        pytest.param("1.dkr.ecr.eu-central-1.amazonaws.com", "{}/oncology/webservice", id="ECR"),
        pytest.param("127.0.0.1:5000", "{}/oncology/webservice", id="a host alone"),
        pytest.param("docker.io/acct", "{}-webservice", id="Docker Hub"),
        pytest.param("ghcr.io/acct/team", "{}-webservice", id="a longer path"),
        pytest.param("docker.io/acct/", "docker.io/acct/oncology-webservice", id="a slash at the end"),
    ],
)
def test_a_repository_has_as_many_levels_as_its_registry_allows(engine: Engine, address: str, repository: str) -> None:
    expected = repository.format(address if repository.startswith("{}/") else f"{address}/oncology")

    assert Registry(engine.environment(REGISTRY=address)).repository("webservice") == expected


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ABSENT, id="Docker"),
        pytest.param("reading manifest 1 in r/acct/oncology-webservice: manifest unknown", id="podman"),
        pytest.param("failed to resolve reference: r/acct/oncology-webservice:1: not found", id="containerd"),
        pytest.param(
            "pull access denied for acct/x, repository does not exist or may require 'docker login': " + DENIED,
            id="Docker Hub",
        ),
        pytest.param(f"errors:\n{DENIED}\nunauthorized: authentication required", id="Docker Hub by podman"),
        pytest.param("name unknown: The repository with name 'x' does not exist in the registry", id="no repository"),
    ],
)
def test_an_absent_version_is_pushed(engine: Engine, answer: str) -> None:
    engine.answers["pull"] = answer

    published = Registry(engine.environment()).publish("webservice")

    assert published == "docker.io/acct/oncology-webservice@sha256:2"
    assert Path("build/webservice.image").read_text() == f"{published}\n"
    assert (["tag", "sha256:1", "docker.io/acct/oncology-webservice:1"], "") in engine.calls()
    assert "push" in engine.commands()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(LIMIT, "the limit of docker.io on pulls is met: log in", id="limit"),
        pytest.param("received unexpected HTTP status: 429 Too Many Requests", "the limit of docker.io", id="podman"),
        pytest.param(NO_LOGIN, "docker.io asks for a login: run", id="no login"),
        pytest.param(REFUSED, "connection refused", id="unreachable"),
        pytest.param("Get https://r/v2/oncology-429/manifests/401: EOF", "401: EOF", id="a name like a status"),
    ],
)
def test_a_registry_that_does_not_say_what_it_has_gets_nothing(engine: Engine, answer: str, message: str) -> None:
    engine.answers["pull"] = answer

    with pytest.raises(RegistryError, match=r"^cannot ask for docker\.io/acct/oncology-webservice:1: ") as caught:
        Registry(engine.environment()).publish("webservice")

    assert message in str(caught.value)
    assert "nothing was pushed" in str(caught.value)
    assert engine.commands() == ["pull"]
    assert not Path("build/webservice.image").exists()


@pytest.mark.parametrize(
    ("answer", "login", "message"),
    [
        pytest.param(LIMIT, "none", "the limit of docker.io on pulls is met", id="limit"),
        pytest.param(DENIED, "none", "may not write to it: create it, or log in", id="denied"),
        pytest.param("name unknown: x", "ecr", "create it (make infrastructure), or log in", id="no ECR repository"),
        pytest.param("no basic auth credentials", "none", "docker.io asks for a login", id="no login"),
        pytest.param("a\nblob upload unknown\n\n", "none", "blob upload unknown; nothing was deployed", id="other"),
        pytest.param("", "none", "", id="works"),
    ],
)
def test_a_push_that_fails_is_explained(engine: Engine, answer: str, login: str, message: str) -> None:
    engine.answers["push"] = answer
    registry = Registry(engine.environment(LOGIN=login))
    if not message:
        assert registry.publish("webservice")
        return

    with pytest.raises(RegistryError, match=r"^cannot push docker\.io/acct/oncology-webservice:1: ") as caught:
        registry.publish("webservice")

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_podman_is_asked_for_the_digest_that_the_registry_has(engine: Engine) -> None:
    # Given an image whose digests here are that before and that after it was compressed
    name = "docker.io/acct/oncology-webservice"
    engine.images[f"{name}:1"] |= {"Digest": "sha256:2", "RepoDigests": [f"{name}@sha256:2", f"{name}@sha256:4"]}
    # And a registry that knows the latter alone
    engine.answers["pull"] = [ABSENT, "", ABSENT, ""]

    assert Registry(engine.environment()).publish("webservice") == f"{name}@sha256:4"

    pulled = [arguments[-1] for arguments, _ in engine.calls() if arguments[0] == "pull"]
    assert pulled == [f"{name}:1", f"{name}:1", f"{name}@sha256:2", f"{name}@sha256:4"]


@pytest.mark.parametrize(
    ("component", "labels", "model", "said"),
    [
        pytest.param("webservice", {"mlops-runtime.golden": "a"}, "", "a model of another training run", id="other"),
        pytest.param("webservice", {}, "", "", id="the same"),
        pytest.param("webservice", {"mlops-runtime.golden": "a"}, "v1", "RegistryError", id="other than given"),
        pytest.param("trainer", {"mlops-runtime.golden": "a"}, "v1", "", id="no model"),
    ],
)
def test_a_version_that_was_published_is_used_as_it_is(
    engine: Engine, capsys: pytest.CaptureFixture[str], component: str, labels: dict[str, str], model: str, said: str
) -> None:
    name = f"docker.io/acct/oncology-{component}"
    engine.answers["pull"] = ""
    engine.images[f"{name}:1"] = {"Config": {"Labels": labels}, "RepoDigests": [f"{name}@sha256:2"]}
    registry = Registry(engine.environment(MODEL=model))

    if said == "RegistryError":
        with pytest.raises(RegistryError, match="a model of another training run: to publish this one, commit"):
            registry.publish(component)
        return
    assert registry.publish(component) == f"{name}@sha256:2"

    output = capsys.readouterr()
    assert output.out == f"{name}:1 was published before\n"
    assert said in output.err
    assert "push" not in engine.commands()


def test_a_published_image_is_signed_by_its_digest(engine: Engine) -> None:
    signer = engine.folder / "signer.py"
    signer.write_text("import sys; open('signed', 'w').write(' '.join(sys.argv[1:]))")
    registry = Registry(engine.environment(SIGN=shlex.join([sys.executable, str(signer), "--key", "a key"])))

    published = registry.publish("webservice")

    assert Path("signed").read_text() == f"--key a key {published}"


@pytest.mark.parametrize(
    ("program", "message", "pushed"),
    [
        pytest.param("no-such-program", "no-such-program is not installed", False, id="missing"),
        pytest.param("false", "sha256:2 was not signed: no reason given; nothing was deployed", True, id="fails"),
    ],
)
def test_an_image_that_cannot_be_signed_is_not_deployed(
    engine: Engine, program: str, message: str, pushed: bool
) -> None:
    with pytest.raises(RegistryError, match=message):
        Registry(engine.environment(SIGN=program)).publish("webservice")

    assert ("push" in engine.commands()) == pushed
    assert not Path("build/webservice.image").exists()


def test_an_image_of_another_registry_is_not_taken_for_this_one(engine: Engine) -> None:
    engine.answers["pull"] = ""
    engine.images["docker.io/acct/oncology-webservice:1"]["RepoDigests"] = ["r/acct/oncology-webservice@sha256:3"]

    with pytest.raises(RegistryError, match=r"names no digest of docker\.io/acct/oncology-webservice:1"):
        Registry(engine.environment()).publish("webservice")


@pytest.mark.parametrize(
    ("settings", "user"),
    [
        pytest.param({}, "acct", id="the account"),
        pytest.param({"REGISTRY_USER": "jane"}, "jane", id="a user of an organisation"),
        pytest.param({"REGISTRY": "host:5000", "REGISTRY_USER": "jane"}, "jane", id="a host alone"),
    ],
)
def test_a_token_goes_to_the_engine_by_standard_input(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], user: str
) -> None:
    environment = engine.environment(LOGIN="token", **settings)
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))

    Registry(environment).log_in(asked=False)

    host = environment["REGISTRY"].partition("/")[0]
    assert engine.calls() == [(["login", "--username", user, "--password-stdin", host], "secret")]


@pytest.mark.parametrize("asked", [True, False], ids=["make login", "make publish"])
def test_no_token_is_said_where_one_is_asked_for(engine: Engine, monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    registry = Registry(engine.environment(LOGIN="token"))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    if asked:
        with pytest.raises(RegistryError, match="no token on standard input"):
            registry.log_in(asked=asked)
    else:
        registry.log_in(asked=asked)

    assert engine.calls() == []


@pytest.mark.parametrize("asked", [True, False], ids=["make login", "make publish"])
def test_nobody_logs_in_where_the_engine_has_a_login(
    engine: Engine, capsys: pytest.CaptureFixture[str], asked: bool
) -> None:
    Registry(engine.environment(LOGIN="none")).log_in(asked=asked)

    assert engine.calls() == []
    assert ("login docker.io if it asks for a login" in capsys.readouterr().out) == asked


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param("failed with status: 401 Unauthorized", "does not accept this password of acct", id="Docker"),
        pytest.param("unauthorized: incorrect username or password", "does not accept this", id="Docker Hub"),
        pytest.param("Error: logging into r: invalid username/password", "does not accept this", id="podman"),
        pytest.param(LIMIT, "the limit of docker.io on pulls is met", id="limit"),
        pytest.param(REFUSED, "connection refused; nothing was pushed", id="unreachable"),
    ],
)
def test_a_login_that_fails_is_explained(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, message: str
) -> None:
    engine.answers["login"] = answer
    for name, value in engine.environment(LOGIN="token").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO("secret"))

    assert main(["login", "--asked"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cannot log in to docker.io: ")
    assert message in line
    assert "secret" not in line


@pytest.mark.parametrize("works", [True, False], ids=["logged in", "not logged in"])
def test_azure_gives_a_token_of_its_registry(engine: Engine, works: bool) -> None:
    az = engine.folder / "az.py"
    az.write_text("""print('{"accessToken": "t"}')""" if works else "raise SystemExit('ERROR: Please run az login')")
    command = shlex.join([sys.executable, str(az)])
    registry = Registry(engine.environment(LOGIN="acr", REGISTRY="x.azurecr.io", AZ=command))

    if not works:
        with pytest.raises(RegistryError, match="Azure gives no token: ERROR: Please run az login"):
            registry.log_in(asked=False)
        return
    registry.log_in(asked=False)

    user = "00000000-0000-0000-0000-000000000000"
    assert engine.calls() == [(["login", "--username", user, "--password-stdin", "x.azurecr.io"], "t")]


@pytest.mark.parametrize("works", [True, False], ids=["credentials", "no credentials"])
def test_aws_gives_the_password_of_ecr(engine: Engine, works: bool) -> None:
    aws = engine.folder / "aws.py"
    aws.write_text("print('of AWS')" if works else "raise SystemExit('\\nUnable to locate credentials')")
    registry = Registry(engine.environment(LOGIN="ecr", REGISTRY="ecr", AWS=shlex.join([sys.executable, str(aws)])))

    if not works:
        with pytest.raises(RegistryError, match="AWS gives no password: Unable to locate credentials; see make doctor"):
            registry.log_in(asked=False)
        return
    registry.log_in(asked=False)

    assert engine.calls() == [(["login", "--username", "AWS", "--password-stdin", "ecr"], "of AWS\n")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"LOGIN": "toke"}, "LOGIN=toke is not usable: set it to ecr, acr, token or none", id="word"),
        pytest.param({"REGISTRY": "docker.io"}, "set REGISTRY=docker.io/ACCOUNT", id="no account"),
        pytest.param({"REGISTRY": "host", "LOGIN": "token"}, "set REGISTRY_USER", id="no user"),
        pytest.param({"REGISTRY": ""}, "REGISTRY is not set", id="no registry"),
        pytest.param({"DOCKER": "no-such-engine", "LOGIN": "token"}, "no-such-engine does not start", id="no engine"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    environment = engine.environment() | settings
    monkeypatch.setattr("sys.stdin", io.StringIO("secret"))

    with pytest.raises(RegistryError, match=message):
        Registry(environment).log_in(asked=True)


def test_layers_come_from_the_newest_version_that_was_published(engine: Engine) -> None:
    engine.answers["pull"] = [ABSENT, "", ""]

    image = Registry(engine.environment()).layers("webservice", ["3", "2", "1"])

    assert image == "docker.io/acct/oncology-webservice:2"
    assert engine.commands() == ["pull", "pull"]


@pytest.mark.parametrize("answer", [LIMIT, REFUSED])
def test_without_an_answer_there_are_no_layers_and_a_reason(
    engine: Engine, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.answers["pull"] = answer

    assert Registry(engine.environment()).layers("webservice", ["2", "1"]) == ""

    assert engine.commands() == ["pull"]
    assert "docker.io/acct/oncology-webservice:2 gives no layers: " in capsys.readouterr().err


def test_podman_is_asked_for_no_layers(engine: Engine) -> None:
    assert Registry(engine.environment(DOCKER="podman")).layers("webservice", ["1"]) == ""
