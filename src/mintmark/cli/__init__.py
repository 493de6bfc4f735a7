"""The command line: `mintmark serve`, `demo`, `migrate`, and a few small makers of secrets.

Every failure ends in one line that says what is wrong, sometimes one that says what to do, and an
exit status of its own. No rule lives here.
"""
