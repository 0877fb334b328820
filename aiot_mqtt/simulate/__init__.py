"""``aiot-mqtt simulate``: a fleet of devices that publishes."""
