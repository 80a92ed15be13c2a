"""Which SDKs the environment that runs the tests has. Its list of packages says so; what it names must be there."""

import re
import sys
from functools import cache
from pathlib import Path

from . import Driver

LISTS = Path(__file__).resolve().parents[1]


@cache
def environment() -> str:
    """`newest` or `before`: the folder that scripts/setup.sh made for the list of that name."""
    return Path(sys.prefix).name


@cache
def packages() -> dict[str, str]:
    text = (LISTS / f"requirements-{environment()}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


@cache
def drivers() -> tuple[type[Driver], ...]:
    from .anthropic_messages import Anthropic
    from .gemini import Gemini
    from .openai_chat import OpenAiChat
    from .openai_responses import OpenAiResponses

    found = [OpenAiChat, OpenAiResponses, Anthropic, Gemini]
    if "langchain-openai" in packages():
        from . import langchain as lc

        found += [lc.LangChainChat, lc.LangChainResponses, lc.LangChainAnthropic, lc.LangChainGoogle]
    if "litellm" in packages():
        from . import lite_llm as lite

        found += [lite.LiteLlmOpenAi, lite.LiteLlmAnthropic, lite.LiteLlmGemini]
    if environment() == "newest":
        # Node.js needs to be driven once.
        from . import node

        found += [node.JsOpenAiChat, node.JsOpenAiResponses, node.JsAnthropic, node.JsGemini]
        found += [node.AiSdkOpenAi, node.AiSdkOpenAiChat, node.AiSdkCompatible, node.AiSdkAnthropic, node.AiSdkGoogle]
    return tuple(found)
