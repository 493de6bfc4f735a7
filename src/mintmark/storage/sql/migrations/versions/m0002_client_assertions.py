"""Client assertions that were used, until they end."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "client_assertions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("ends", sa.BigInteger, nullable=False),
    )
    op.create_index("client_assertions_ends", "client_assertions", ["ends"])
