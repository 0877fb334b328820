"""The whole service in a seeded simulation: no promise is broken, and each fault that is drawn takes effect."""
