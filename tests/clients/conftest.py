"""One gateway for all tests; an account of its own for each, so that its ledger holds exactly that test's calls."""

import json
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


# What is known not to hold yet, and why. A case that begins to pass is reported as such.
KNOWN = {
    "demo-messages-helper": "google-genai's chats and openai's JavaScript helper cut a thought to pieces: it is left out at a second attempt",
    "test_a_tool_runs[claude-demo-gemini]": "Claude Code prints nothing where a signature without text ends the answer",
}
CUT_THOUGHTS = ("test_a_conversation", "test_a_tool_round_with_thinking")


def pytest_collection_modifyitems(items):
    for item in items:
        cut = item.name.startswith(CUT_THOUGHTS) and "demo-messages-helper" in item.name
        cut = cut and any(client in item.name for client in ("google_genai", "openai_js_chat"))
        reason = KNOWN["demo-messages-helper"] if cut else KNOWN.get(item.name)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
