"""A grant type of the operator's own, and the settings of all of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from tests.server.conftest import claims_of, require_refusal
from tests.server.exchanging import EXCHANGE, JWT_BEARER, NAMES, SETTINGS, STOCK, opened

from mintmark.app import GrantParts, OwnGrant, Settings, SettingsRefused, require_usable
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret
from mintmark.server.asker import Asker
from mintmark.server.grants.offered import OfferedGrant, OfferedGrants
from mintmark.testing import FrozenClock

VOUCHER = "urn:example:voucher"


@dataclass(frozen=True)
class VoucherRequest:
    grant_type: ClassVar[str] = VOUCHER

    voucher: Secret

    @classmethod
    def parse(cls, form: Form) -> Self:
        return cls(voucher=form.required("voucher", Secret))


def voucher_grant(parts: GrantParts) -> Callable[[VoucherRequest, Asker], Awaitable[TokenResponse]]:
    async def tokens_for(request: VoucherRequest, asker: Asker) -> TokenResponse:
        if request.voucher != Secret("ten-percent"):
            raise OAuthError(ErrorCode.INVALID_GRANT, "the voucher is not valid")
        aud, scope = parts.mint.audience(asker.client.scope, (STOCK,))
        return TokenResponse(
            access_token=parts.mint.for_client(asker, scope, aud),
            token_type=asker.token_type,
            expires_in=parts.mint.lifetime(asker),
            scope=scope,
        )

    return tokens_for


OWN = OwnGrant(VoucherRequest, voucher_grant)
WITH_VOUCHERS = SETTINGS.replace(
    'grant_types = ["client_credentials"]', f'grant_types = ["{VOUCHER}"]'
)


class TestOwnGrants:
    async def test_it_answers_and_metadata_names_it(
        self, tmp_path: Path, clock: FrozenClock
    ) -> None:
        async with opened(tmp_path, clock, [OWN], WITH_VOUCHERS) as server:
            form = {"grant_type": VOUCHER, "voucher": "ten-percent"}
            answer = await server.post(form, "plain")
            wrong = await server.post({**form, "voucher": "half"}, "plain")
            missing = await server.post({"grant_type": VOUCHER}, "plain")
            other = await server.post(form, "orders")
            metadata = await server.endpoint.http.get("/.well-known/openid-configuration")

        assert claims_of(answer.json()["access_token"])["client_id"] == "plain"
        require_refusal(wrong, "invalid_grant")
        require_refusal(missing, "invalid_request")
        require_refusal(other, "unauthorized_client")
        assert metadata.json()["grant_types_supported"] == [
            "authorization_code", "refresh_token", "client_credentials", EXCHANGE, JWT_BEARER,
            "urn:ietf:params:oauth:grant-type:device_code", VOUCHER,
        ]  # fmt: skip

    async def test_without_it_nobody_is_registered_for_it(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsRefused, match="is not offered"):
            usable(tmp_path, WITH_VOUCHERS)
        assert usable(tmp_path, WITH_VOUCHERS, OWN)

    def test_one_name_is_offered_once(self) -> None:
        async def tokens_for(request: VoucherRequest, asker: Asker) -> TokenResponse:
            raise AssertionError

        offered = OfferedGrant(VoucherRequest, tokens_for)

        assert OfferedGrants(offered).grant_types == (VOUCHER,)
        with pytest.raises(ValueError, match="twice"):
            OfferedGrants(offered, offered)


def usable(folder: Path, settings: str, *own: OwnGrant[Any]) -> Any:
    from tests.jose.forge import ES256

    from mintmark.jose.key_set import KeySet

    (folder / "partner.jwks.json").write_bytes(KeySet.of(ES256.public).to_json())
    config = folder / "mintmark.toml"
    config.write_text(settings)
    environment = {name: Secret.generate().reveal() for name in NAMES}
    return require_usable(Settings.load(config), folder, environment, own_grants=own)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('owners = ["stock"]', 'owners = ["nobody"]', "'nobody' is no client"),
        ('owners = ["stock"]', 'owners = ["phone"]', "'phone' is no client that proves itself"),
        ('may_act = "stock"', 'may_act = "nobody"', "'nobody' is no client"),
        ('owners = ["stock"]', "owners = []", "no resource that this client owns"),
        (f'to = "{STOCK}"', 'to = "https://nobody.example"', "there is no resource"),
        ('{ "stock.read" = ["print.all"] }', '{ "orders.read" = ["print.all"] }', "is no scope of"),
        ('{ "stock.read" = ["print.all"] }', '{ "stock.read" = ["stock.read"] }', "must be a scope of"),
        ('style = "impersonation"', 'style = "impersonation"\nactors = ["2-bob"]', "names no actors"),
        ('actors = ["2-bob"]', 'actors = ["9-eve"]', "no user's subject"),
        ("max_age = 300", "max_age = -1", "must be between"),
        ('style = "impersonation"', 'style = "hiding"', "Invalid enum"),
        ('to = "https://print.example"\nscopes = { "orders', f'to = "{STOCK}"\nscopes = {{ "orders', "must be a scope"),
        (f'client_id = "job"\nname = "The partner\'s job"\ngrant_types = ["{JWT_BEARER}"]',
         'client_id = "job"\nname = "x"\ngrant_types = ["client_credentials"]', "no client with the grant type"),
        ('clients = ["job"]\nscopes = ["orders.read"]', 'clients = ["job"]\nscopes = ["print.all"]', "has the scope"),
        ('"p-2" = "2-bob"', '"p-2" = "9-eve"', "no user's subject"),
        ('jwks = { file = "partner.jwks.json" }', "", "exactly one of jwks and jwks_uri"),
        ('jwks = { file = "partner.jwks.json" }', 'jwks_uri = "http://partner.example/jwks"', "only https"),
        ('jwks = { file = "partner.jwks.json" }', 'jwks_uri = "https://u@partner.example/jwks"', "user-info"),
        ('issuer = "https://partner.example"', 'issuer = "https://id.example"', "must be another issuer"),
        ("access_token_lifetime = 86400", "access_token_lifetime = 86401", "at most a day"),
        (f'grant_types = ["{EXCHANGE}"]', 'grant_types = ["client_credentials"]', "is needed"),
        (f'"{EXCHANGE}"', '"urn:ietf:params:oauth:grant-type:token_exchange"', "did you mean"),
        ('from = "', 'form = "', "did you mean from"),
    ],
)  # fmt: skip
def test_settings_that_contradict_themselves_are_refused(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert usable(tmp_path, SETTINGS).issuers
    assert old in SETTINGS

    with pytest.raises(SettingsRefused, match=complaint):
        usable(tmp_path, SETTINGS.replace(old, new))


def test_a_client_without_a_secret_has_nothing_exchanged(tmp_path: Path) -> None:
    public = SETTINGS.replace(
        'method = "none"\nrequires_consent = false\ngrant_types = ["authorization_code", "refresh_token"]',
        f'method = "none"\ngrant_types = ["authorization_code", "{EXCHANGE}"]',
    )

    with pytest.raises(SettingsRefused, match="keeps no secret"):
        usable(tmp_path, public)


def test_one_issuer_is_described_once(tmp_path: Path) -> None:
    again = SETTINGS[SETTINGS.index("[[trusted_issuers]]") : SETTINGS.index("[[users]]")]

    with pytest.raises(SettingsRefused, match="twice"):
        usable(tmp_path, SETTINGS + again)
