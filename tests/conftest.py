from __future__ import annotations

import gc

from hypothesis import HealthCheck, settings

# Machines are noisy: how long an example takes is no reason for a test to fail.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Importing the house makes a million objects that stay. Looking for garbage among them costs a tenth of a quick run.
gc.set_threshold(50_000)


def pytest_collection_finish() -> None:
    gc.freeze()
