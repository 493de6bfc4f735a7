"""Date claims on the second (RFC 7519)."""

import pytest

from mintmark.jose.errors import ClaimRefused
from mintmark.jose.times import IAT_AHEAD, require_current

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("exp", "nbf", "iat", "skew", "lives"),
    [
        pytest.param(NOW + 1, None, None, 0, True, id="RFC 7519 §4.1.4-before"),
        pytest.param(NOW, None, None, 0, False, id="RFC 7519 §4.1.4-on-the-second"),
        pytest.param(NOW - 29, None, None, 30, True, id="G1-inside-skew"),
        pytest.param(NOW - 30, None, None, 30, False, id="G2-skew-is-over"),
        pytest.param(NOW + 9, NOW, None, 0, True, id="RFC 7519 §4.1.5-on-the-second"),
        pytest.param(NOW + 9, NOW + 1, None, 0, False, id="RFC 7519 §4.1.5-before"),
        pytest.param(NOW + 7200, NOW + 3600, None, 30, False, id="G3"),
        pytest.param(NOW + 9, None, NOW + IAT_AHEAD - 60, 0, True, id="RFC 7519 §4.1.6-now"),
        pytest.param(NOW + 900, None, NOW + IAT_AHEAD, 0, True, id="RFC 7519 §4.1.6-ahead"),
        pytest.param(NOW + 900, None, NOW + IAT_AHEAD + 1, 0, False, id="G4-too-far-ahead"),
        pytest.param(NOW + 9, NOW + 9, None, 30, False, id="G5-exp-not-after-nbf"),
        pytest.param(NOW + 9, None, NOW + 9, 30, False, id="G5-exp-not-after-iat"),
        pytest.param(253402300799.0, None, None, 0, True, id="F6-the-last-second"),
        pytest.param(253402300800.0, None, None, 0, False, id="F6-year-10000"),
        pytest.param(float("nan"), None, None, 0, False, id="F5-nan"),
        pytest.param(float("inf"), None, None, 0, False, id="F5-infinity"),
    ],
)
def test_dates_hold_on_the_second(
    exp: float, nbf: float | None, iat: float | None, skew: float, *, lives: bool
) -> None:
    if lives:
        require_current(exp, nbf, iat, now=NOW, skew=skew)
    else:
        with pytest.raises(ClaimRefused):
            require_current(exp, nbf, iat, now=NOW, skew=skew)
