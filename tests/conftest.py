from __future__ import annotations

import gc

from hypothesis import HealthCheck, settings

# Machines are noisy: how long an example takes is no reason for a test to fail.
HOUSE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("house", HOUSE, max_examples=20)
settings.register_profile(
    "deep", HOUSE, max_examples=200
)  # the hard tier's (tests/hard/test_deep.py)
settings.load_profile("house")

# Importing the house makes a million objects that stay. Looking for garbage among them costs a tenth of a quick run.
gc.set_threshold(50_000)


def pytest_collection_finish() -> None:
    gc.freeze()
