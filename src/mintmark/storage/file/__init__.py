"""Stores that need nothing but a folder."""

from mintmark.storage.file.key import KeyFileUnusable, key_file
from mintmark.storage.file.private import NotPrivate
from mintmark.storage.file.tokens import FileTokens

__all__ = ["FileTokens", "KeyFileUnusable", "NotPrivate", "key_file"]
