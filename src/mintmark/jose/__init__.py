"""Signing of JSON: keys, key sets, compact signatures, and the strict reading of all three.

It knows no OAuth word and no clock: the moment is a parameter. Whatever bytes come in, nothing
but `JoseError` goes out. HMAC and `none` cannot be expressed: there is no algorithm value for them.
"""
