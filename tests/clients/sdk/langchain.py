"""LangChain's chat models, one for each protocol. All take and give LangChain's own messages."""

import base64

import anthropic
import openai
from google.genai import errors as google
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError
from langchain_openai import ChatOpenAI

from . import WHOLE, Answer, Ask, Call, Driver, Usage, can


class LangChain(Driver):
    can = can("tools", "force", "thinking", "thoughts", "image", "schema", "system", "limit")
    # An error inside a stream of Responses it raises as a ValueError.
    failures = (ValueError, openai.OpenAIError, anthropic.AnthropicError, google.APIError, ChatGoogleGenerativeAIError)

    def chat(self, ask: Ask):
        raise NotImplementedError

    def status_of(self, error: Exception) -> int | None:
        return getattr(error, "status_code", getattr(error, "code", None))

    def _ask(self, ask: Ask) -> Answer:
        system = [SystemMessage(ask.system)] if ask.system else []
        results = [ToolMessage(text, tool_call_id=call) for call, text in ask.results.items()]
        history = [*(ask.after.history if ask.after else system), *(results or [user_turn(ask)])]
        model = self.chat(ask)
        if ask.schema:
            model = model.with_structured_output(ask.schema, method="json_schema")
            made = model.invoke(history) if ask.mode == WHOLE else list(model.stream(history))[-1]
            return Answer(made.model_dump_json(), [], None, None)
        if ask.tools:
            tools = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in ask.tools]
            model = model.bind_tools(tools, **({"tool_choice": ask.force} if ask.force else {}))
        if ask.mode == WHOLE:
            return read(model.invoke(history), 0, history)
        whole, pieces = None, 0
        for chunk in model.stream(history):
            pieces += bool(chunk.text)
            whole = chunk if whole is None else whole + chunk
        return read(whole, pieces, history)

class LangChainChat(LangChain):
    name, protocol, package = "langchain openai", "openai.chat", "langchain-openai"
    # What is thought over Chat Completions it drops.
    can = LangChain.can - {"thoughts"}
    responses = False

    def chat(self, ask: Ask):
        more = {"reasoning_effort": "medium"} if ask.thinking and not self.responses else {}
        if ask.thinking and self.responses:
            more = {"reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        if self.responses:
            more |= {"use_responses_api": True, "store": False, "output_version": "responses/v1"}
        return ChatOpenAI(
            model=ask.model, base_url=self.base_url + "/v1", api_key=self.key, max_retries=0, stream_usage=True,
            max_tokens=ask.output_tokens_max, **more,
        )


class LangChainResponses(LangChainChat):
    name, protocol = "langchain openai responses", "openai.responses"
    can = LangChain.can
    responses = True


class LangChainAnthropic(LangChain):
    name, protocol, package = "langchain anthropic", "anthropic.messages", "langchain-anthropic"
    def chat(self, ask: Ask):
        more = {"thinking": {"type": "enabled", "budget_tokens": 1024}} if ask.thinking else {}
        if ask.output_tokens_max:
            more["max_tokens"] = ask.output_tokens_max
        return ChatAnthropic(model=ask.model, base_url=self.base_url, api_key=self.key, max_retries=0, **more)


class LangChainGoogle(LangChain):
    name, protocol, package = "langchain google", "gemini.generate", "langchain-google-genai"

    def chat(self, ask: Ask):
        more = {"include_thoughts": True, "thinking_budget": 1024} if ask.thinking else {}
        if ask.output_tokens_max:
            more["max_output_tokens"] = ask.output_tokens_max
        # Its `max_retries` counts all tries.
        return ChatGoogleGenerativeAI(model=ask.model, base_url=self.base_url, google_api_key=self.key, max_retries=1, **more)


def user_turn(ask: Ask) -> HumanMessage:
    content = ask.prompt
    if ask.image:
        url = "data:image/png;base64," + base64.b64encode(ask.image).decode()
        content = [{"type": "text", "text": ask.prompt}, {"type": "image_url", "image_url": {"url": url}}]
    return HumanMessage(content)


def read(message: AIMessage | AIMessageChunk, pieces: int, history: list) -> Answer:
    calls = [Call(call["id"], call["name"], call["args"]) for call in message.tool_calls]
    thinking = "".join(block.get("reasoning", "") for block in message.content_blocks if block["type"] == "reasoning")
    usage = message.usage_metadata
    counts = usage and Usage(
        usage["input_tokens"], usage["output_tokens"], usage.get("output_token_details", {}).get("reasoning", 0),
        usage.get("input_token_details", {}).get("cache_read", 0), usage["total_tokens"],
    )
    told = message.response_metadata
    finish = told.get("finish_reason") or told.get("stop_reason") or told.get("status")
    return Answer(message.text, calls, counts, finish, thinking, pieces, [*history, message])
