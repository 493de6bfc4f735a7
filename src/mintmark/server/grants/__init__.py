"""One module for each grant type. What all grants share belongs to the token endpoint."""
