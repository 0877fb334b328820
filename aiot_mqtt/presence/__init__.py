"""Who is offline: devices that were not heard for long enough while this service listened."""
