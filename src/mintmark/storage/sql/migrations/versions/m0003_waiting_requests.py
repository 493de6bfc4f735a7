"""Pushed authorization requests, and devices that wait for a person."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "pushed_requests",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("pushed_requests_expires", "pushed_requests", ["expires"])
    op.create_table(
        "device_codes",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("user_code", sa.LargeBinary(32), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("pause", sa.BigInteger, nullable=False),
        sa.Column("polled", sa.BigInteger),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("approval", sa.Text),
    )
    op.create_index("device_codes_user_code", "device_codes", ["user_code"], unique=True)
    op.create_index("device_codes_expires", "device_codes", ["expires"])
