"""Every SDK in its own protocol against every protocol an upstream may speak: 4 × 4, whole and streamed.

A case is a function of `talk`, which asks one SDK about one model in one mode; it runs for all of them. What the demo upstream
does with a request is told in docs/demo.md.
"""

import struct
import zlib
from dataclasses import replace
from typing import Literal

import pytest
from harness.gateway import Account
from pydantic import BaseModel
from sdk import WHOLE, Answer, Ask, Driver, Tool
from sdk.drivers import drivers

# One model for each protocol that an upstream speaks.
MODELS = {
    "demo": "openai.chat", "demo-responses": "openai.responses", "demo-messages": "anthropic.messages", "demo-gemini": "gemini.generate",
}
GREETING = "Hello from the demo upstream."
DONE = {"stop", "completed", "end_turn", "STOP"}
CALLED = {"tool_calls", "completed", "tool_use", "STOP", "tool-calls", "function_call"}
CUT = {"length", "max_output_tokens", "max_tokens", "MAX_TOKENS", "incomplete"}

WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Its name."},
            "days": {"type": "integer"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "days", "unit"],
        "additionalProperties": False,
    },
)
CLOCK = Tool(
    "get_time",
    "The time in a zone.",
    {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"], "additionalProperties": False},
)


class Forecast(BaseModel):
    city: str
    degrees: int
    sky: Literal["clear", "grey"]


def png() -> bytes:
    """A white pixel."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\xff\xff")) + chunk(b"IEND", b"")


class Talk:
    """Asks one SDK about one model in one mode, and holds the usage of each answer against the ledger."""

    def __init__(self, driver: Driver, model: str, mode: str, account: Account):
        self.driver, self.model, self.mode, self.account, self.calls = driver, model, mode, account, 0

    def __call__(self, prompt: str = "Say something short about ledgers.", **more) -> tuple[Ask, Answer]:
        return self.ask(Ask(self.model, prompt, self.mode, **more))

    def ask(self, ask: Ask) -> tuple[Ask, Answer]:
        answer = self.driver.ask(ask)
        self.calls += 1
        self.ledger_agrees(answer)
        return ask, answer

    def ledger_agrees(self, answer: Answer) -> None:
        rows = self.account.usage()
        assert len(rows) == self.calls, "one call of the SDK is one call of the ledger"
        row = rows[0]
        assert (row["status"], row["error_code"], row["attempts"]) == (200, None, 1), row
        assert (row["protocol"], row["model"], row["stream"]) == (self.driver.protocol, self.model, self.mode != WHOLE)
        if (told := answer.usage) is None:
            return
        assert told.input > 0 and told.output > 0
        if told.total is not None:
            assert told.total == told.input + told.output
        metered = row["usage"]
        inputs = sum(count for meter, count in metered.items() if meter.startswith(("input_", "cache_")))
        outputs = sum(count for meter, count in metered.items() if meter.startswith(("output_", "reasoning_")))
        assert (inputs, outputs) == (told.input, told.output), (metered, told)
        assert metered.get("cache_read_tokens", 0) == told.cached, (metered, told)


def cases(feature: str | None = None, is_translated: bool = False):
    """Every driver that has the feature, in each mode of its own, against every model, or those of other protocols alone."""
    found = [
        pytest.param(driver, model, mode, id=f"{driver.name}-{model}-{mode}".replace(" ", "_"))
        for driver in drivers()
        for model in MODELS
        for mode in driver.modes
        if (feature is None or feature in driver.can) and not (is_translated and MODELS[model] == driver.protocol)
    ]
    return pytest.mark.parametrize(("driver_type", "model", "mode"), found)


@pytest.fixture
def talk(account: Account, driver_type: type[Driver], model: str, mode: str):
    driver = driver_type(account.gateway.base_url, account.key)
    yield Talk(driver, model, mode, account)
    driver.close()


def came_in_pieces(talk: Talk, answer: Answer) -> None:
    assert answer.pieces > 2 or talk.mode == WHOLE, "it came in pieces"


def is_weather(call) -> bool:
    given = call.arguments
    fits = set(given) == {"city", "days", "unit"} and given["unit"] in ("celsius", "fahrenheit")
    return call.name == "get_weather" and fits and isinstance(given["city"], str) and isinstance(given["days"], int)


@cases()
def test_text(talk):
    _, answer = talk()
    assert answer.text.startswith(GREETING) and "ledgers" in answer.text
    assert answer.finish in DONE and not answer.calls
    came_in_pieces(talk, answer)


@cases("system")
def test_odd_characters(talk):
    words = 'Grüße, 世界, 👩‍👩‍👧 "quoted" \\ back\tslash </end>'
    _, answer = talk(words, system="Be brief.")
    assert words in answer.text


@cases(is_translated=True)
def test_line_separators(talk):
    """Some clients split a stream at every character that Unicode counts as the end of a line."""
    words = "one\u2028two\u2029three\u0085four"
    _, answer = talk(words)
    assert words in answer.text


@cases("thinking")
def test_a_conversation(talk):
    """What was said and thought goes back as the SDK carries it."""
    ask, answer = talk("First words.", thinking=True, system="Be brief.")
    _, answer = talk.ask(replace(ask, prompt="Second words.", after=answer))
    assert "Second words." in answer.text


@cases("tools")
def test_words_before_a_call(talk):
    ask, answer = talk("Think aloud: how is the weather?", tools=(WEATHER,))
    (call,) = answer.calls
    assert answer.text.startswith(GREETING) and is_weather(call) and answer.finish in CALLED
    _, answer = talk.ask(ask.then(answer, "18 degrees"))
    assert "18 degrees" in answer.text


@cases("tools")
def test_a_tool_round(talk):
    ask, answer = talk("How is the weather?", tools=(WEATHER,))
    (call,) = answer.calls
    assert is_weather(call) and call.id and answer.finish in CALLED
    _, answer = talk.ask(ask.then(answer, "18 degrees"))
    assert "18 degrees" in answer.text and not answer.calls and answer.finish in DONE
    came_in_pieces(talk, answer)


@cases("thinking")
def test_a_tool_round_with_thinking(talk):
    """What was thought goes back as the SDK carries it; an upstream that signs its thoughts refuses a forged one."""
    ask, answer = talk("How is the weather?", tools=(WEATHER,), thinking=True)
    (call,) = answer.calls
    assert is_weather(call)
    _, second = talk.ask(ask.then(answer, "18 degrees"))
    assert "18 degrees" in second.text and not second.calls


@cases("thoughts")
def test_thoughts_are_told(talk):
    _, answer = talk(thinking=True)
    assert answer.text.startswith(GREETING) and answer.thinking
    assert answer.usage.reasoning > 0 or talk.driver.protocol == "anthropic.messages"
    assert answer.usage.reasoning < answer.usage.output


@cases("tools")
def test_parallel_calls(talk):
    ask, answer = talk("Two in parallel, please.", tools=(WEATHER, CLOCK))
    first, second = answer.calls
    assert is_weather(first) and second.name == "get_time" and set(second.arguments) == {"zone"}
    assert first.id != second.id
    ask = replace(ask, after=answer, results={first.id: "18 degrees", second.id: "five o'clock"})
    _, answer = talk.ask(ask)
    assert not answer.calls and 0 < answer.text.index("18 degrees") < answer.text.index("five o'clock"), answer.text


@cases("force")
def test_a_forced_tool(talk):
    _, answer = talk(tools=(WEATHER, CLOCK), force="get_time")
    (call,) = answer.calls
    assert call.name == "get_time" and isinstance(call.arguments["zone"], str)


@cases("image")
def test_an_image(talk):
    _, answer = talk("What is in this picture?", image=png())
    assert "I saw 1 image: image/png." in answer.text


@cases("schema")
def test_structured_output(talk):
    _, answer = talk("The forecast as JSON, please.", schema=Forecast)
    forecast = Forecast.model_validate_json(answer.text)
    assert forecast.sky in ("clear", "grey")


@cases("limit")
def test_an_output_limit(talk):
    _, answer = talk("Say much. " * 20, output_tokens_max=16)
    assert answer.usage.output == 16 and answer.finish in CUT
    assert GREETING.startswith(answer.text[: len(GREETING)])


@cases("stop")
def test_a_stop_text(talk):
    _, answer = talk(stop="demo")
    assert answer.text == "Hello from the ", "cut before the stop text, also where the upstream has no such field"
    assert answer.finish in DONE | {"stop_sequence"}
