"""The two cookies of the token server: a session, and a browser that has none yet."""

__all__ = ["BROWSER", "SESSION"]

SESSION = "__Host-mintmark-session"
BROWSER = "__Host-mintmark-browser"
