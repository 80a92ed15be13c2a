"""openai-python, Chat Completions."""

import base64
import json

import openai

from . import EVERYTHING, HELPER, STREAM, WHOLE, Answer, Ask, Call, Driver, Usage

KINDS = {
    400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
    429: "RateLimitError", 500: "InternalServerError", 502: "InternalServerError", 503: "InternalServerError",
    504: "InternalServerError", 529: "InternalServerError", 402: "APIStatusError",
}


class OpenAi(Driver):
    """What both of OpenAI's protocols share."""

    package = "openai"
    modes = (WHOLE, STREAM, HELPER)
    kinds = KINDS
    failures = (openai.OpenAIError,)

    def __init__(self, base_url: str, key: str):
        super().__init__(base_url, key)
        self.client = openai.OpenAI(base_url=base_url + "/v1", api_key=key, max_retries=0, timeout=60)

    def close(self) -> None:
        self.client.close()

    def models(self) -> list[str]:
        with self.speaking():
            return [model.id for model in self.client.models.list()]

    def embed(self, model: str, texts: list[str], **more) -> list[list[float]]:
        with self.speaking():
            return [item.embedding for item in self.client.embeddings.create(model=model, input=texts, **more).data]


class OpenAiChat(OpenAi):
    name, protocol = "openai chat", "openai.chat"
    can = EVERYTHING | {"models", "embed"}

    def _ask(self, ask: Ask) -> Answer:
        history = history_of(ask)
        more = options(ask)
        completions = self.client.chat.completions
        if ask.mode == WHOLE:
            make = completions.parse if ask.schema else completions.create
            answer = make(model=ask.model, messages=history, **more)
            return read(answer, answer.choices[0].message, history)
        more["stream_options"] = {"include_usage": True}
        if ask.mode == HELPER:
            pieces = 0
            with completions.stream(model=ask.model, messages=history, **more) as stream:
                try:
                    for event in stream:
                        pieces += event.type == "content.delta"
                    answer = stream.get_final_completion()
                except openai.LengthFinishReasonError as cut:  # It takes a cut answer for one that cannot be read.
                    answer = cut.completion
            return read(answer, answer.choices[0].message, history, pieces)
        if ask.schema:
            more["response_format"] = schema_format(ask)
        return collect(completions.create(model=ask.model, messages=history, stream=True, **more), history)


def history_of(ask: Ask) -> list:
    """The conversation with this turn at its end."""
    results = [{"role": "tool", "tool_call_id": call, "content": text} for call, text in ask.results.items()]
    if ask.after:
        return [*ask.after.history, *(results or [user_turn(ask)])]
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    return [*system, user_turn(ask)]


def user_turn(ask: Ask) -> dict:
    content = ask.prompt
    if ask.image:
        url = "data:image/png;base64," + base64.b64encode(ask.image).decode()
        content = [{"type": "text", "text": ask.prompt}, {"type": "image_url", "image_url": {"url": url}}]
    return {"role": "user", "content": content}


def options(ask: Ask) -> dict:
    more = {}
    if ask.tools:
        more["tools"] = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters, "strict": True}}
            for t in ask.tools
        ]
    if ask.force:
        more["tool_choice"] = {"type": "function", "function": {"name": ask.force}}
    if ask.schema:
        more["response_format"] = ask.schema
    if ask.thinking:
        more["reasoning_effort"] = "medium"
    if ask.output_tokens_max:
        more["max_completion_tokens"] = ask.output_tokens_max
    if ask.stop:
        more["stop"] = [ask.stop]
    return more


def schema_format(ask: Ask) -> dict:
    schema = ask.schema.model_json_schema() | {"additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def collect(chunks, history: list) -> Answer:
    """As most programs read a stream: text and calls, nothing else."""
    text, thinking, calls, finish, usage, pieces, ids = "", "", {}, None, None, 0, set()
    for chunk in chunks:
        ids.add(chunk.id)
        usage = chunk.usage or usage
        for choice in chunk.choices:
            thought = getattr(choice.delta, "reasoning_content", None) or ""
            pieces += bool(choice.delta.content or thought)
            text += choice.delta.content or ""
            thinking += thought
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": piece.id, "type": "function", "function": {"name": "", "arguments": ""}})
                call["function"]["name"] += piece.function.name or ""
                call["function"]["arguments"] += piece.function.arguments or ""
    assert len(ids) == 1, f"one id for all chunks: {ids}"
    message = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    made = [Call(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls.values()]
    return Answer(text, made, usage_of(usage), finish, thinking, pieces, [*history, message])


def read(answer, message, history: list, pieces: int = 0) -> Answer:
    calls = [Call(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
    thinking = getattr(message, "reasoning_content", None) or ""
    finish = answer.choices[0].finish_reason
    return Answer(message.content or "", calls, usage_of(answer.usage), finish, thinking, pieces, [*history, message])


def usage_of(usage) -> Usage | None:
    if usage is None:
        return None
    made, read_ = usage.completion_tokens_details, usage.prompt_tokens_details
    return Usage(
        usage.prompt_tokens, usage.completion_tokens, (made and made.reasoning_tokens) or 0,
        (read_ and read_.cached_tokens) or 0, usage.total_tokens,
    )
