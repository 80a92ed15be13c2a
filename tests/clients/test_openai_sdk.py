"""The official `openai` SDK, unmodified: answers, streams, tools, lists, and errors as its own exceptions."""

import asyncio

import openai
import pytest
from conftest import sdk
from harness.gateway import Gateway

MESSAGES = [{"role": "user", "content": "Say something short about ledgers."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
# In front of one model each: what the upstream does, and what the SDK must raise.
FAULTS = [
    ("demo-fault-400", openai.BadRequestError, 400, None),
    # Our key was refused, not the client's: never a 401.
    ("demo-fault-401", openai.InternalServerError, 502, "upstream_auth"),
    ("demo-fault-429", openai.RateLimitError, 429, None),
    ("demo-fault-500", openai.InternalServerError, 500, None),
    ("demo-fault-503", openai.InternalServerError, 503, None),
    ("demo-fault-529", openai.InternalServerError, 529, None),
    ("demo-fault-refuse", openai.InternalServerError, 502, "upstream_error"),
    ("demo-fault-reset-before", openai.InternalServerError, 502, "upstream_error"),
    ("demo-fault-hang", openai.InternalServerError, 504, "upstream_timeout"),
]


def ask(client: openai.OpenAI, model: str = "demo", **more):
    return client.chat.completions.create(model=model, messages=MESSAGES, **more)


def text_of(chunks) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_whole_answer(client):
    answer = ask(client)
    choice = answer.choices[0]
    assert answer.object == "chat.completion"
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_what_the_whole_answer_says(client):
    whole = ask(client).choices[0].message.content
    chunks = list(ask(client, stream=True))
    assert text_of(chunks) == whole
    assert len(chunks) > 3, "it came in pieces"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_include_usage_has_no_usage_chunk(client):
    chunks = list(ask(client, stream=True))
    assert all(chunk.choices for chunk in chunks), "our own usage chunk is dropped"
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_with_include_usage_ends_with_it(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    *rest, last = chunks
    assert last.choices == [] and last.usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in rest)
    assert last.usage == ask(client).usage


def test_include_usage_may_be_declined(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": False}))
    assert text_of(chunks) and all(chunk.choices for chunk in chunks)


def test_an_output_limit_is_kept(client):
    answer = ask(client, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens <= 2


def test_a_tool_is_called_and_its_answer_used(client):
    first = ask(client, tools=[WEATHER])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = message.tool_calls
    assert call.function.name == "get_weather" and "city" in call.function.arguments
    history = [*MESSAGES, message, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"}]
    second = client.chat.completions.create(model="demo", messages=history, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert "18 degrees" in second.choices[0].message.content


def test_a_streamed_tool_call_is_the_whole_one(client):
    whole = ask(client, tools=[WEATHER]).choices[0].message.tool_calls[0]
    name, arguments, finish = "", "", None
    for chunk in ask(client, tools=[WEATHER], stream=True):
        for delta in chunk.choices[0].delta.tool_calls or []:
            name += delta.function.name or ""
            arguments += delta.function.arguments or ""
        finish = chunk.choices[0].finish_reason or finish
    assert (name, arguments, finish) == (whole.function.name, whole.function.arguments, "tool_calls")


def test_a_parsed_answer_has_the_asked_for_shape(client):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = ask(client, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})
    assert answer.choices[0].message.content.startswith("{")


def test_models_are_listed_and_retrieved(client):
    models = {model.id: model for model in client.models.list()}
    assert {"demo", "demo-fixed", "demo-failover", "gpt-4o"} <= set(models)
    assert all(model.object == "model" and model.owned_by for model in models.values())
    assert client.models.retrieve("demo").id == "demo"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("no-such-model")
    assert raised.value.code == "model_not_found"


def test_any_model_of_the_catalog_answers_without_a_provider_key(client):
    assert ask(client, "gpt-4o").choices[0].message.content


def test_failover_is_invisible(client):
    whole = ask(client, "demo-failover")
    assert whole.choices[0].message.content
    chunks = list(ask(client, "demo-failover", stream=True))
    assert text_of(chunks) == whole.choices[0].message.content


@pytest.mark.parametrize("fault", ["slow-first", "slow-events", "giant", "one-byte", "no-usage"])
def test_odd_upstreams_still_answer(client, fault):
    assert ask(client, f"demo-fault-{fault}").choices[0].message.content
    chunks = list(ask(client, f"demo-fault-{fault}", stream=True))
    assert text_of(chunks) and chunks[-1].choices[0].finish_reason


def test_many_calls_at_once_on_one_async_client(account):
    async def run() -> list[str]:
        async def whole() -> str:
            return (await ask(client)).choices[0].message.content

        async def streamed() -> str:
            return text_of([chunk async for chunk in await ask(client, stream=True)])

        async with sdk(account, openai.AsyncOpenAI) as client:
            return await asyncio.gather(*(whole() if n % 2 else streamed() for n in range(40)))

    texts = asyncio.run(run())
    assert len(texts) == 40 and len(set(texts)) == 1 and texts[0]


# Errors


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model, kind, status, code", FAULTS)
def test_an_upstream_fault_is_the_sdks_own_error(client, model, kind, status, code, stream):
    with pytest.raises(openai.APIStatusError) as raised:
        answer = ask(client, model, stream=stream)
        list(answer)
    error = raised.value
    assert type(error) is kind and error.status_code == status, error
    assert code is None or error.code == code
    assert error.message and error.response.headers["x-request-id"]
    if status == 429:
        assert int(error.response.headers["retry-after"]) > 0
    if code is None:
        assert "demo upstream" in error.message, "the upstream's own words"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_inside_a_200_is_raised(client, stream):
    with pytest.raises(openai.APIError) as raised:
        list(ask(client, "demo-fault-error-in-200", stream=stream))
    assert "demo upstream" in str(raised.value)


@pytest.mark.parametrize("model", ["demo-fault-cut", "demo-fault-reset-after"])
def test_a_broken_stream_never_ends_quietly(client, model):
    chunks = []
    with pytest.raises(openai.APIError) as raised:
        for chunk in ask(client, model, stream=True):
            chunks.append(chunk)
    assert text_of(chunks), "it broke after the first content"
    assert raised.value.code == "stream_interrupted", raised.value


def test_a_bad_key(gateway: Gateway):
    for key in ("sk-qw-wrong", gateway.api_key[:-1] + ("a" if gateway.api_key[-1] != "a" else "b"), "x" * 5000):
        with openai.OpenAI(base_url=gateway.base_url + "/v1", api_key=key, max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                ask(client)
            assert raised.value.code == "invalid_api_key"
            assert key not in str(raised.value), "a key is never said back"


def test_an_unknown_model_names_its_neighbours(client):
    with pytest.raises(openai.NotFoundError) as raised:
        ask(client, "demo-fixt")
    assert raised.value.code == "model_not_found"
    assert "demo-fixed" in raised.value.message


def test_a_model_that_the_key_may_not_call(gateway: Gateway):
    account = gateway.account("1", models=["demo"])
    with sdk(account) as client:
        assert ask(client, "demo").choices
        with pytest.raises(openai.PermissionDeniedError) as raised:
            ask(client, "demo-fixed")
    assert raised.value.code == "model_not_allowed"


def test_a_poor_account(gateway: Gateway):
    account = gateway.account("0.000000001", policy="strict")
    with sdk(account) as client, pytest.raises(openai.APIStatusError) as raised:
        ask(client, "demo-fixed")
    assert raised.value.status_code == 402 and raised.value.code == "insufficient_balance"
    assert "0.000000001" in raised.value.message, "it says what is there"
    assert account.wallet()["posted"] == "0.000000001"


def test_the_sdk_retries_a_429_by_itself(account):
    patient = sdk(account).with_options(max_retries=1)
    with patient, pytest.raises(openai.RateLimitError):
        ask(patient, "demo-fault-429")
    assert [row["status"] for row in account.usage()] == [429, 429]
