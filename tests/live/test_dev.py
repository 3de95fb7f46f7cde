"""`make dev` in a container: the tests of tests/test_dev.py, and what an engine adds."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.test_dev import (
    APP,
    Development,
    service,
    test_a_broken_edit_is_explained_until_it_is_mended,
    test_a_new_artefact_is_visible,
    test_a_page_that_comes_changes_and_goes_is_visible,
    test_a_second_one_at_the_same_port_is_refused,
    test_a_stop_during_an_edit_leaves_nothing,
    test_an_edit_of_the_application_is_visible,
    test_an_edit_of_the_contract_is_visible,
    test_no_request_is_refused_while_edits_follow_one_another,
    trained,
)

__all__ = [
    "service",
    "test_a_broken_edit_is_explained_until_it_is_mended",
    "test_a_new_artefact_is_visible",
    "test_a_page_that_comes_changes_and_goes_is_visible",
    "test_a_second_one_at_the_same_port_is_refused",
    "test_a_stop_during_an_edit_leaves_nothing",
    "test_an_edit_of_the_application_is_visible",
    "test_an_edit_of_the_contract_is_visible",
    "test_no_request_is_refused_while_edits_follow_one_another",
    "trained",
]

pytestmark = pytest.mark.engine


def containers(engine: str, port: int = 0) -> list[str]:
    """Return the names of the containers of `make dev`, at one port or all."""
    command = [engine, "ps", "--all", "--format", "{{.Names}}", "--filter", f"name=oncology-dev-{port or ''}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="module")
def command(engine: str) -> Iterator[str]:
    plugin = subprocess.run([engine, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not plugin and shutil.which(f"{engine}-compose") is None:
        missing("compose", "install the plugin of Docker, or docker-compose")
    before = containers(engine)
    yield "dev"
    assert containers(engine) == before


def test_the_image_is_not_built_for_an_edit(service: Development, trained: Path, engine: str) -> None:
    # Given a service in one container, with what a file of this machine says
    assert len(containers(engine, service.port)) == 1
    service.replace(APP, "TITLE = ", "TITLE = 2 * ")
    service.wait_for("/", 200, "<title>")

    # Then make has nothing to build
    command = ["make", "--question", "build/dev.built"]
    assert subprocess.run(command, cwd=trained, check=False).returncode == 0
