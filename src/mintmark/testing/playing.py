"""Plays attacks against a target, and says what came out otherwise than it must."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, final

from mintmark.clock import monotonic
from mintmark.testing.attacks.model import (
    ACCEPTED,
    Answer,
    Attack,
    Fetches,
    Flood,
    Fork,
    Issuer,
    Make,
    Pause,
    Request,
    Send,
    Step,
    Variant,
    Wait,
)
from mintmark.testing.forking import status_in_child
from mintmark.testing.judging import differences, shown, traces_of
from mintmark.testing.listening import Heard, growth, hearing, measuring, silence
from mintmark.testing.outbound import Outbound, watch_outbound
from mintmark.testing.running import (
    Crashed,
    Reply,
    Runner,
    require_started_by_uvicorn,
    running,
)
from mintmark.testing.target import App, Target, World

__all__ = ["Finding", "NotApplicable", "play", "tally"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    attack: str
    variant: str
    what: str

    def __str__(self) -> str:
        return f"{self.attack} [{self.variant}] {self.what}"


class NotApplicable(Exception):
    """The target has nothing that this attack could be tried on."""


def play(attack: Attack, target: Target) -> list[Finding]:
    """Everything that this attack finds; nothing, if all is as it must be.

    Raises:
        NotApplicable: no variant of it can be tried here; the text says why.
    """
    findings: list[Finding] = []
    reasons: list[str] = []
    played = 0
    for places in _worlds(attack.variants(World.imagined(target).mint)):
        try:
            findings += _play_in_one_world(attack, target, places)
            played += 1
        except NotApplicable as reason:
            reasons.append(str(reason))
    if not played:
        raise NotApplicable("; ".join(sorted(set(reasons))))
    return findings


def tally(target: Target, attacks: Iterable[Attack]) -> dict[str, Counter[str]]:
    """By group: how many attacks were answered rightly, wrongly, or did not apply."""
    counts: dict[str, Counter[str]] = {}
    for attack in attacks:
        group = counts.setdefault(attack.group, Counter())
        try:
            group["wrong" if play(attack, target) else "right"] += 1
        except NotApplicable:
            group["not applicable"] += 1
    return counts


def _worlds(variants: tuple[Variant, ...]) -> Iterator[list[int]]:
    """Variants that leave the world as it is share one; the places of each in the attack."""
    shared: dict[object, list[int]] = {}
    for place, variant in enumerate(variants):
        if variant.alone:
            yield [place]
        else:
            shared.setdefault((variant.setting, variant.routes), []).append(place)
    yield from shared.values()


def _play_in_one_world(attack: Attack, target: Target, places: list[int]) -> list[Finding]:
    planned = attack.variants(World.imagined(target).mint)[places[0]]
    if planned.moves_clock and not target.moves_clock:
        raise NotApplicable("the application's clock cannot be moved")
    with World.create(target, planned.setting) as world, watch_outbound(world.allows) as watch:
        for change in planned.before:
            change.does(world.partner if change.partner else world.issuer)
        if not planned.starts:
            return _must_not_start(attack, target, world, planned)
        app = target.build(world)
        _require_playable(app, planned)
        assert app is not None
        world.mint.routes = dict(app.routes)
        variants = attack.variants(world.mint)
        stage = _Stage(attack, target, world, watch, app)
        chosen = [variants[place] for place in places]
        try:
            with measuring(_measures(chosen)):
                asyncio.run(stage.play(chosen))
        finally:
            if app.close is not None:
                app.close()
        return stage.findings


def _must_not_start(
    attack: Attack, target: Target, world: World, planned: Variant
) -> list[Finding]:
    try:
        app = target.build(world)
        _require_playable(app, planned)
        assert app is not None
        asyncio.run(require_started_by_uvicorn(app))
    except (ValueError, RuntimeError, Crashed):
        return []
    return [Finding(attack.id, planned.name, "an API set up like this starts")]


def _require_playable(app: App | None, variant: Variant) -> None:
    if app is None:
        raise NotApplicable(f"there is no setting {variant.setting}")
    missing = sorted(variant.routes - app.routes.keys())
    if missing:
        raise NotApplicable(f"there is no route {', '.join(missing)}")


FLOOD_LOGS: Final = 1000
SETTLED: Final = 0.03


@final
@dataclass
class _Stage:
    """One application under attack."""

    attack: Attack
    target: Target
    world: World
    watch: Outbound
    app: App
    findings: list[Finding] = field(default_factory=list)
    _variant: str = ""
    _counted: Counter[str] = field(default_factory=Counter)
    _replies: list[Reply] = field(default_factory=list)

    async def play(self, variants: list[Variant]) -> None:
        async with running(self.app, self.target.audience) as runner:
            for variant in variants:
                self._variant = variant.name
                self._replies.clear()
                for step in variant.steps:
                    await self._step(runner, step, self.attack.expected)
                if variant.alike and len(set(self._replies)) > 1:
                    self._found("two of its answers differ")
                self._variant = f"{variant.name}, honest twin"
                for step in variant.twin if variant.twin is not None else self._plain_twin():
                    await self._step(runner, step, ACCEPTED)
        for attempt in sorted(set(self.watch.attempts)):
            self._found(f"a connection was tried to {attempt}")

    def _plain_twin(self) -> tuple[Step, ...]:
        return (Send(lambda: self.world.mint.ask(self.world.mint.delegated())),)

    def _found(self, what: str) -> None:
        self.findings.append(Finding(self.attack.id, self._variant, what))

    async def _step(self, runner: Runner, step: Step, expected: Answer) -> None:
        match step:
            case Send():
                await self._send(runner, step, step.expected or expected)
            case Flood():
                await self._flood(runner, step, step.expected or expected)
            case Wait():
                # What runs beside the requests would have ended long before so much time passed.
                await asyncio.sleep(SETTLED)
                self.world.advance(step.by)
            case Pause():
                await asyncio.sleep(step.seconds)
            case Issuer():
                step.does(self.world.partner if step.partner else self.world.issuer)
            case Fetches():
                self._count(step)
            case Fork():
                status = status_in_child(runner, _made(step.request))
                if status != step.expected.status:
                    self._found(f"expected {step.expected} in a forked worker, got {status}")

    def _count(self, step: Fetches) -> None:
        counts = self.world.issuer.counts
        number = counts[step.of] - self._counted[step.of]
        self._counted[step.of] = counts[step.of]
        if not step.least <= number <= step.most and not self.target.lenient:
            self._found(f"{step.of} was asked for {number} times")

    async def _send(self, runner: Runner, step: Send, expected: Answer) -> None:
        name = f" ({step.name})" if step.name else ""
        with hearing() as heard:
            if step.times == 1:
                await self._one(runner, _made(step.request), expected, name, heard)
                return
            request = _made(step.request)
            replies = await asyncio.gather(
                *[self._reply(runner, request, name) for _ in range(step.times)]
            )
        taken = sum(reply is not None and reply.status == 200 for reply in replies)
        if taken != step.accepted:
            self._found(f"{taken} of {step.times} parallel requests were taken{name}")
        for reply in replies:
            if reply is not None and reply.status != 200:
                self._judge(reply, expected, request, name)

    async def _one(
        self, runner: Runner, request: Request, expected: Answer, name: str, heard: Heard
    ) -> None:
        reply = await self._reply(runner, request, name)
        if reply is None:
            return
        self._replies.append(reply)
        self.world.mint.nonces += reply.every("dpop-nonce")
        self._judge(reply, expected, request, name)
        if any(traces_of(request, line) for line in heard.lines[:FLOOD_LOGS]):
            self._found(f"a token is in the log{name}")

    async def _reply(self, runner: Runner, request: Request, name: str) -> Reply | None:
        limit = self.attack.within.total_seconds()
        started = monotonic()
        try:
            sent = asyncio.wait_for(runner.send(request), 3 * limit)
            reply = await (self._while_open(sent, request) if request.lasting else sent)
        except TimeoutError:
            self._found(f"no answer within {3 * limit:g} s{name}")
            return None
        except Crashed as crash:
            self._found(f"the application raised {crash}, a 500{name}")
            return None
        if monotonic() - started > limit:
            self._found(f"the answer took longer than {limit:g} s{name}")
        return reply

    async def _while_open(self, sent: Awaitable[Reply], request: Request) -> Reply:
        open_one = asyncio.ensure_future(sent)
        await asyncio.sleep(SETTLED)
        if self.target.moves_clock:
            self.world.advance(timedelta(seconds=request.lasting))
        return await open_one

    def _judge(self, reply: Reply, expected: Answer, request: Request, name: str) -> None:
        if reply.status == 500:
            self._found(f"expected {expected}, got 500{name}")
            return
        lenient, method = self.target.lenient, request.method
        for difference in differences(reply, expected, lenient=lenient, method=method):
            self._found(f"{difference}{name}")
        text = reply.body.decode("latin-1") + "".join(value for _, value in reply.headers)
        if traces_of(request, text):
            self._found(f"the answer repeats a token{name}")

    async def _flood(self, runner: Runner, step: Flood, expected: Answer) -> None:
        wrong: Counter[str] = Counter()
        # A log keeps what it is told, and would be counted among what the application keeps.
        with silence(), growth() as grown:
            for number in range(step.count):
                request = step.make(number)
                reply = await self._reply(runner, request, " in a flood")
                if reply is None:
                    return
                if self._is_wrong(reply, expected, request) and (
                    step.also is None or self._is_wrong(reply, step.also, request)
                ):
                    wrong[shown(reply)] += 1
        for got, times in wrong.items():
            self._found(f"expected {expected}, got {got}, {times} times of {step.count}")
        if step.grows_at_most is not None and grown[0] > step.grows_at_most:
            self._found(f"{grown[0]} octets more are held after {step.count} requests")

    def _is_wrong(self, reply: Reply, expected: Answer, request: Request) -> list[str]:
        lenient = self.target.lenient
        return differences(reply, expected, lenient=lenient, method=request.method)


def _measures(variants: list[Variant]) -> bool:
    steps = [step for variant in variants for step in variant.steps]
    return any(isinstance(step, Flood) and step.grows_at_most is not None for step in steps)


def _made(make: Make) -> Request:
    return make if isinstance(make, Request) else make()
