import numpy as np
import pytest


@pytest.fixture
def waves():
    """Noises of many lengths, from one sample to two thirds of a second at 16 kHz."""
    rng = np.random.default_rng(0)
    lengths = [1, 2, 159, 160, 161, 400, 513, 1600, 3001, 5000, 8000, 10001]
    return [(0.3 * rng.standard_normal(n)).astype(np.float32) for n in lengths]
