"""The pages of docs/works-with say what is true: their files are written, their programs run, and their outputs appear."""

import re
from dataclasses import dataclass

import pytest
from harness.gateway import ROOT, Account
from programs import CLIENTS, Desk
from sdk.drivers import environment
from sdk.node import FOLDER

PAGES = ROOT / "docs/works-with"
BLOCK = re.compile(
    r"^```(?P<language>\w+) works-with(?:=(?P<where>\w+))?(?: file=(?P<file>\S+))?\n(?P<text>.*?)^```\n(?:\n```text\n(?P<said>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
ADDRESS = "http://127.0.0.1:8080"

pytestmark = pytest.mark.skipif(environment() != "newest", reason="the pages run once, with the newest SDKs' tests")


@dataclass
class Block:
    language: str
    where: str | None
    file: str | None
    text: str
    said: str | None


def blocks(page: str) -> list[Block]:
    return [Block(**found.groupdict()) for found in BLOCK.finditer((PAGES / page).read_text())]


def run(desk: Desk, block: Block) -> str:
    match block.language:
        case "python":
            script = desk.write("example.py", block.text)
            return desk.run([str(CLIENTS / (block.where or "newest") / "bin/python"), str(script)])
        case "js":
            # Node.js looks for packages beside the script.
            script = FOLDER / f"example-{desk.account.id}.mjs"
            script.write_text(block.text)
            try:
                return desk.run([str(FOLDER / "bin/node"), str(script)])
            finally:
                script.unlink()
        case "sh":
            return desk.run(["bash", "-euo", "pipefail", "-c", block.text])
    raise AssertionError(f"no way to run {block.language}")


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md") if path.name != "README.md"))
def test_a_page(page, account: Account, tmp_path):
    desk, ran = Desk(tmp_path, account), 0
    for block in blocks(page):
        block.text = block.text.replace(ADDRESS, account.gateway.base_url)
        if block.file:
            desk.write(block.file, block.text)
            continue
        output = run(desk, block)
        assert block.said, "a block says what it prints"
        for line in block.said.splitlines():
            assert line in output, f"{line!r} is not in the output: {output[-4000:]}"
        ran += 1
    assert ran, "a page has something to run"
    rows = account.usage()
    assert rows and all(row["status"] == 200 for row in rows), rows


def test_the_list_has_all_pages_and_their_versions():
    listed = (PAGES / "README.md").read_text()
    assert {path.name for path in PAGES.glob("*.md")} - {"README.md"} == set(re.findall(r"\]\(([\w-]+\.md)\)", listed))
    lists = "".join(path.read_text() for path in (ROOT / "tests/clients").glob("requirements-*.txt"))
    lists += (ROOT / "tests/clients/js/package.json").read_text()
    for version in re.findall(r"\d+\.\d+\.\d+", re.sub(r"\d+(\.\d+){3}", "", listed)):
        assert f"=={version}\n" in lists or f'"{version}"' in lists, f"{version} is not what is tested"
