"""google-genai, generateContent."""

from google import genai
from google.genai import errors, types

from . import EVERYTHING, HELPER, STREAM, WHOLE, Answer, Ask, Call, Driver, Usage

CLIENT, SERVER = "ClientError", "ServerError"


class Gemini(Driver):
    name, protocol, package = "google genai", "gemini.generate", "google-genai"
    modes = (WHOLE, STREAM, HELPER)
    can = EVERYTHING | {"models", "count", "embed"}
    kinds = {400: CLIENT, 401: CLIENT, 403: CLIENT, 404: CLIENT, 429: CLIENT, 402: CLIENT} | dict.fromkeys((500, 502, 503, 504, 529), SERVER)
    failures = (errors.APIError,)

    def __init__(self, base_url: str, key: str):
        super().__init__(base_url, key)
        options = types.HttpOptions(base_url=base_url, timeout=60_000)
        self.client = genai.Client(api_key=key, vertexai=False, http_options=options)

    def status_of(self, error: Exception) -> int | None:
        return error.code

    def _ask(self, ask: Ask) -> Answer:
        history = [*ask.after.history] if ask.after else []
        turn = next_turn(ask)
        config = options(ask)
        if ask.mode == HELPER:
            # A chat keeps the history by itself.
            chat = self.client.chats.create(model=ask.model, config=config, history=history)
            chunks = list(chat.send_message_stream(turn.parts))
            return read(chunks, len(chunks), chat.get_history())
        contents = [*history, turn]
        if ask.mode == WHOLE:
            chunks = [self.client.models.generate_content(model=ask.model, contents=contents, config=config)]
            return read(chunks, 0, [*contents, chunks[0].candidates[0].content])
        chunks = list(self.client.models.generate_content_stream(model=ask.model, contents=contents, config=config))
        parts = [part for chunk in chunks for part in parts_of(chunk)]
        return read(chunks, len(chunks), [*contents, types.Content(role="model", parts=parts)])

    def models(self) -> list[str]:
        with self.speaking():
            return [model.name.removeprefix("models/") for model in self.client.models.list()]

    def count(self, model: str, prompt: str) -> int:
        with self.speaking():
            return self.client.models.count_tokens(model=model, contents=prompt).total_tokens

    def embed(self, model: str, texts: list[str], **more) -> list[list[float]]:
        config = types.EmbedContentConfig(**more) if more else None
        with self.speaking():
            return [e.values for e in self.client.models.embed_content(model=model, contents=texts, config=config).embeddings]


def next_turn(ask: Ask) -> types.Content:
    if ask.results:
        names = {call.id: (call.name, place) for place, call in enumerate(ask.after.calls)}
        ids = ask.after.ids
        parts = [
            types.Part(function_response=types.FunctionResponse(id=ids[names[call][1]], name=names[call][0], response={"result": text}))
            for call, text in ask.results.items()
        ]
        return types.Content(role="user", parts=parts)
    parts = [types.Part(text=ask.prompt)]
    if ask.image:
        parts.append(types.Part.from_bytes(data=ask.image, mime_type="image/png"))
    return types.Content(role="user", parts=parts)


def options(ask: Ask) -> types.GenerateContentConfig:
    config = types.GenerateContentConfig(automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    if ask.system:
        config.system_instruction = ask.system
    if ask.tools:
        declared = [
            types.FunctionDeclaration(name=t.name, description=t.description, parameters_json_schema=t.parameters) for t in ask.tools
        ]
        config.tools = [types.Tool(function_declarations=declared)]
    if ask.force:
        calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=[ask.force])
        config.tool_config = types.ToolConfig(function_calling_config=calling)
    if ask.schema:
        config.response_mime_type, config.response_schema = "application/json", ask.schema
    if ask.thinking:
        config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    if ask.output_tokens_max:
        config.max_output_tokens = ask.output_tokens_max
    if ask.stop:
        config.stop_sequences = [ask.stop]
    return config


def parts_of(chunk) -> list:
    candidate = chunk.candidates[0] if chunk.candidates else None
    return (candidate.content.parts or []) if candidate and candidate.content else []


def read(chunks: list, pieces: int, history: list) -> Answer:
    parts = [part for chunk in chunks for part in parts_of(chunk)]
    text = "".join(part.text for part in parts if part.text and not part.thought)
    thinking = "".join(part.text for part in parts if part.text and part.thought)
    called = [part.function_call for part in parts if part.function_call]
    # Older models give no ids: then the order pairs calls and results.
    calls = [Call(call.id or f"call-{place}", call.name, call.args) for place, call in enumerate(called)]
    finish = next((c.candidates[0].finish_reason for c in reversed(chunks) if c.candidates and c.candidates[0].finish_reason), None)
    usage = next((c.usage_metadata for c in reversed(chunks) if c.usage_metadata), None)
    counts = usage and Usage(
        (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        usage.thoughts_token_count or 0, usage.cached_content_token_count or 0, usage.total_token_count,
    )
    answer = Answer(text, calls, counts, finish and finish.value, thinking, pieces, history)
    answer.ids = [call.id for call in called]
    return answer
