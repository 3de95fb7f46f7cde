"""Docker Hub, as far as registries on this machine can be it: accounts, repositories, passwords, a limit on pulls.

AWS is asked for nothing here: its command fails, and says that it was called.
"""

import subprocess
from pathlib import Path

import pytest

from tests.live.registries import ACCOUNT, TOKEN, digest_of
from tests.live.site import NAMESPACE, fit_to_server, remove_namespace
from tests.live.workbench import Workbench, one_error_line

pytestmark = pytest.mark.engine

COMPONENTS = ("webservice", "trainer")
NO_AWS = {"AWS": "echo AWS was asked >&2; false"}


@pytest.fixture
def bench(workbench: Workbench, tmp_path: Path) -> Workbench:
    """The workbench of somebody without AWS, who has not logged in anywhere."""
    environment = {name: value for name, value in workbench.environment.items() if not name.startswith("AWS_")}
    workbench.commit("A version to publish")
    for component in COMPONENTS:
        (workbench.folder / f"build/{component}.image").unlink(missing_ok=True)
    return Workbench(workbench.folder, environment | {"HOME": str(tmp_path)}, NO_AWS)


def test_a_token_publishes_to_an_account(bench: Workbench, registry_with_password: str) -> None:
    bench.environment |= {"MLOPS_REGISTRY": f"{registry_with_password}/{ACCOUNT}", "MLOPS_LOGIN": "token"}

    # Given a login with a token from standard input, when a version is published
    login = bench.make("login", given=TOKEN)
    assert login.returncode == 0, login.stderr
    result = bench.make("publish")
    assert result.returncode == 0, result.stdout + result.stderr

    # Then the images have two levels below the host, and the digests are those of the registry
    for component in COMPONENTS:
        name = f"{ACCOUNT}/oncology-{component}"
        digest = digest_of(registry_with_password, name, bench.version())
        image = (bench.folder / f"build/{component}.image").read_text()
        assert image == f"{registry_with_password}/{name}@{digest}\n"
        assert (
            subprocess.run(
                [bench.environment["MLOPS_DOCKER"], "pull", "--quiet", image.strip()],
                env=bench.environment | {"PATH": "/usr/local/bin:/usr/bin:/bin"},
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )

    # And the token is in no file of the project, and in no output
    files = [path for path in (bench.folder / "build").rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in login.stdout + login.stderr + result.stdout + result.stderr

    # When it is published again by somebody with the login of the engine alone, then it is used as it is
    again = bench.make("publish", "--what-if", f"build/{COMPONENTS[0]}.built", LOGIN="")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "was published before" in again.stdout


@pytest.mark.parametrize(
    ("login", "given", "message"),
    [
        pytest.param(
            "token", "wrong", "it does not accept this password of acct, who may need a new token", id="wrong"
        ),
        pytest.param("none", "", "asks for a login: run", id="no login"),
        pytest.param("token", "", "asks for a login: run", id="no token"),
    ],
)
def test_without_credentials_nothing_is_pushed(
    bench: Workbench, registry_with_password: str, login: str, given: str, message: str
) -> None:
    bench.environment |= {"MLOPS_REGISTRY": f"{registry_with_password}/{ACCOUNT}", "MLOPS_LOGIN": login}

    result = bench.make("publish", given=given)

    assert result.returncode != 0
    (line,) = one_error_line(result).splitlines()
    assert message in line
    assert "nothing was pushed" in line
    assert digest_of(registry_with_password, f"{ACCOUNT}/oncology-webservice", bench.version()) == ""


def test_a_limit_on_pulls_is_said(bench: Workbench, registry_at_its_limit: str) -> None:
    # When the registry does not say whether the version was published, then nothing is pushed
    result = bench.make("publish", REGISTRY=f"{registry_at_its_limit}/{ACCOUNT}")
    assert result.returncode != 0
    (line,) = one_error_line(result).splitlines()
    assert f"the limit of {registry_at_its_limit} on pulls is met: log in" in line

    # When the base image cannot be pulled, then that is said in place of the log
    base = f"{registry_at_its_limit}/library/python:3.11-slim-bookworm"
    result = bench.make("docker", PYTHON_IMAGE=base)
    assert result.returncode != 0
    (line,) = one_error_line(result).splitlines()
    assert line.startswith(f"the limit on pulls of {base} is met: run")


@pytest.mark.cluster
def test_publish_and_deploy_of_a_private_image_ask_aws_for_nothing(
    bench: Workbench, registry_with_password: str, cluster: str
) -> None:
    namespace = f"{NAMESPACE}-account"
    bench.environment |= {"MLOPS_REGISTRY": f"{registry_with_password}/{ACCOUNT}", "MLOPS_NAMESPACE": namespace}
    bench.environment |= {"MLOPS_CLUSTER": cluster}
    kubectl = ("kubectl", "--namespace", namespace)
    # Given a namespace with the login of the nodes, named as docs/deploys.md says
    fit_to_server(bench.folder)
    account = bench.folder / "k8s/base/serviceaccount.yaml"
    account.write_text(f"{account.read_text()}imagePullSecrets:\n  - name: registry\n")
    version = bench.commit("Pull from a private registry")
    assert bench.make("login", LOGIN="token", given=TOKEN).returncode == 0
    assert bench.make("provision.rbac").returncode == 0
    secret = [*kubectl, "create", "secret", "generic", "registry", "--type", "kubernetes.io/dockerconfigjson"]
    login = Path(bench.environment["HOME"]) / ".docker/config.json"
    subprocess.run([*secret, f"--from-file=.dockerconfigjson={login}"], check=True, capture_output=True)

    # When the version is deployed with the login that the engine has
    try:
        result = bench.make("publish", "deploy")
        status = bench.make("status")
    finally:
        remove_namespace(namespace, wait=False)
        bench.restore()

    # Then the pods run that image, verified, and AWS was asked for nothing
    assert result.returncode == 0, result.stdout + result.stderr
    image = (bench.folder / "build/webservice.image").read_text().strip()
    assert image.startswith(f"{registry_with_password}/{ACCOUNT}/oncology-webservice@sha256:")
    assert f"image     {image}" in status.stdout
    assert f"verified  {version}" in status.stdout
    assert "AWS was asked" not in result.stderr
