"""The first schema: clients are configuration, everything else has a table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "codes",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("family", sa.String(64), nullable=False),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("granted", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("code_challenge", sa.String(43), nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("redeemed", sa.BigInteger),
    )
    op.create_index("codes_family", "codes", ["family"])
    op.create_index("codes_session", "codes", ["session"])
    op.create_index("codes_expires", "codes", ["expires"])
    op.create_table(
        "refresh_tokens",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("family", sa.String(64), nullable=False),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("granted", sa.Text, nullable=False),
        sa.Column("issued", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("family_expires", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger),
        sa.Column("successor", sa.LargeBinary(32)),
        sa.Column("sealed_successor", sa.LargeBinary),
    )
    op.create_index("refresh_tokens_family", "refresh_tokens", ["family"])
    op.create_index("refresh_tokens_session", "refresh_tokens", ["session"])
    op.create_index("refresh_tokens_expires", "refresh_tokens", ["family_expires"])
    op.create_table(
        "revoked_families",
        sa.Column("family", sa.String(64), primary_key=True),
        sa.Column("revoked", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("sid", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("auth_time", sa.BigInteger, nullable=False),
        sa.Column("amr", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("sessions_expires", "sessions", ["expires"])
    op.create_table(
        "consents",
        sa.Column("subject", sa.String(255), primary_key=True),
        sa.Column("client_id", sa.String(255), primary_key=True),
        sa.Column("scope_value", sa.String(255), primary_key=True),
        sa.Column("given", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("subject", sa.String(255), primary_key=True),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("username_folded", sa.String(255), nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("sealed_private_key", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("signs_from", sa.BigInteger, nullable=False),
        sa.Column("retires", sa.BigInteger, nullable=False),
    )
