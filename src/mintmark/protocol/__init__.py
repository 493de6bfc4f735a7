"""What both ends of a wire must agree on, written once.

Every message of the picture, parsed into a frozen type and written back, and every rule that a
client, an API and a server must apply alike. Pure: no I/O, no clock, no configuration; the moment,
the keys and the limits are given by the caller. It does not decide policy: who may have which
token is the server's business, whether a token is good enough is the API's.
"""
