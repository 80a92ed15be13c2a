"""Runs programs of others as a user does, in a home of their own, with the way to the world outside shut."""

import os
import signal
import subprocess
from pathlib import Path

from harness.gateway import ROOT, Account

CLIENTS = ROOT / "target/clients"
SECONDS_MAX = 120
# The environments' own folders first: what is tested is what was pinned.
PATHS = [
    CLIENTS / "node/node_modules/.bin", CLIENTS / "node/node_modules/opencode-linux-x64-baseline/bin", CLIENTS / "node/bin",
    CLIENTS / "aider/bin", CLIENTS / "newest/bin",
]
KEPT = ("LANG", "LC_ALL", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Nobody listens there, so a program that would phone home learns at once that it cannot.
NOWHERE = "http://127.0.0.1:9"
QUIET = {
    "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "http_proxy": NOWHERE, "https_proxy": NOWHERE,
    "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
    # What their pages recommend, and what only tests need.
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NODE_NO_WARNINGS": "1", "AI_SDK_LOG_WARNINGS": "false", "NO_COLOR": "1", "CI": "true", "PYTHONDONTWRITEBYTECODE": "1",
}


class Desk:
    """A home and a project folder, and an account of the gateway."""

    def __init__(self, folder: Path, account: Account):
        self.home, self.project, self.account = folder / "home", folder / "project", account
        for made in (self.home, self.project):
            made.mkdir()

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([*map(str, PATHS), os.environ["PATH"]])
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {**kept, **QUIET, "PATH": path, "HOME": str(self.home), "QINGWAVE_KEY": self.account.key}

    def write(self, name: str, text: str) -> Path:
        """A file of the project, or with `~/` of the home."""
        path = self.home / name[2:] if name.startswith("~/") else self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, command: list[str], **environment: str) -> str:
        """Its whole output. A failure or a hanging program is an error with what was printed until then."""
        env = self.environment() | environment
        process = subprocess.Popen(
            command, cwd=self.project, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            raise AssertionError(f"{command[0]} still ran after {SECONDS_MAX} s: {said[-4000:]}") from None
        assert process.returncode == 0, f"{command[0]} exited with {process.returncode}: {said[-6000:]}"
        return said
