"""For everybody's test suite: a clock one sets, a token server that misbehaves on request, a browser
without a window.

Nothing here is meant for production, and nothing in the layers below knows of it.
"""

from mintmark.testing.authority import FakeAuthority
from mintmark.testing.browser import HeadlessBrowser, Page
from mintmark.testing.clock import FrozenClock

__all__ = ["FakeAuthority", "FrozenClock", "HeadlessBrowser", "Page"]
