from __future__ import annotations

from hypothesis import HealthCheck, settings

# Machines are noisy: how long an example takes is no reason for a test to fail.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
