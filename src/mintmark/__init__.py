"""Access tokens for Python: ask for them, accept them, issue them, prove it all.

Nothing is exported here but the version; each role is imported by its own name:
`mintmark.client`, `mintmark.api`, `mintmark.server`, `mintmark.webapp`, `mintmark.testing`.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("mintmark")
