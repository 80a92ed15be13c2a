"""What the tests ask of every SDK, and what it answers, in words of ours. Knows no SDK and nothing of the gateway."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

WHOLE, STREAM, HELPER = "whole", "stream", "helper"  # HELPER: the SDK's own convenience over its stream.


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: dict


@dataclass(frozen=True)
class Ask:
    """One turn. With `after` it goes on from an earlier answer: with the `results` of its calls, else with the prompt."""

    model: str
    prompt: str = "Say something short about ledgers."
    mode: str = WHOLE
    system: str | None = None
    tools: tuple[Tool, ...] = ()
    force: str | None = None
    image: bytes | None = None
    schema: type[BaseModel] | None = None
    thinking: bool = False
    output_tokens_max: int | None = None
    stop: str | None = None
    after: Answer | None = None
    results: dict[str, str] = field(default_factory=dict)

    def then(self, answer: Answer, result: str) -> Ask:
        """The next turn: every call of the answer has this result."""
        return replace(self, after=answer, results={call.id: result for call in answer.calls})


@dataclass
class Call:
    id: str
    name: str
    arguments: dict


@dataclass
class Usage:
    """Tokens; the first two include all that they are made of."""

    input: int
    output: int
    reasoning: int = 0
    cached: int = 0
    total: int | None = None


@dataclass
class Answer:
    text: str
    calls: list[Call]
    usage: Usage | None
    finish: str | None  # In the SDK's own word.
    thinking: str = ""
    pieces: int = 0  # Of a stream: how often text or thinking came.
    history: Any = None  # The SDK's own objects, to be sent back with the next turn.


class SdkError(Exception):
    """An exception of the SDK's own: its class, the HTTP status if it has one, and what it says."""

    def __init__(self, kind: str, status: int | None, message: str):
        super().__init__(f"{kind} (status {status}): {message}")
        self.kind, self.status, self.message = kind, status, message


class Driver:
    """One SDK in one protocol. `can` names what it has an interface for."""

    name: str
    protocol: str
    package: str
    modes: tuple[str, ...] = (WHOLE, STREAM)
    can: frozenset[str] = frozenset()
    # The class of the exception for each status; empty for a framework that has classes of its own making.
    kinds: dict[int, str] = {}
    # The base of all that the SDK raises on purpose.
    failures: tuple[type[Exception], ...] = ()

    def __init__(self, base_url: str, key: str):
        self.base_url, self.key = base_url, key

    def ask(self, ask: Ask) -> Answer:
        with self.speaking():
            return self._ask(ask)

    @contextlib.contextmanager
    def speaking(self):
        try:
            yield
        except self.failures as error:
            raise SdkError(type(error).__name__, self.status_of(error), str(error)) from error

    def status_of(self, error: Exception) -> int | None:
        return getattr(error, "status_code", None)

    def _ask(self, ask: Ask) -> Answer:
        raise NotImplementedError

    def close(self) -> None:
        pass


def can(*features: str) -> frozenset[str]:
    return frozenset(features)


EVERYTHING = can("tools", "force", "thinking", "thoughts", "image", "schema", "system", "limit", "stop")
