"""Records to rows and back."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mintmark.server.stores import (
    AccountRecord,
    CodeRecord,
    Grant,
    KeyRecord,
    RefreshTokenRecord,
    SessionRecord,
)

__all__ = [
    "moment",
    "read_account",
    "read_code",
    "read_grant",
    "read_key",
    "read_refresh_token",
    "read_session",
    "stamp",
    "write_account",
    "write_code",
    "write_grant",
    "write_key",
    "write_refresh_token",
    "write_session",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def stamp(at: datetime) -> int:
    """Whole microseconds since 1970; exact, unlike a float of seconds."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


class _Granted(msgspec.Struct):
    client_id: str
    subject: str
    scope: list[str]
    resource: list[str]
    auth_time: int
    nonce: str | None
    acr: str | None
    amr: list[str]
    jkt: str | None = None  # younger than the table, as all below
    authorization_details: str = ""
    id_token_claims: list[str] = []
    userinfo_claims: list[str] = []


def write_grant(grant: Grant) -> str:
    granted = _Granted(
        grant.client_id,
        grant.subject,
        sorted(grant.scope),
        list(grant.resource),
        stamp(grant.auth_time),
        grant.nonce,
        grant.acr,
        list(grant.amr),
        grant.jkt,
        grant.authorization_details,
        list(grant.id_token_claims),
        list(grant.userinfo_claims),
    )
    return msgspec.json.encode(granted).decode()


def read_grant(row: sqlite3.Row) -> Grant:
    granted = msgspec.json.decode(row["granted"], type=_Granted)
    return Grant(
        family=row["family"],
        session=row["session"],
        client_id=granted.client_id,
        subject=granted.subject,
        scope=frozenset(granted.scope),
        resource=tuple(granted.resource),
        auth_time=moment(granted.auth_time),
        nonce=granted.nonce,
        acr=granted.acr,
        amr=tuple(granted.amr),
        jkt=granted.jkt,
        authorization_details=granted.authorization_details,
        id_token_claims=tuple(granted.id_token_claims),
        userinfo_claims=tuple(granted.userinfo_claims),
    )


def write_code(record: CodeRecord) -> dict[str, Any]:
    return {
        "digest": record.digest,
        "family": record.grant.family,
        "session": record.grant.session,
        "granted": write_grant(record.grant),
        "redirect_uri": record.redirect_uri,
        "code_challenge": record.code_challenge,
        "expires": stamp(record.expires),
        "redeemed": None,
    }


def read_code(row: sqlite3.Row) -> CodeRecord:
    return CodeRecord(
        digest=row["digest"],
        grant=read_grant(row),
        redirect_uri=row["redirect_uri"],
        code_challenge=row["code_challenge"],
        expires=moment(row["expires"]),
    )


def write_refresh_token(record: RefreshTokenRecord) -> dict[str, Any]:
    return {
        "digest": record.digest,
        "family": record.grant.family,
        "session": record.grant.session,
        "granted": write_grant(record.grant),
        "issued": stamp(record.issued),
        "expires": stamp(record.expires),
        "family_expires": stamp(record.family_expires),
        "spent": None,
        "successor": None,
        "sealed_successor": None,
    }


def read_refresh_token(row: sqlite3.Row) -> RefreshTokenRecord:
    return RefreshTokenRecord(
        digest=row["digest"],
        grant=read_grant(row),
        issued=moment(row["issued"]),
        expires=moment(row["expires"]),
        family_expires=moment(row["family_expires"]),
    )


def write_session(record: SessionRecord) -> dict[str, Any]:
    return {
        "digest": record.digest,
        "sid": record.sid,
        "subject": record.subject,
        "auth_time": stamp(record.auth_time),
        "amr": msgspec.json.encode(record.amr).decode(),
        "expires": stamp(record.expires),
    }


def read_session(row: sqlite3.Row) -> SessionRecord:
    return SessionRecord(
        digest=row["digest"],
        sid=row["sid"],
        subject=row["subject"],
        auth_time=moment(row["auth_time"]),
        amr=tuple(msgspec.json.decode(row["amr"], type=list[str])),
        expires=moment(row["expires"]),
    )


def write_account(record: AccountRecord) -> dict[str, Any]:
    return {
        "subject": record.subject,
        "username": record.username,
        "username_folded": record.username.casefold(),
        "password_hash": record.password_hash,
        "claims": msgspec.json.encode(record.claims).decode(),
        "disabled": record.disabled,
    }


def read_account(row: sqlite3.Row) -> AccountRecord:
    return AccountRecord(
        subject=row["subject"],
        username=row["username"],
        password_hash=row["password_hash"],
        claims=msgspec.json.decode(row["claims"], type=dict[str, str]),
        disabled=bool(row["disabled"]),
    )


def write_key(record: KeyRecord) -> dict[str, Any]:
    return {
        "kid": record.kid,
        "algorithm": record.algorithm,
        "sealed_private_key": record.sealed_private_key,
        "created": stamp(record.created),
        "signs_from": stamp(record.signs_from),
        "retires": stamp(record.retires),
    }


def read_key(row: sqlite3.Row) -> KeyRecord:
    return KeyRecord(
        kid=row["kid"],
        algorithm=row["algorithm"],
        sealed_private_key=row["sealed_private_key"],
        created=moment(row["created"]),
        signs_from=moment(row["signs_from"]),
        retires=moment(row["retires"]),
    )
