"""For all tests: examples that hypothesis draws have no time limit of their own."""

from __future__ import annotations

import hypothesis

# a loaded machine is no counterexample; pytest-timeout ends what hangs
hypothesis.settings.register_profile(
    "orq", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("orq")
