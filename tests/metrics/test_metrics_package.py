import subprocess
import sys

import pytest

import repkit.metrics


def test_importing_the_metrics_loads_nothing_slow():
    heavy = ["torch", "sklearn.linear_model", "sklearn.svm", "sklearn.model_selection"]
    code = f"import sys, repkit.metrics; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    assert all(hasattr(repkit.metrics, name) for name in repkit.metrics.__all__)
    assert sorted(repkit.metrics.__all__) == repkit.metrics.__all__


def test_the_earlier_spelling_still_works():
    from repkit.metrics import soft_neighbourhood_density

    assert soft_neighbourhood_density is repkit.metrics.soft_neighborhood_density
    assert "soft_neighbourhood_density" not in repkit.metrics.__all__
    with pytest.raises(AttributeError, match="has no attribute 'soft_neighbourhood'"):
        repkit.metrics.soft_neighbourhood  # noqa: B018
