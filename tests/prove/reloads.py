#!/usr/bin/env python3
"""Reloads the catalog 20 times a second under load, each time with another price, and then breaks it.

Proves: no call fails; each call is charged at the price of the catalog that it was admitted under, which its record names; a
broken file keeps the old catalog and the answer says file, line and column.
"""

import argparse
import asyncio
import os
import re
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.gateway import Account, Folder, Gateway, raise_open_files
from harness.load import Answer, Connection, chat
from harness.money import Prices, amount, shown

FIXED = "demo-fixed"
# Its streams last over several reloads. It is priced by tokens too: what the overlay sets comes on top.
SLOW = "demo-fault-slow-events"
MODELS = (FIXED, SLOW)
FILE = "price.yaml"
RELOADS_PER_SECOND = 20
BASE = Decimal("0.001")
NANO = Decimal("0.000000001")
SWING = 100_000


def overlay(usd: str) -> str:
    """An overlay that sets what each call costs, as YAML text."""
    rows = (f"  - id: {model}\n    price:\n      - {{meter: requests, per: 1, usd: {usd}}}\n" for model in MODELS)
    return "models:\n" + "".join(rows)


def price_of(step: int) -> Decimal:
    """Each reload has a price of its own, so that a charge names the catalog it comes from. Prices go up and down in turn,
    since a late price that is higher would be hidden by the hold."""
    return BASE + (step if step % 2 == 0 else SWING - step) * NANO


@dataclass
class Call:
    """An answer and the reloads between which it must have been admitted."""

    answer: Answer
    # The last reload that was over before the call was sent; the last that had begun when its answer began.
    earliest: int
    latest: int


class Storm:
    def __init__(self, gateway: Gateway, account: Account, folder: Path, clients: int):
        self.gateway, self.account, self.folder, self.clients = gateway, account, folder, clients
        self.written = self.loaded = 0
        self.revs: dict[str, int] = {}
        self.calls: list[Call] = []
        self.over = False
        self.by_tokens = Prices(SLOW)

    def write(self, text: str) -> None:
        """Replaces the overlay in one step, so that no reader ever sees half a file."""
        fresh = self.folder / (FILE + ".new")
        fresh.write_text(text)
        os.replace(fresh, self.folder / FILE)

    def reload(self, step: int) -> None:
        self.write(overlay(f'"{shown(price_of(step))}"'))
        self.written = step
        done = self.gateway.admin("POST", "/admin/catalog/reload").ok().json()
        self.revs[done["rev"]] = step
        self.loaded = step

    async def reload_often(self, reloads: int) -> None:
        began = time.monotonic()
        for step in range(1, reloads + 1):
            await asyncio.to_thread(self.reload, step)
            await asyncio.sleep(max(0, began + step / RELOADS_PER_SECOND - time.monotonic()))
        self.over = True
        print(f"reloads: {reloads} in {time.monotonic() - began:.1f} s")

    async def client(self, number: int) -> None:
        connection = Connection(self.gateway.host, self.gateway.port, self.account.key)
        model = MODELS[number % len(MODELS)]
        while not self.over:
            body = chat(model, "what does it cost", stream=model == SLOW or len(self.calls) % 2 == 0, max_tokens=16)
            call = Call(Answer(), self.loaded, self.written)
            call.answer = await connection.call(body, on_head=lambda call=call: setattr(call, "latest", self.written))
            self.calls.append(call)
        connection.close()

    async def run(self, reloads: int) -> None:
        clients = [asyncio.create_task(self.client(number)) for number in range(self.clients)]
        await self.reload_often(reloads)
        await asyncio.gather(*clients)

    def check(self) -> None:
        assert self.reloads_counted(ok=True) >= self.written, "every reload is counted"
        failed = [c.answer for c in self.calls if c.answer.status != 200 or not c.answer.complete]
        assert not failed, f"{len(failed)} calls failed, the first: {failed[0].status} {failed[0].body[:300]!r}"
        rows = {row["id"]: row for row in self.account.usage()}
        step_of_price = {price_of(step): step for step in range(self.written + 1)}
        step_of_rev: dict[str, int] = {}
        for call in self.calls:
            row = rows[call.answer.id]
            rev, price = row["catalog_rev"], amount(row["charge"])
            if row["model"] == SLOW:
                price -= self.by_tokens.charge(call.answer.usage())
            step = step_of_price.get(price)
            assert step is not None, f"{row['id']}: {price} was never a price"
            assert call.earliest <= step <= call.latest, f"{row['id']}: price {step}, admitted in {call.earliest}..{call.latest}"
            if not call.answer.is_stream:
                assert call.answer.headers["x-qingwave-charge"] == row["charge"], row
            assert step_of_rev.setdefault(rev, step) == step, f"catalog {rev} had two prices"
            assert self.revs.get(rev, step) == step, f"{row['id']}: catalog {rev} is that of reload {self.revs[rev]}, not {step}"
        steps = set(step_of_rev.values())
        assert len(steps) > 1, "all calls had one price: nothing was tried"
        slow = sum(1 for call in self.calls if rows[call.answer.id]["model"] == SLOW)
        print(f"calls: {len(self.calls)} ({slow} slow streams), 0 failed, {len(steps)} prices, each as admitted")

    def reloads_counted(self, ok: bool) -> int:
        metrics = self.gateway.admin("GET", "/metrics").ok().body.decode()
        counts = re.findall(r'^qingwave_catalog_reloads_total\{result="([^"]*)"\} ([0-9]+)$', metrics, re.MULTILINE)
        return sum(int(count) for result, count in counts if (result == "ok") == ok)

    def check_broken(self) -> None:
        """A number where a quoted decimal belongs."""
        before = one_charge(self.gateway, self.account)
        text = overlay("2.5")
        line = next(n for n, row in enumerate(text.splitlines(), 1) if "2.5" in row)
        column = text.splitlines()[line - 1].index("2.5") + 1
        self.write(text)
        refused = self.gateway.admin("POST", "/admin/catalog/reload")
        place = f"{FILE}:{line}:{column}"
        assert 400 <= refused.status < 500, f"status {refused.status}: {refused.body!r}"
        assert place in refused.body.decode(), f"{place} is not named: {refused.body.decode()}"
        assert self.reloads_counted(ok=False) > 0, "a refused reload is counted"
        assert one_charge(self.gateway, self.account) == before, "the old catalog keeps serving"
        self.reload(self.written + 1)
        assert one_charge(self.gateway, self.account) == price_of(self.written), "a mended file is taken"
        print(f"broken file: refused at {place}, the old catalog kept serving")


def one_charge(gateway: Gateway, account: Account) -> Decimal:
    async def call() -> Answer:
        connection = Connection(gateway.host, gateway.port, account.key)
        answer = await connection.call(chat(FIXED, "one", max_tokens=8))
        connection.close()
        return answer

    answer = asyncio.run(call())
    assert answer.status == 200, answer.body
    return amount(answer.headers["x-qingwave-charge"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--clients", type=int, default=16)
    args = parser.parse_args()
    raise_open_files()
    with Folder("qingwave-overlay-") as folder:
        (folder / FILE).write_text(overlay(f'"{shown(price_of(0))}"'))
        with Gateway(args=("--overlay", str(folder))) as gateway:
            storm = Storm(gateway, gateway.account("1000"), folder, args.clients)
            asyncio.run(storm.run(args.seconds * RELOADS_PER_SECOND))
            storm.check()
            storm.check_broken()
            gateway.verify()
    return 0


if __name__ == "__main__":
    sys.exit(main())
