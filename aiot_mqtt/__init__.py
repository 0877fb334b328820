"""Listens to IoT devices over MQTT and keeps one existing MySQL table true about them."""

__version__ = "0.1.0"
