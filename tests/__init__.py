"""The tests; `log_scan` watches all of them."""
