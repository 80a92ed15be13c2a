"""One gateway for all tests; an account of its own for each, so that its ledger holds exactly that test's calls."""

import json
import re
import sys
from pathlib import Path

import openai
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.gateway import Account, Gateway, raise_open_files

FUNDS = "1000"
# What the demo upstream's knobs (docs/demo.md) make of a call, under a name each. The shipped catalog has them for one protocol.
FAULTS = {
    "400": "e400", "429": "e429", "500": "e500", "503": "e503",
    "cut": "k3-d5", "closed": "x3-d5", "reset": "r3-d5", "error": "f3-d5", "cut-late": "k99-d5",
}
PROTOCOLS = {"chat": "openai.chat", "responses": "openai.responses", "messages": "anthropic.messages", "gemini": "gemini.generate"}

# What is known to fail, by the test's id: bugs that are not mended yet. A test that passes again is told as "xpassed".
KNOWN = {
    r"test_line_separators\[(google_genai|langchain_google|litellm_(gemini|anthropic))-.*-(stream|helper)\]": "line separators go out raw in streams",
    r"test_agents.*\[claude-demo-gemini\]": "an answer ends with redacted_thinking",
    r"test_agents.*\[codex-demo-responses\]": "the demo refuses client_metadata",
    r"(test_a_conversation|_with_thinking)\[(google_genai|google_genai_js|openai_js_chat)-demo-messages-helper\]": "a signature without its whole thought",
    r"\[litellm_anthropic-demo-gemini-(whole|stream)\]": "a call's signature goes to the text before it",
    r"test_a_broken_stream_is_raised\[openai_responses-helper-.*-responses\]": "response.failed has an id of its own",
}


def pytest_collection_modifyitems(items):
    for item in items:
        for pattern, why in KNOWN.items():
            if re.search(pattern, item.nodeid):
                item.add_marker(pytest.mark.xfail(reason=why))


def fault(name: str, protocol: str) -> dict:
    """A model `fault-NAME-PROTOCOL` for the overlay."""
    price = [{"meter": meter, "per": "1M", "usd": "1"} for meter in ("input_tokens", "output_tokens")]
    channel = {"id": "faulty", "provider": "demo", "upstream": f"ok--{FAULTS[name]}", "protocol": PROTOCOLS[protocol], "priority": 0}
    return {
        "id": f"fault-{name}-{protocol}", "vendor": "qingwave", "modality": "text", "endpoints": {"chat": {"input": "chat@1"}},
        "modalities": {"in": ["text"], "out": ["text"]}, "limits": {"context": 128000, "max_output": 16384}, "price": price,
        "channels": [channel],
    }


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    raise_open_files()
    overlay = tmp_path_factory.mktemp("overlay")
    # JSON is YAML.
    models = [fault(name, protocol) for name in FAULTS for protocol in PROTOCOLS]
    (overlay / "faults.yaml").write_text(json.dumps({"models": models}))
    with Gateway(args=("--overlay", str(overlay))) as running:
        yield running
        running.verify()


@pytest.fixture
def account(gateway: Gateway) -> Account:
    return gateway.account(FUNDS)


@pytest.fixture
def client(account: Account):
    """The official SDK as a user makes it, but that it must not retry: each call of a test is one call of the ledger."""
    with sdk(account) as made:
        yield made


def sdk(account: Account, kind=openai.OpenAI):
    return kind(base_url=account.gateway.base_url + "/v1", api_key=account.key, max_retries=0, timeout=60)
