"""Stores that need nothing but a folder."""
