"""API keys as a secret of an app."""

import pytest

from mlops_runtime.operations.azure.app import ContainerApp
from mlops_runtime.operations.azure.keys import KeySecret, hashes_in, resource_in, text_of
from mlops_runtime.operations.azure.resource import Resource
from mlops_runtime.operations.azure.site import Site
from mlops_runtime.operations.keys import KeysError, add, ensure, remove
from tests.runtime.operations.azure.conftest import ENVIRONMENT, AzInMemory
from tests.runtime.operations.azure.test_container_apps import deploy
from tests.runtime.operations.test_rollout import Image


def store_on(az: AzInMemory) -> KeySecret:
    return KeySecret(ContainerApp(az, "x", "x-app"))


def test_the_first_key_is_made_with_the_app(az: AzInMemory) -> None:
    # Given no app
    store = store_on(az)
    assert store.names() is None

    # When a first key is made
    assert ensure(store)

    # Then it waits for the app, beside the operator's key
    assert store.first.keys() == {"keys", "operator"}
    assert list(hashes_in(store.first["keys"])) == ["first"]


def test_keys_come_and_go_and_the_replicas_are_restarted(az: AzInMemory) -> None:
    # Given an app with a first key
    deploy(az, Image.GOOD)
    store = store_on(az)
    operator = (store.app.secrets() or {})["operator"]

    # When a caller gets a key, and the first one goes
    add(store, "hospital")
    remove(store, "first")
    store.refresh()

    # Then the app has the other one, and the operator's key as before
    assert store.names() == ["hospital"]
    assert (store.app.secrets() or {})["operator"] == operator
    assert [command for command in az.commands if "restart" in command] == ["rest post /revisions/x-app--r1/restart"]
    with pytest.raises(KeysError, match="hospital has the last key"):
        remove(store, "hospital")


def test_a_secret_that_somebody_has_removed_is_made_again(az: AzInMemory) -> None:
    deploy(az, Image.GOOD)
    store = store_on(az)
    store.app.set_secrets({"operator": "o"})
    assert store.names() is None

    add(store, "hospital")

    assert store.names() == ["hospital"]
    assert (store.app.secrets() or {})["operator"] == "o"


def test_the_text_has_the_hash_of_each_caller() -> None:
    hashes = {"b": "2" * 64, "a": "1" * 64}

    assert text_of(hashes) == f"a:{'1' * 64} b:{'2' * 64}"
    assert hashes_in(text_of(hashes)) == hashes


@pytest.mark.parametrize(
    ("platform", "kind"), [("azure-container-apps", ContainerApp), ("azure-web-app", Site)], ids=["apps", "web app"]
)
def test_the_keys_are_those_of_the_platform(platform: str, kind: type[Resource]) -> None:
    assert isinstance(resource_in(ENVIRONMENT | {"PLATFORM": platform}), kind)
