"""``aiot-mqtt check``: what is wrong here, what first, and what to do about it."""
