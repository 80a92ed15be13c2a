"""A driver in JavaScript: one process of Node.js for each SDK, asked line by line. Its half is js/serve.mjs."""

import base64
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from . import EVERYTHING, HELPER, STREAM, WHOLE, Answer, Ask, Call, Driver, SdkError, Usage, can
from .anthropic_messages import Anthropic
from .openai_chat import KINDS

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "tests/clients/js"
FOLDER = ROOT / "target/clients/node"


@cache
def scripts() -> Path:
    """The scripts beside their packages, where Node.js looks for these. Other runs of the tests may be doing the same."""
    for source in SOURCES.glob("*.mjs"):
        copy = FOLDER / f"{source.name}.{os.getpid()}"
        shutil.copy(source, copy)
        copy.replace(FOLDER / source.name)
    return FOLDER


@cache
def process(script: str, kind: str) -> subprocess.Popen:
    """One for all tests; it ends when its standard input does, so at the latest with us."""
    command = [str(FOLDER / "bin/node"), str(scripts() / script), kind]
    quiet = {**os.environ, "NODE_NO_WARNINGS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)


class Node(Driver):
    script: str
    kind = ""  # Which of the script's drivers.

    def _say(self, op: str, **args):
        node = process(self.script, self.kind)
        node.stdin.write(json.dumps({"op": op, "base_url": self.base_url, "key": self.key, **args}) + "\n")
        node.stdin.flush()
        line = node.stdout.readline()
        assert line, f"{self.script} ended with {node.wait()}"
        said = json.loads(line)
        if "error" in said:
            raise SdkError(said["error"]["kind"], said["error"].get("status"), said["error"]["message"])
        return said["ok"]

    def ask(self, ask: Ask) -> Answer:
        said = self._say(
            "ask", model=ask.model, prompt=ask.prompt, mode=ask.mode, system=ask.system, force=ask.force, thinking=ask.thinking,
            tools=[vars(tool) for tool in ask.tools], max=ask.output_tokens_max, stop=ask.stop,
            image=ask.image and base64.b64encode(ask.image).decode(),
            schema=ask.schema and ask.schema.model_json_schema() | {"additionalProperties": False},
            after=ask.after and ask.after.history, results=ask.results,
        )
        calls = [Call(**call) for call in said.pop("calls")]
        usage = said.pop("usage")
        return Answer(calls=calls, usage=usage and Usage(**usage), **said)

    def models(self) -> list[str]:
        return self._say("models")

    def count(self, model: str, prompt: str) -> int:
        return self._say("count", model=model, prompt=prompt)

    def embed(self, model: str, texts: list[str], **more) -> list[list[float]]:
        return self._say("embed", model=model, texts=texts, **more)


class JsOpenAiChat(Node):
    name, protocol, package = "openai js chat", "openai.chat", "openai"
    script, kind, modes = "openai.mjs", "chat", (WHOLE, STREAM, HELPER)
    can, kinds = EVERYTHING | {"models", "embed"}, KINDS | {402: "APIError"}


class JsOpenAiResponses(Node):
    name, protocol, package = "openai js responses", "openai.responses", "openai"
    script, kind, modes = "openai.mjs", "responses", (WHOLE, STREAM, HELPER)
    can, kinds = (EVERYTHING | {"count"}) - {"stop"}, KINDS | {402: "APIError"}


class JsAnthropic(Node):
    name, protocol, package = "anthropic js", "anthropic.messages", "@anthropic-ai/sdk"
    script, modes = "anthropic.mjs", (WHOLE, STREAM, HELPER)
    can, kinds = Anthropic.can, Anthropic.kinds


class JsGemini(Node):
    name, protocol, package = "google genai js", "gemini.generate", "@google/genai"
    script, modes = "google.mjs", (WHOLE, STREAM, HELPER)
    can = EVERYTHING | {"models", "count", "embed"}
    kinds = dict.fromkeys((400, 401, 402, 403, 404, 429, 500, 502, 503, 504, 529), "ApiError")


class AiSdk(Node):
    package, script = "ai", "ai-sdk.mjs"
    can = can("tools", "force", "thinking", "thoughts", "image", "schema", "system", "limit", "stop")
    kinds = dict.fromkeys((400, 401, 402, 403, 404, 429, 500, 502, 503, 504, 529), "AI_APICallError")


class AiSdkOpenAi(AiSdk):
    name, protocol, kind = "ai-sdk openai", "openai.responses", "openai"
    can = AiSdk.can - {"stop"}


class AiSdkOpenAiChat(AiSdk):
    # OpenAI tells no thoughts over Chat Completions, so this provider reads none.
    name, protocol, kind, can = "ai-sdk openai chat", "openai.chat", "openai-chat", AiSdk.can - {"thoughts"}


class AiSdkCompatible(AiSdk):
    name, protocol, kind = "ai-sdk openai-compatible", "openai.chat", "compatible"


class AiSdkAnthropic(AiSdk):
    name, protocol, kind = "ai-sdk anthropic", "anthropic.messages", "anthropic"


class AiSdkGoogle(AiSdk):
    name, protocol, kind = "ai-sdk google", "gemini.generate", "google"
