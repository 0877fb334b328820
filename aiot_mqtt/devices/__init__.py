"""What a message says about a device, and what is to be written of it. Pure."""
