"""Says in words what is held, why it was or was not used again, and what comes next.

For a person who looks for a fault, on a console or on a page of their own: a sentence a line,
with no token in it and nothing that could be used as one.
"""

from datetime import UTC, datetime

from mintmark.client.errors import TokenUnavailable
from mintmark.client.manager import Acquired, Slot
from mintmark.client.recipe import HeldRecipe

__all__ = ["explain"]


def explain(recipe: HeldRecipe) -> str:
    """What the next call of this recipe meets, and what the calls before it met.

    It only looks: nothing is fetched, and nobody who asks for a token waits for it.
    """
    manager, slot = recipe.place()
    now = manager.clock.timestamp()
    lines = [_wanted(slot), *_state(slot, now), *_failure(slot, now), _counts(slot)]
    return "\n".join(line for line in lines if line)


def failure_in_words(failure: TokenUnavailable) -> str:
    """What failed, and whether another try can help."""
    said = str(failure)[:300]
    help_ = "Trying again can help" if failure.retryable else "Trying again will not help"
    # What a server wrote could otherwise begin a line of its own in somebody's log.
    return f"{type(failure).__name__}: {said if said.isprintable() else ascii(said)}. {help_}"


def _wanted(slot: Slot) -> str:
    key = slot.key
    scope = " ".join(sorted(key.scope)) or "whatever the client may have"
    resource = ", ".join(sorted(key.resource)) or "no API in particular"
    whose = "An application token" if key.kind == "application" else f"A {key.kind} token"
    return f"{whose} of {key.client_id} for {resource}; scope: {scope}."


def _state(slot: Slot, now: float) -> list[str]:
    held, fetching = slot.held, slot.flight is not None
    if held is None:
        nothing = _why_nothing(slot)
        wait = "it is being fetched at this moment" if fetching else nothing
        return [f"None is held: {wait}."]
    said = f"Held since {_moment(held.received)} ({_ago(now - held.received)}): {_name(held)}."
    return [said, _what_next(held, now, fetching=fetching)]


def _why_nothing(slot: Slot) -> str:
    failed = slot.failed
    if failed is not None:
        return "the last try to fetch one failed"
    if slot.fetched == 0 and slot.asked == 0:
        return "nobody has asked for one yet"
    if slot.fetched == 0:
        return "none has come yet"
    return "the last one was refused by an API, its session ended, or it was used up as it came"


def _what_next(held: Acquired, now: float, *, fetching: bool) -> str:
    lease = held.lease
    ends = f"It ends at {_moment(lease.expires_at)}"
    if now >= lease.expires_at:
        return f"It ended at {_moment(lease.expires_at)}: the next call waits for another."
    if now >= lease.usable_until:
        return (
            f"{ends}, too soon to be handed out: the next call waits for another, and gets this one"
            " only if the server cannot be reached."
        )
    if now >= lease.renew_from:
        doing = "is being fetched at this moment" if fetching else "is fetched at the next call"
        return f"{ends}; it is handed out, and another {doing}, for which nobody waits."
    return (
        f"{ends}; it is handed out again as it is until {_moment(lease.renew_from)}, and from then"
        " on the next call fetches another in the background."
    )


def _failure(slot: Slot, now: float) -> list[str]:
    failed = slot.failed
    if failed is None:
        return []
    times = "" if failed.count == 1 else f", the {_ordinal(failed.count)} time in a row"
    lines = [f"Failed at {_moment(failed.since)}{times}: {failure_in_words(failed.error)}."]
    if failed.rests(now):
        lines.append(f"Nobody asks the server again before {_moment(failed.until)}.")
    else:
        lines.append("The next call that needs one asks again.")
    return lines


def _counts(slot: Slot) -> str:
    asked, waited = slot.asked, slot.waited
    return (
        f"Asked for {_times(asked)}: {_times(max(asked - waited, 0))} answered from memory or by a"
        f" failure that was remembered, {_times(waited)} by waiting for a fetch. Fetched"
        f" {_times(slot.fetched)}, {slot.renewed} of them renewals."
    )


def _name(held: Acquired) -> str:
    source = "fetched" if held.fetched else "found in the store"
    return f"{source}, known in the log as {held.token.fingerprint()}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _ago(seconds: float) -> str:
    if seconds < 0:
        return "the clock was set back since"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s ago" if minutes else f"{rest} s ago"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 // 10 != 1 else 0, "th")
    return f"{number}{ending}"
