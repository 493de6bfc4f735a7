"""One module for each URL of machines: request in, response out, no rule of its own."""
