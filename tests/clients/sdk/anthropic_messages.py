"""anthropic-python, Messages."""

import base64
import json

import anthropic

from . import EVERYTHING, HELPER, STREAM, WHOLE, Answer, Ask, Call, Driver, Usage
from .openai_chat import KINDS as OPENAI_KINDS

OUTPUT_TOKENS = 4096
THINKING_TOKENS = 1024
KINDS = OPENAI_KINDS | {529: "OverloadedError"}
if int(anthropic.__version__.split(".")[0]) >= 2:
    KINDS |= {402: "PaymentRequiredError", 503: "ServiceUnavailableError", 504: "GatewayTimeoutError"}


class Anthropic(Driver):
    name, protocol, package = "anthropic", "anthropic.messages", "anthropic"
    modes = (WHOLE, STREAM, HELPER)
    can = EVERYTHING | {"models", "count"}
    kinds = KINDS
    failures = (anthropic.AnthropicError,)

    def __init__(self, base_url: str, key: str):
        super().__init__(base_url, key)
        self.client = anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=60)

    def close(self) -> None:
        self.client.close()

    def _ask(self, ask: Ask) -> Answer:
        history = [*(ask.after.history if ask.after else []), user_turn(ask)]
        more = options(ask)
        messages = self.client.messages
        if ask.mode == WHOLE:
            make = messages.parse if ask.schema else messages.create
            if ask.schema:
                more["output_format"] = ask.schema
            return read(make(model=ask.model, messages=history, **more), history)
        if ask.mode == HELPER:
            if ask.schema:
                more["output_format"] = ask.schema
            with messages.stream(model=ask.model, messages=history, **more) as stream:
                pieces = sum(event.type in ("text", "thinking") for event in stream)
                return read(stream.get_final_message(), history, pieces)
        if ask.schema:
            schema = ask.schema.model_json_schema() | {"additionalProperties": False}
            more["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return collect(messages.create(model=ask.model, messages=history, stream=True, **more), history)

    def models(self) -> list[str]:
        with self.speaking():
            return [model.id for model in self.client.models.list(limit=1000)]

    def count(self, model: str, prompt: str) -> int:
        with self.speaking():
            return self.client.messages.count_tokens(model=model, messages=[{"role": "user", "content": prompt}]).input_tokens


def user_turn(ask: Ask) -> dict:
    content = ask.prompt
    if ask.results:
        content = [{"type": "tool_result", "tool_use_id": call, "content": text} for call, text in ask.results.items()]
    elif ask.image:
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(ask.image).decode()}
        content = [{"type": "text", "text": ask.prompt}, {"type": "image", "source": source}]
    return {"role": "user", "content": content}


def options(ask: Ask) -> dict:
    more = {"max_tokens": ask.output_tokens_max or OUTPUT_TOKENS}
    if ask.system:
        more["system"] = ask.system
    if ask.tools:
        more["tools"] = [{"name": t.name, "description": t.description, "input_schema": t.parameters} for t in ask.tools]
    if ask.force:
        more["tool_choice"] = {"type": "tool", "name": ask.force}
    if ask.thinking:
        more["thinking"] = {"type": "enabled", "budget_tokens": THINKING_TOKENS}
    if ask.stop:
        more["stop_sequences"] = [ask.stop]
    return more


def collect(events, history: list) -> Answer:
    """Reads the raw events and holds them to their rules: one block after the other."""
    blocks, usage, finish, pieces, done = [], {}, None, 0, False
    for event in events:
        match event.type:
            case "message_start":
                usage |= event.message.usage.model_dump(exclude_none=True)
            case "content_block_start":
                assert event.index == len(blocks), "blocks are numbered in order"
                blocks.append(event.content_block.model_dump(exclude_none=True) | {"json": ""})
            case "content_block_delta":
                assert event.index == len(blocks) - 1, "one block at a time"
                block, delta = blocks[-1], event.delta
                match delta.type:
                    case "text_delta":
                        block["text"] += delta.text
                        pieces += 1
                    case "thinking_delta":
                        block["thinking"] += delta.thinking
                        pieces += 1
                    case "signature_delta":
                        block["signature"] = delta.signature
                    case "input_json_delta":
                        block["json"] += delta.partial_json
            case "message_delta":
                usage |= event.usage.model_dump(exclude_none=True)
                finish = event.delta.stop_reason
            case "message_stop":
                done = True
    assert done, "the stream ended without message_stop"
    for block in blocks:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text or "{}")
    return answer_of(blocks, finish, usage, pieces, [*history, {"role": "assistant", "content": blocks}])


def read(message, history: list, pieces: int = 0) -> Answer:
    blocks = [block.model_dump() for block in message.content]
    # The SDK's own objects go back.
    turn = {"role": "assistant", "content": message.content}
    return answer_of(blocks, message.stop_reason, message.usage.model_dump(exclude_none=True), pieces, [*history, turn])


def answer_of(blocks: list[dict], finish: str, usage: dict, pieces: int, history: list) -> Answer:
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    thinking = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    calls = [Call(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    cached = usage.get("cache_read_input_tokens", 0)
    made = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    counts = Usage(
        usage["input_tokens"] + cached + usage.get("cache_creation_input_tokens", 0), usage["output_tokens"], made, cached
    )
    return Answer(text, calls, counts, finish, thinking, pieces, history)
