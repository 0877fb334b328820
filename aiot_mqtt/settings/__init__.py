"""Settings from the environment and a ``.env``, checked together."""
