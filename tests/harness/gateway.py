"""Starts `qingwave demo` and talks to its two listeners. Knows the contract for users, nothing of the inside."""

import csv
import io
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
PAGE_ROWS = 500

# Nothing here leaves the machine, so a proxy of the environment must not be asked.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def binary() -> Path:
    """The binary under test: `QINGWAVE_BIN`, else the release build."""
    path = (ROOT / os.environ.get("QINGWAVE_BIN", "target/release/qingwave")).resolve()
    if not path.is_file():
        raise SystemExit(f"{path} is missing: run `make release`, or set QINGWAVE_BIN")
    return path


def raise_open_files() -> None:
    """1,000 concurrent calls are 3,000 sockets over client, gateway and upstream. The gateway inherits the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Reply:
    """A whole HTTP answer."""

    def __init__(self, status: int, headers, body: bytes):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self):
        return json.loads(self.body)

    def ok(self) -> "Reply":
        assert 200 <= self.status < 300, f"status {self.status}: {self.body[:2000]!r}"
        return self


def call(method: str, url: str, *, key: str | None = None, body=None, headers: dict | None = None) -> Reply:
    headers = dict(headers or {})
    data = None
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers.setdefault("content-type", "application/json")
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with _opener.open(request, timeout=60) as response:
            return Reply(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers, error.read())


class Gateway:
    """A running `qingwave demo`. The data directory outlives it when it was given one."""

    def __init__(self, *, data: Path | None = None, args: tuple[str, ...] = ()):
        command = [str(binary()), "demo", "--json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        if data is not None:
            command += ["--data", str(data)]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*command, *args], stdout=subprocess.PIPE, stderr=self.log, cwd=ROOT)
        try:
            self._read_line()
        except BaseException:
            self.kill()
            raise

    def _read_line(self) -> None:
        """Exactly one line on stdout, once both listeners accept."""
        out, line, deadline = self.process.stdout, b"", time.monotonic() + START_SECONDS_MAX
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(out.fileno(), 4096) if ready else b""
            if not piece:
                why = "ended" if ready else f"said nothing for {START_SECONDS_MAX} s"
                raise AssertionError(f"the gateway {why} before its line was complete: {line!r}\n{self.logs()}")
            line += piece
        assert line.count(b"\n") == 1, f"more than one line on stdout: {line!r}"
        said = json.loads(line)
        assert set(said) == {"base_url", "api_key", "admin_url", "admin_key"}, said
        self.base_url, self.api_key = said["base_url"], said["api_key"]
        self.admin_url, self.admin_key = said["admin_url"], said["admin_key"]
        self.host, port = urllib.parse.urlsplit(self.base_url).netloc.rsplit(":", 1)
        self.port = int(port)
        assert self.base_url == f"http://{self.host}:{self.port}", "no path, no trailing slash"

    def logs(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-8000:]

    def kill(self) -> None:
        """SIGKILL: no code of the gateway's runs any more."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> None:
        """SIGTERM, and the clean exit that must follow."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {STOP_SECONDS_MAX} s after SIGTERM\n{self.logs()}") from None
        rest = self.process.stdout.read()
        self.process.stdout.close()
        assert code == 0, f"exit code {code} after SIGTERM\n{self.logs()}"
        assert rest == b"", f"more than one line on stdout: {rest!r}"

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            if self.process.poll() is None:
                self.kill()
            print(self.logs())
        elif self.process.poll() is None:
            self.stop()

    # Admin listener

    def admin(self, method: str, path: str, body=None) -> Reply:
        return call(method, self.admin_url + path, key=self.admin_key, body=body)

    def account(self, amount: str, *, policy: str | None = None, models: list[str] | None = None) -> "Account":
        """A new account with this much in its wallet, and a key of its own."""
        created = self.admin("POST", "/admin/accounts", {"name": "a test"}).ok().json()
        account = Account(self, created["id"])
        account.fund(amount)
        account.new_key(policy=policy, models=models)
        return account

    def verify(self) -> dict:
        """Asks the ledger to prove itself; any problem ends the run."""
        report = self.admin("GET", "/admin/ledger/verify").ok().json()
        assert report["ok"] is True and report["problems"] == [], report
        return report


class Account:
    """An account with one key, and what its holder can see of it."""

    def __init__(self, gateway: Gateway, account_id: str, key: str | None = None):
        self.gateway, self.id, self.key, self.key_id = gateway, account_id, key, None
        self.funded = 0

    def fund(self, amount: str) -> None:
        self.funded += 1
        body = {"amount": amount, "idempotency_key": f"{self.id}-{self.funded}"}
        self.gateway.admin("POST", f"/admin/accounts/{self.id}/fund", body).ok()

    def new_key(self, *, policy: str | None = None, models: list[str] | None = None) -> None:
        body = {"account": self.id, "name": "a test"}
        body |= {name: value for name, value in (("policy", policy), ("models", models)) if value is not None}
        created = self.gateway.admin("POST", "/admin/keys", body).ok().json()
        self.key, self.key_id = created["key"], created["id"]
        assert self.key.startswith("sk-qw-"), "keys are recognisable"

    def get(self, path: str) -> Reply:
        return call("GET", self.gateway.base_url + path, key=self.key)

    def wallet(self) -> dict:
        return self.get("/v1/wallet").ok().json()

    def usage(self, **filters) -> list[dict]:
        """Every usage record, newest first, over all pages."""
        rows, cursor = [], None
        while True:
            query = {"limit": PAGE_ROWS, **filters} | ({"cursor": cursor} if cursor else {})
            page = self.get("/v1/usage?" + urllib.parse.urlencode(query)).ok().json()
            assert set(page) >= {"data", "next_cursor"}, page.keys()
            rows += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return rows
            assert page["data"], "a page with a successor is not empty"

    def usage_csv(self) -> list[dict]:
        reply = self.get("/v1/usage.csv").ok()
        assert reply.headers["content-type"].startswith("text/csv"), reply.headers
        return list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))


class Folder:
    """A temporary folder that stays when the run failed, so that it can be looked at."""

    def __init__(self, prefix: str):
        self.path = Path(tempfile.mkdtemp(prefix=prefix))

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind, error, trace) -> None:
        if error is None:
            shutil.rmtree(self.path)
        else:
            print(f"kept for you to look at: {self.path}")
