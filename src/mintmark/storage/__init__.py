"""The stores, for every protocol of the layers below.

Memory for tests and demos, SQL for everything else: one schema, defined with SQLAlchemy Core, each
statement compiled once for its dialect and run by the driver. No rule of a protocol is decided
here but its atomicity.
"""
