"""Tests of aiot-mqtt; whatever they log is held to its level."""

from hypothesis import HealthCheck, settings

from .log_levels import watch_levels

watch_levels()
# Other tests run beside, so that an example may take any time.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
