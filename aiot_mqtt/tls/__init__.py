"""TLS as a client, for the broker and for the database: what is checked of a peer, and how a refusal is told."""
