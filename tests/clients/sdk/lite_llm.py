"""litellm as a client: one interface of OpenAI's form, each provider's own protocol below it."""

import copy
import gc
import os
from dataclasses import replace

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # Nothing is fetched.
os.environ.setdefault("LITELLM_TELEMETRY", "False")

import litellm
import openai

from . import WHOLE, Answer, Ask, Driver, can
from .openai_chat import collect, history_of, options, read, schema_format

litellm.suppress_debug_info = True
gc.freeze()  # Its modules are many, and `close` collects.


class LiteLlm(Driver):
    package = "litellm"
    can = can("tools", "force", "thinking", "thoughts", "image", "schema", "system", "limit", "stop")
    failures = (openai.OpenAIError,)
    prefix: str
    told: list[str] = []
    thinking: dict = {"reasoning_effort": "medium"}

    def base(self) -> str:
        return self.base_url

    def close(self) -> None:
        # It leaves broken streams to the garbage collector, which may find them while the same connection pool is locked.
        gc.collect()

    def _ask(self, ask: Ask) -> Answer:
        history = history_of(ask)
        more = options(replace(ask, thinking=False)) | (self.thinking if ask.thinking else {})
        if ask.schema:
            more["response_format"] = schema_format(ask)
        more = copy.deepcopy(more)  # It edits schemas in place.
        for tool in more.get("tools", []):
            del tool["function"]["strict"]  # Not all providers of litellm take it.
        more |= {"model": self.prefix + ask.model, "messages": history, "api_base": self.base(), "api_key": self.key}
        more |= {"num_retries": 0, "max_retries": 0, "drop_params": True}
        # What it does not know that a model can do it leaves out, unless it is told.
        more["allowed_openai_params"] = self.told
        if ask.mode == WHOLE:
            answer = litellm.completion(**more)
            return read(answer, answer.choices[0].message, history)
        chunks = list(litellm.completion(stream=True, stream_options={"include_usage": True}, **more))
        answer = collect(with_usage(chunks), history)
        whole = litellm.stream_chunk_builder(chunks, messages=history)
        answer.history[-1] = whole.choices[0].message
        return answer


def with_usage(chunks: list):
    """Not every chunk of litellm's has the field."""
    for chunk in chunks:
        if not hasattr(chunk, "usage"):
            chunk.usage = None
        yield chunk


class LiteLlmOpenAi(LiteLlm):
    name, protocol, prefix = "litellm openai", "openai.chat", "openai/"
    told = ["reasoning_effort"]

    def base(self) -> str:
        return self.base_url + "/v1"


class LiteLlmAnthropic(LiteLlm):
    name, protocol, prefix = "litellm anthropic", "anthropic.messages", "anthropic/"
    told, thinking = ["thinking"], {"thinking": {"type": "enabled", "budget_tokens": 1024}}


class LiteLlmGemini(LiteLlm):
    # It leaves the schema out for a model that it does not know.
    name, protocol, prefix, can = "litellm gemini", "gemini.generate", "gemini/", LiteLlm.can - {"schema"}
