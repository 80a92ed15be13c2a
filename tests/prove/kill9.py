#!/usr/bin/env python3
"""Kills the gateway with SIGKILL under load, again and again on one data directory, and then balances the books.

Proves: every answer that was complete at the client is in the ledger exactly once, with the right amount; no hold is left;
the wallet has lost exactly the sum of the charges; `ledger verify` finds nothing.

The right amount of a whole answer is what its `x-qingwave-charge` said; of a stream it is computed here from the stream's own
usage chunk and the catalog's prices, or from the record's units where the client had not asked for them.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.gateway import Account, Folder, Gateway, raise_open_files
from harness.load import Answer, Connection, chat
from harness.money import Prices, amount, total

MODEL, FIXED = "demo", "demo-fixed"
FUNDS = "100000"
# What the clients do, and how often.
KINDS = {"whole": 35, "stream": 30, "stream without usage": 15, "fixed": 15, "hang-up": 5}
WORDS = "a ledger that can be proved is worth more than one that is merely fast".split()


@dataclass
class Seen:
    """What the clients know, over all lives of the gateway."""

    # Call id → the charge it must have, `None` where the client cannot know it. Every one was complete at its client.
    complete: dict[str, Decimal | None] = field(default_factory=dict)
    # Calls that had begun to answer when the gateway was killed or their client left: charged or not, but at most once.
    begun: set[str] = field(default_factory=set)
    calls: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Load:
    """Concurrent clients that call as fast as they are answered, and outlive the gateway's deaths."""

    def __init__(self, seed: int, clients: int):
        self.random = random.Random(seed)
        self.clients = clients
        self.prices = Prices(MODEL)
        self.seen = Seen()
        self.gateway: Gateway | None = None
        self.up = asyncio.Event()
        self.over = False
        self.start_posted = Decimal(0)

    def life(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.up.set()

    async def client(self) -> None:
        while not self.over:
            await self.up.wait()
            connection = Connection(self.gateway.host, self.gateway.port, self.gateway.api_key)
            while self.up.is_set() and not self.over:
                await self.one_call(connection)
                if connection.writer is None and self.up.is_set():
                    # Refused or broken: the gateway is about to be found dead. Let the killer's task run.
                    await asyncio.sleep(0.005)
            connection.close()

    async def one_call(self, connection: Connection) -> None:
        text = " ".join(self.random.choices(WORDS, k=self.random.randint(1, 200)))
        kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        model = FIXED if kind == "fixed" else MODEL
        body = chat(
            model,
            text,
            stream=kind not in ("whole", "fixed"),
            include_usage=kind != "stream without usage",
            max_tokens=self.random.choice((1, 16, 64)),
        )
        answer = await connection.call(body, leave_after=400 if kind == "hang-up" else None)
        self.note(kind, answer)

    def note(self, kind: str, answer: Answer) -> None:
        seen = self.seen
        if not answer.complete:
            seen.calls["cut" if answer.id else "not answered"] += 1
            if answer.id:
                seen.begun.add(answer.id)
            return
        seen.calls[kind if answer.status == 200 else f"status {answer.status}"] += 1
        if answer.status != 200:
            # Nothing was asked that could be refused: a life serves from its first line to its last.
            seen.wrong.append(f"status {answer.status}: {answer.body[:200]!r}")
        elif answer.id in seen.complete or answer.id in seen.begun:
            seen.wrong.append(f"{answer.id} was given to two calls")
        else:
            seen.complete[answer.id] = self.charge(kind, answer)

    def charge(self, kind: str, answer: Answer) -> Decimal | None:
        if not answer.is_stream:
            said = amount(answer.headers["x-qingwave-charge"])
            if kind == "whole" and said != self.prices.charge(answer.usage()):
                self.seen.wrong.append(f"{answer.id}: the header says {said}, its usage is {answer.usage()}")
            return said
        usage = answer.usage()
        return self.prices.charge(usage) if usage else None


async def kill_often(load: Load, kills: int, data: Path) -> Gateway:
    """Each life begins on the folder the last one left. Gives the last one, alive."""
    api_key = None
    for life in range(kills + 1):
        gateway = await asyncio.to_thread(Gateway, data=data)
        assert api_key in (None, gateway.api_key), "the same folder has the same key"
        api_key = gateway.api_key
        if life == 0:
            me = Account(gateway, "", api_key)
            account = Account(gateway, me.wallet()["account"], api_key)
            account.fund(FUNDS)
            load.start_posted = amount(account.wallet()["posted"])
        load.life(gateway)
        if life == kills:
            return gateway
        await asyncio.sleep(load.random.uniform(0.02, 0.6))
        gateway.kill()
        load.up.clear()
    raise AssertionError("unreachable")


def balance(load: Load, gateway: Gateway, kills: int) -> list[str]:
    """Compares what the clients saw with the books. Gives every difference."""
    seen, wrong = load.seen, list(load.seen.wrong)
    account = Account(gateway, "", gateway.api_key)
    rows = account.usage()
    charges = {row["id"]: amount(row["charge"]) for row in rows}
    by_units = {row["id"]: load.prices.charge_meters(row["usage"]) for row in rows if row["model"] == MODEL}
    times = Counter(row["id"] for row in rows)
    wrong += [f"{call} is in the ledger {n} times" for call, n in times.items() if n > 1]
    for call, charge in seen.complete.items():
        if call not in charges:
            wrong.append(f"{call} was complete at its client and is not in the ledger")
        elif charges[call] != (by_units[call] if charge is None else charge):
            wrong.append(f"{call} was charged {charges[call]}, should be {charge or by_units[call]}")
    # Settled in the kernel, but the end of the answer died on its way: at most one for each client and death.
    unknown = [call for call, charge in charges.items() if charge and call not in seen.complete and call not in seen.begun]
    if len(unknown) > kills * load.clients:
        wrong.append(f"{len(unknown)} charged calls that no client knows")

    wallet = account.wallet()
    spent = load.start_posted - amount(wallet["posted"])
    if amount(wallet["pending"]) != 0:
        wrong.append(f"holds of {wallet['pending']} are left")
    if spent != total(row["charge"] for row in rows):
        wrong.append(f"the wallet lost {spent}, the charges sum to {total(row['charge'] for row in rows)}")
    report = gateway.verify()
    print(f"ledger: {len(rows)} calls, {report['transfers']} transfers, {report['recomputed']} charges recomputed, {spent} USD spent")
    return wrong


async def prove(args, data: Path) -> list[str]:
    load = Load(args.seed, args.clients)
    clients = [asyncio.create_task(load.client()) for _ in range(args.clients)]
    gateway = await kill_often(load, args.kills, data)
    with gateway:
        await asyncio.sleep(0.5)
        load.over = True
        await asyncio.gather(*clients)
        print(f"clients: {dict(load.seen.calls)}, {len(load.seen.complete)} complete")
        assert load.seen.complete, "no call was ever complete: nothing was tried"
        wrong = await asyncio.to_thread(balance, load, gateway, args.kills)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    raise_open_files()
    began = time.monotonic()
    with Folder("qingwave-kill9-") as data:
        wrong = asyncio.run(prove(args, data))
        for line in wrong[:50]:
            print("WRONG:", line)
        assert not wrong, f"{len(wrong)} differences"
    print(f"kill -9: {args.kills} kills in {time.monotonic() - began:.0f} s, 0 missing, 0 twice, 0 wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
