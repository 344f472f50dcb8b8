"""scikit-learn's own suite, whole, for every public estimator."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from repkit import DANN

ESTIMATORS = [DANN()]

# check name -> why it cannot pass, as scikit-learn declares its own; none so far.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {"DANN": {}}


@parametrize_with_checks(
    ESTIMATORS,
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES[type(estimator).__name__],
)
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_suite_is_whole():
    """An environment in which scikit-learn leaves out its checks would pass for nothing."""
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(DANN(max_epochs=1), on_fail=None, on_skip=None, legacy=False)
    assert not [r for r in results if r["status"] == "skipped"]


@pytest.mark.parametrize("name", ["DANN"])
def test_every_public_estimator_is_here(name):
    assert name in EXPECTED_FAILURES
