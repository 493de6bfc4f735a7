"""The whole picture on one machine: a token server, a web application, an API, and one behind it.

Real parts over real HTTP, in one process and on four ports. It shows how the pieces are put
together and is read as an example; `check` walks through it and says what holds.
"""
