"""The command lines of the vendors, unmodified, each with models of every protocol: a tool runs for real, its result goes back, and
the text comes.

`demo: call TOOL {…}` in the user's words makes the demo upstream call that tool with these arguments (docs/demo.md). How a
program is set up is what its page in docs/works-with says.
"""

import json
from dataclasses import dataclass

import pytest
from harness.gateway import Account
from programs import Desk
from sdk.drivers import environment
from test_matrix import MODELS
from test_works_with import ADDRESS, blocks

pytestmark = pytest.mark.skipif(environment() != "newest", reason="the command lines are of no Python environment")

WORDS = "made-by-a-tool"
FILE = "proof.txt"
CALLS_MAX = 6  # Two turns, and the small calls beside them, for titles and names.


@dataclass(frozen=True)
class Agent:
    page: str
    protocol: str
    command: str  # The prompt follows.
    tool: str
    arguments: dict[str, str]
    variables: tuple[str, ...] = ()
    takes_words: bool = False  # It puts an argument with spaces in quotes.


AGENTS = {
    "claude": Agent(
        "claude-code.md", "anthropic.messages", "claude --permission-mode acceptEdits --model {model} -p", "Write",
        {"file_path": "{file}", "content": WORDS}, ("ANTHROPIC_BASE_URL={url}", "ANTHROPIC_AUTH_TOKEN={key}"),
    ),
    "codex": Agent(
        "codex.md", "openai.responses", "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -m {model}",
        "exec_command", {"cmd": f"printf '{WORDS}' > {{file}}"},
    ),
    "gemini": Agent(
        "gemini-cli.md", "gemini.generate", "gemini --skip-trust --yolo -m {model} -p", "write_file",
        {"file_path": "{file}", "content": WORDS}, ("GOOGLE_GEMINI_BASE_URL={url}", "GEMINI_API_KEY={key}"),
    ),
    "opencode": Agent(
        "opencode.md", "openai.chat", "opencode run -m qingwave/{model}", "write", {"filePath": "{file}", "content": WORDS},
        takes_words=True,
    ),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", AGENTS)
def test_a_tool_runs(name, model, account: Account, tmp_path):
    agent, desk = AGENTS[name], Desk(tmp_path, account)
    for block in blocks(agent.page):
        if block.file:
            text = block.text.replace(ADDRESS, account.gateway.base_url).replace("claude-sonnet-5-5", model)
            desk.write(block.file, text)
    proof = desk.project / FILE
    given = {name: value.format(file=proof) for name, value in agent.arguments.items()}
    prompt = f"demo: call {agent.tool} {json.dumps(given, separators=(',', ':'))}"
    known = {"model": model, "url": account.gateway.base_url, "key": account.key}
    variables = dict(pair.format(**known).split("=", 1) for pair in agent.variables)
    command = [word.format(**known) for word in agent.command.split()]
    output = desk.run([*command, *(prompt.split() if agent.takes_words else [prompt])], **variables)
    assert proof.is_file() and proof.read_text().strip() == WORDS, output
    assert "The tool answered" in output, output
    rows = account.usage()
    assert 2 <= len(rows) <= CALLS_MAX, [row["model"] for row in rows]
    assert {row["protocol"] for row in rows} == {agent.protocol} and all(row["status"] == 200 for row in rows), rows
