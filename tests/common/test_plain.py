"""Values as JSON has them."""

import json
import math

import numpy as np
import pytest

from xpnet.common.plain import plain


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float32("inf"), None),
        (np.float64(0.5), 0.5),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        ({1: (True, None, "a")}, {"1": [True, None, "a"]}),
        ([np.array([1.0, math.nan])], [[1.0, None]]),
        (math.sqrt, "sqrt"),
        (slice(1, 2), "slice(1, 2, None)"),
    ],
)
def test_a_value_becomes_one_that_json_has(value, wanted):
    assert plain(value) == wanted
    json.dumps(plain(value), allow_nan=False)
