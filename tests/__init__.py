"""Tests of aiot-mqtt; whatever they log is held to its level."""

from .log_levels import watch_levels

watch_levels()
