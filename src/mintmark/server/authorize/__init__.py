"""The authorization request: from a browser's question to a code, or a refusal, or a page.

`steps` lists every check in its order: read that first. Pages are somebody else's: what a person
must be asked comes out as an `Outcome`.
"""
