"""The owner's table: the contract that the writer and the sweep rely on, and all SQL."""
