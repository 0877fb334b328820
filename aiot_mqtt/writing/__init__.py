"""What is pending goes into the table, or to the spool while the database is away."""
