from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom

from mlops_runtime.operations.canary.counts import Counts
from mlops_runtime.operations.canary.judgement import ALPHA, MIN_REQUESTS, PROBES, judge
from mlops_runtime.serving.routes import ROUTES

ROUTE = "/v1/predictions"
LOOKS = 12
"""Readings in two minutes."""


def pod(
    requests: int = 400,
    *,
    errors: int = 0,
    refused: int = 0,
    slow: int = 0,
    malignant: int | None = None,
    batch: int = 1,
) -> Counts:
    """Return what a pod has counted.

    Args:
        requests: for predictions; others have no effect on the predictions.
        errors: of them with status 500.
        refused: of them with status 422.
        slow: that took longer than 10 ms, but no longer than 50 ms.
        malignant: predictions of that label; by default a third.
        batch: records of a request.
    """
    answered = requests - errors - refused
    records = answered * batch
    counted = records // 3 if malignant is None else malignant
    return Counter(
        {
            ("responses", ROUTE, "POST", "200"): answered,
            ("responses", ROUTE, "POST", "500"): errors,
            ("responses", ROUTE, "POST", "422"): refused,
            ("responses", "/healthz", "GET", "200"): 60,
            ("durations", ROUTE, "0.01"): requests - slow,
            ("durations", ROUTE, "0.05"): requests,
            ("durations", ROUTE, "+Inf"): requests,
            ("predictions", "malignant"): counted,
            ("predictions", "benign"): records - counted,
        }
    )


def worse(canary: Counts, *old: Counts) -> list[str]:
    return [str(figure) for figure in judge([canary], old, ALPHA / LOOKS).worse]


def test_a_canary_as_good_as_the_old_pods_is_not_worse() -> None:
    judgement = judge([pod(250)], [pod(), pod()])

    assert judgement.worse == []
    assert judgement.findings().startswith(
        "not worse in 250 requests beside 800 of the old pods; nearest to the limit: predictions of benign:"
        " 66.8% of 250 with the canary, 66.8% of 800 without"
    )


def test_errors_are_named_with_their_share() -> None:
    assert worse(pod(40, errors=20), pod(errors=1), pod()) == [
        "server errors of all routes: 50.0% of 40 with the canary, 0.1% of 800 without",
        "server errors of POST /v1/predictions: 50.0% of 40 with the canary, 0.1% of 800 without",
    ]


def test_refused_requests_are_named_with_their_share() -> None:
    (of_all, of_route) = worse(pod(40, refused=20), pod(refused=4), pod(refused=4))

    assert of_all == "refused requests of all routes: 50.0% of 40 with the canary, 1.0% of 800 without"
    assert of_route.startswith("refused requests of POST /v1/predictions: ")


def test_a_route_that_the_canary_has_not_is_noticed() -> None:
    # Given a route of the old pods that is gone
    old = Counter(pod()) + Counter({("responses", "/customers/<id>", "GET", "200"): 100})
    canary = Counter(pod()) + Counter({("responses", "other", "GET", "404"): 50})

    assert worse(canary, old) == ["refused requests of all routes: 11.1% of 450 with the canary, 0.0% of 500 without"]


def test_slow_requests_are_named_with_both_percentiles() -> None:
    assert worse(pod(100, slow=30), pod(slow=2), pod(slow=2)) == [
        "requests to /v1/predictions beyond 10 ms, the p99 of the old pods (p99 of the canary: 50 ms):"
        " 30.0% of 100 with the canary, 0.5% of 800 without"
    ]


def test_requests_beyond_all_buckets_are_named() -> None:
    canary = Counter(pod(100)) - Counter({("durations", ROUTE, "0.01"): 30, ("durations", ROUTE, "0.05"): 30})

    (line,) = worse(canary, pod())

    assert "(p99 of the canary: beyond all buckets)" in line


def test_other_shares_of_predictions_are_named() -> None:
    assert worse(pod(100, malignant=90), pod(), pod()) == [
        "predictions of malignant: 90.0% of 100 with the canary, 33.2% of 800 without"
    ]


def test_a_label_that_is_gone_is_named() -> None:
    # Given three labels, of which the canary never predicts one
    counts = dict.fromkeys([("predictions", label) for label in ("benign", "malignant", "unclear")], 30)
    old = {**pod(90), **counts}
    canary = {**old, ("predictions", "benign"): 60, ("predictions", "unclear"): 0}

    assert "predictions other than unclear: 100.0% of 90 with the canary, 66.7% of 90 without" in worse(canary, old)


@pytest.mark.parametrize(
    "canary",
    [
        pytest.param(pod(10**6, errors=900), id="errors"),
        pytest.param(pod(10**6, refused=19_000), id="refused"),
        pytest.param(pod(10**6, slow=19_000), id="slow"),
        pytest.param(pod(10**6, malignant=430_000), id="predictions"),
    ],
)
def test_a_difference_that_does_not_matter_is_none(canary: Counts) -> None:
    assert worse(canary, pod(10**6)) == []


def test_what_an_old_pod_does_as_well_is_no_fault_of_the_canary() -> None:
    # Given a client with one connection, to one of the old pods, all of whose requests are refused
    assert worse(pod(100, refused=40), pod(100, refused=50), pod(), pod(), pod()) == []


def test_a_single_bad_request_of_an_old_pod_hides_nothing() -> None:
    assert len(worse(pod(100, errors=40), pod(1, errors=1), pod(), pod())) == 2


def test_a_large_request_counts_once() -> None:
    # Given two requests of a thousand records each, which are all alike
    assert worse(pod(2, batch=1000, malignant=2000), pod(6, batch=1000, malignant=0)) == []


def test_too_few_requests_are_said() -> None:
    assert judge([pod(12)], [pod()]).findings() == (
        "12 requests beside 400 of the old pods are too few to judge by (200 needed): promoted on its verification"
    )


def test_few_requests_that_fail_are_enough() -> None:
    assert len(worse(pod(8, errors=8), pod(50))) == 2


def test_other_labels_are_not_compared() -> None:
    # Given a canary that predicts another label, and nothing else
    canary = Counter(pod()) + Counter({("predictions", "unclear"): 400})
    old = Counter(pod()) + Counter({("predictions", "borderline"): 1})

    judgement = judge([canary], [old])

    assert judgement.worse == []
    assert judgement.findings().endswith("its predictions have other labels or ranges, and were not compared")


def test_without_counts_there_is_nothing_to_compare() -> None:
    judgement = judge([], [])

    assert (judgement.figures, judgement.worse, judgement.requests) == ([], [], 0)
    assert "too few" in judgement.findings()


def test_the_minimum_of_requests_finds_a_canary_that_fails_each_tenth() -> None:
    # Given the smallest number of errors that is found in that many requests, beside twice as many
    old = [pod(MIN_REQUESTS), pod(MIN_REQUESTS)]
    found = next(errors for errors in range(MIN_REQUESTS) if worse(pod(MIN_REQUESTS, errors=errors), *old))

    # Then a canary that fails each tenth has as many in 99 of 100 deploys
    assert binom.sf(found - 1, MIN_REQUESTS, 0.1) > 0.99


def test_a_good_canary_is_rarely_found_worse() -> None:
    # Given canaries that are as the old pods, which make mistakes themselves
    random = np.random.default_rng(0)

    def draw(requests: int) -> Counts:
        errors, refused, slow = (int(random.binomial(requests, share)) for share in (0.005, 0.05, 0.01))
        answered = requests - errors - refused
        malignant = int(random.binomial(answered, 0.35))
        return pod(requests, errors=errors, refused=refused, slow=slow, malignant=malignant)

    judgements = [judge([draw(120)], [draw(130), draw(110)], alpha=ALPHA) for _ in range(300)]

    assert [judgement for judgement in judgements if judgement.worse] == []


def test_probes_are_not_compared() -> None:
    assert set(PROBES) == {route.path for route in ROUTES if route.probe}
