"""Every table, its columns, its indexes.

Moments are whole microseconds since 1970, digests are 32 bytes, lists and maps are JSON text.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

__all__ = [
    "accounts",
    "client_assertions",
    "codes",
    "consents",
    "device_codes",
    "metadata",
    "pushed_requests",
    "refresh_tokens",
    "revoked_families",
    "sessions",
    "signing_keys",
]

metadata = MetaData()

codes = Table(
    "codes",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("family", String(64), nullable=False),
    Column("session", String(64), nullable=False),
    Column("granted", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("code_challenge", String(43), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("redeemed", BigInteger),
    Index("codes_family", "family"),
    Index("codes_session", "session"),
    Index("codes_expires", "expires"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("family", String(64), nullable=False),
    Column("session", String(64), nullable=False),
    Column("granted", Text, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("family_expires", BigInteger, nullable=False),
    Column("spent", BigInteger),
    Column("successor", LargeBinary(32)),
    Column("sealed_successor", LargeBinary),
    Index("refresh_tokens_family", "family"),
    Index("refresh_tokens_session", "session"),
    Index("refresh_tokens_expires", "family_expires"),
)

revoked_families = Table(
    "revoked_families",
    metadata,
    Column("family", String(64), primary_key=True),
    Column("revoked", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("sid", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("amr", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("sessions_expires", "expires"),
)

consents = Table(
    "consents",
    metadata,
    Column("subject", String(255), primary_key=True),
    Column("client_id", String(255), primary_key=True),
    Column("scope_value", String(255), primary_key=True),
    Column("given", BigInteger, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("subject", String(255), primary_key=True),
    Column("username", String(255), nullable=False),
    Column("username_folded", String(255), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("claims", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
)

client_assertions = Table(
    "client_assertions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("ends", BigInteger, nullable=False),
    Index("client_assertions_ends", "ends"),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("sealed_private_key", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("retires", BigInteger, nullable=False),
)

pushed_requests = Table(
    "pushed_requests",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("client_id", String(255), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("pushed_requests_expires", "expires"),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("user_code", LargeBinary(32), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("asked", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("pause", BigInteger, nullable=False),
    Column("polled", BigInteger),
    Column("decision", String(16), nullable=False),
    Column("approval", Text),
    Index("device_codes_user_code", "user_code", unique=True),
    Index("device_codes_expires", "expires"),
)
