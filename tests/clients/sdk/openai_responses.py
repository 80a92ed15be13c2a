"""openai-python, Responses: the state stays with the client, as its README has it."""

import base64
import json

from . import EVERYTHING, HELPER, WHOLE, Answer, Ask, Call, SdkError, Usage
from .openai_chat import OpenAi


class OpenAiResponses(OpenAi):
    name, protocol = "openai responses", "openai.responses"
    can = (EVERYTHING | {"count"}) - {"stop"}

    def _ask(self, ask: Ask) -> Answer:
        results = [{"type": "function_call_output", "call_id": call, "output": text} for call, text in ask.results.items()]
        history = [*(ask.after.history if ask.after else []), *(results or [user_turn(ask)])]
        more = options(ask)
        responses = self.client.responses
        if ask.mode == WHOLE:
            make = responses.parse if ask.schema else responses.create
            if ask.schema:
                more["text_format"] = ask.schema
            return read(make(model=ask.model, input=history, **more), history)
        if ask.mode == HELPER:
            if ask.schema:
                more["text_format"] = ask.schema
            with responses.stream(model=ask.model, input=history, **more) as stream:
                events = list(stream)
                not_failed(events[-1])
                # A cut answer is a final one too, but not for `get_final_response`.
                final = events[-1].response if events[-1].type == "response.incomplete" else stream.get_final_response()
                return read(final, history, sum(event.type.endswith("text.delta") for event in events))
        if ask.schema:
            more["text"] = {"format": schema_format(ask)}
        return collect(responses.create(model=ask.model, input=history, stream=True, **more), history)

    def count(self, model: str, prompt: str) -> int:
        with self.speaking():
            return self.client.responses.input_tokens.count(model=model, input=prompt).input_tokens


def user_turn(ask: Ask) -> dict:
    content = [{"type": "input_text", "text": ask.prompt}]
    if ask.image:
        content.append({"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64," + base64.b64encode(ask.image).decode()})
    return {"role": "user", "content": content}


def options(ask: Ask) -> dict:
    more = {"store": False, "include": ["reasoning.encrypted_content"]}
    if ask.system:
        more["instructions"] = ask.system
    if ask.tools:
        more["tools"] = [
            {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters, "strict": True}
            for t in ask.tools
        ]
    if ask.force:
        more["tool_choice"] = {"type": "function", "name": ask.force}
    if ask.thinking:
        more["reasoning"] = {"effort": "medium", "summary": "auto"}
    if ask.output_tokens_max:
        more["max_output_tokens"] = ask.output_tokens_max
    return more


def schema_format(ask: Ask) -> dict:
    schema = ask.schema.model_json_schema() | {"additionalProperties": False}
    return {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}


def collect(events, history: list) -> Answer:
    """Reads the raw events and holds them to their rules; the last one tells all again."""
    text, numbers, pieces, last = "", [], 0, None
    for event in events:
        numbers.append(event.sequence_number)
        pieces += event.type.endswith("text.delta")
        if event.type == "response.output_text.delta":
            text += event.delta
        last = event
    assert numbers == list(range(len(numbers))), numbers
    not_failed(last)
    assert last.type in ("response.completed", "response.incomplete"), last
    answer = read(last.response, history, pieces)
    assert answer.text == text, "the deltas say what the last event says"
    return answer


def not_failed(event) -> None:
    """The SDK gives the failure of an answer as an event, and raises nothing."""
    if event.type == "response.failed":
        raise SdkError(event.type, None, event.response.error.message)


def read(response, history: list, pieces: int = 0) -> Answer:
    calls, thinking = [], ""
    for item in response.output:
        if item.type == "function_call":
            calls.append(Call(item.call_id, item.name, json.loads(item.arguments)))
        elif item.type == "reasoning":
            thinking += "".join(part.text for part in item.summary)
    finish = response.status
    if response.incomplete_details:
        finish = response.incomplete_details.reason
    usage = response.usage
    counts = Usage(
        usage.input_tokens, usage.output_tokens, usage.output_tokens_details.reasoning_tokens,
        usage.input_tokens_details.cached_tokens, usage.total_tokens,
    )
    return Answer(response.output_text, calls, counts, finish, thinking, pieces, [*history, *map(sendable, response.output)])


def sendable(item):
    """The SDK's own object, but for what its helpers add for the program (openai-python 2 would send it)."""
    for part in getattr(item, "content", None) or []:
        if hasattr(part, "parsed"):
            del part.parsed
    return item
