"""Units on pure values and a clock that the test moves: no network, no global reactor, no sleep."""

from hypothesis import HealthCheck, settings

# Other tests run beside, so that an example may take any time.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
