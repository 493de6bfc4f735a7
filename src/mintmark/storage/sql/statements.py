"""Every statement: defined with SQLAlchemy Core, compiled once, run by the driver."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import (
    ClauseElement,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as upsert

from mintmark.storage.sql import schema

__all__ = ["Statement", "Statements"]

_DIALECT = sqlite.dialect(paramstyle="qmark")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text, and the names of its parameters in order."""

    text: str
    parameters: tuple[str, ...]
    constants: Mapping[str, Any]

    @classmethod
    def compile(cls, clause: ClauseElement) -> Self:
        compiled: Any = clause.compile(dialect=_DIALECT)
        names = tuple(compiled.positiontup or ())
        # What stands in the statement itself gets a name of SQLAlchemy's own making.
        constants = {name: compiled.params[name] for name in names if name.startswith("param_")}
        return cls(str(compiled), names, constants)

    def bind(self, **values: Any) -> tuple[Any, ...]:
        """The values in the order of the text; a missing one raises `KeyError`."""
        if self.constants:
            values = {**self.constants, **values}
        return tuple([values[name] for name in self.parameters])


def _by(table: Any, *columns: str) -> Any:
    return and_(*(table.c[name] == bindparam(f"by_{name}") for name in columns))


def _upsert_by_subject() -> ClauseElement:
    put = upsert(schema.accounts)
    replaced = {c.name: put.excluded[c.name] for c in schema.accounts.c if c.name != "subject"}
    return put.on_conflict_do_update(index_elements=["subject"], set_=replaced)


class Statements:
    """One for each thing a store does."""

    _codes, _tokens = schema.codes, schema.refresh_tokens

    add_code = Statement.compile(insert(_codes))
    redeem_code = Statement.compile(
        update(_codes)
        .where(_by(_codes, "digest"), _codes.c.redeemed.is_(None))
        .values(redeemed=bindparam("now"))
        .returning(*_codes.c)
    )
    find_code = Statement.compile(select(_codes).where(_by(_codes, "digest")))

    add_refresh_token = Statement.compile(insert(_tokens))
    add_first_refresh_token = Statement.compile(
        insert(_tokens).from_select(
            [column.name for column in _tokens.c],
            select(*(bindparam(c.name, type_=c.type).label(c.name) for c in _tokens.c)).where(
                ~exists(
                    select(literal(1))
                    .select_from(schema.revoked_families)
                    .where(schema.revoked_families.c.family == bindparam("by_family"))
                )
            ),
        )
    )
    find_refresh_token = Statement.compile(select(_tokens).where(_by(_tokens, "digest")))
    find_unspent = Statement.compile(
        select(_tokens).where(_by(_tokens, "digest"), _tokens.c.spent.is_(None))
    )
    spend_refresh_token = Statement.compile(
        update(_tokens)
        .where(_by(_tokens, "digest"), _tokens.c.spent.is_(None))
        .values(
            spent=bindparam("now"),
            successor=bindparam("new_successor"),
            sealed_successor=bindparam("new_sealed_successor"),
        )
    )
    _successor = _tokens.alias("successor_row")
    find_spent = Statement.compile(
        select(
            _tokens.c.spent,
            _tokens.c.sealed_successor,
            _successor.c.digest.label("successor_exists"),
            _successor.c.spent.label("successor_spent"),
        )
        .select_from(_tokens.outerjoin(_successor, _successor.c.digest == _tokens.c.successor))
        .where(_by(_tokens, "digest"))
    )

    mark_family_revoked = Statement.compile(
        upsert(schema.revoked_families).on_conflict_do_nothing()
    )
    find_revoked = Statement.compile(
        select(schema.revoked_families.c.family).where(
            schema.revoked_families.c.family.in_([bindparam("by_family"), bindparam("by_session")])
        )
    )
    delete_family_tokens = Statement.compile(delete(_tokens).where(_by(_tokens, "family")))
    delete_family_codes = Statement.compile(delete(_codes).where(_by(_codes, "family")))
    families_of_session = Statement.compile(
        select(_tokens.c.family)
        .where(_by(_tokens, "session"))
        .union(select(_codes.c.family).where(_by(_codes, "session")))
    )

    add_session = Statement.compile(insert(schema.sessions))
    find_session = Statement.compile(select(schema.sessions).where(_by(schema.sessions, "digest")))
    end_session = Statement.compile(
        delete(schema.sessions).where(_by(schema.sessions, "digest")).returning(*schema.sessions.c)
    )

    find_consents = Statement.compile(
        select(schema.consents.c.scope_value).where(_by(schema.consents, "subject", "client_id"))
    )
    remember_consent = Statement.compile(upsert(schema.consents).on_conflict_do_nothing())

    find_account = Statement.compile(select(schema.accounts).where(_by(schema.accounts, "subject")))
    find_account_by_name = Statement.compile(
        select(schema.accounts).where(_by(schema.accounts, "username_folded"))
    )
    all_subjects = Statement.compile(
        select(schema.accounts.c.subject).order_by(schema.accounts.c.subject)
    )
    put_account = Statement.compile(_upsert_by_subject())

    claim_assertion = Statement.compile(upsert(schema.client_assertions).on_conflict_do_nothing())

    all_keys = Statement.compile(select(schema.signing_keys).order_by(schema.signing_keys.c.kid))
    keys_of_algorithm = Statement.compile(
        select(schema.signing_keys.c.kid).where(_by(schema.signing_keys, "algorithm"))
    )
    add_key = Statement.compile(insert(schema.signing_keys))

    prune_codes = Statement.compile(
        delete(_codes).where(
            _codes.c.digest.in_(
                select(_codes.c.digest)
                .where(_codes.c.expires < bindparam("before"))
                .limit(bindparam("at_most"))
            )
        )
    )
    prune_refresh_tokens = Statement.compile(
        delete(_tokens).where(
            _tokens.c.digest.in_(
                select(_tokens.c.digest)
                .where(_tokens.c.family_expires < bindparam("before"))
                .limit(bindparam("at_most"))
            )
        )
    )
    prune_revoked_families = Statement.compile(
        delete(schema.revoked_families).where(
            schema.revoked_families.c.family.in_(
                select(schema.revoked_families.c.family)
                .where(schema.revoked_families.c.revoked < bindparam("before"))
                .limit(bindparam("at_most"))
            )
        )
    )
    prune_sessions = Statement.compile(
        delete(schema.sessions).where(
            schema.sessions.c.digest.in_(
                select(schema.sessions.c.digest)
                .where(schema.sessions.c.expires < bindparam("before"))
                .limit(bindparam("at_most"))
            )
        )
    )
    prune_client_assertions = Statement.compile(
        delete(schema.client_assertions).where(
            schema.client_assertions.c.digest.in_(
                select(schema.client_assertions.c.digest)
                .where(schema.client_assertions.c.ends < bindparam("before"))
                .limit(bindparam("at_most"))
            )
        )
    )
