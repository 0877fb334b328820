"""The owner's table: the contract that writer and sweep rely on, and all SQL."""
