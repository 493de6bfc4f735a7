"""What every page says about itself to the browser."""

__all__ = ["security_headers"]

PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def security_headers(*, https: bool, form_action: str = "", script: str = "") -> dict[str, str]:
    """Headers for one page.

    Args:
        https: whether the issuer is; only then the browser is told to insist on it.
        form_action: a further origin that a form may lead to. Browsers apply the policy to the
            redirect after a form as well, so the client's origin has to be named where the answer
            may be a redirect to it.
        script: the one script that may run, as `'sha256-...'` of its text; none otherwise.
    """
    actions = f"'self' {form_action}".strip()
    policy = (
        f"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action {actions}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    if script:
        policy += f"; script-src {script}"
    headers = {
        "cache-control": "no-store",
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": PERMISSIONS,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    if https:
        headers["strict-transport-security"] = "max-age=31536000"
    return headers
