"""Redis: what many processes must remember together, and not for long."""
