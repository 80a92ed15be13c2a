#!/usr/bin/env python3
"""1,000 concurrent calls on a wallet that is worth less, and then the books.

Proves: with a fixed price and policy `strict`, a wallet worth exactly a tenth of the calls serves exactly that many and ends at
0; with a token price and policy `clamp` no balance is ever seen below zero, no hold is left, and what was spent is the sum of
the charges.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.gateway import Account, Gateway, raise_open_files
from harness.load import Answer, Connection, chat
from harness.money import Prices, amount, shown, total

FIXED, BY_TOKENS = "demo-fixed", "demo"
WAVES = 3
DIALS_AT_ONCE = 64


async def all_at_once(account: Account, bodies: list[bytes], leave: set[int] = frozenset()) -> list[Answer]:
    """Opens a connection for each call first, then sends them all in one go."""
    gateway = account.gateway
    connections = [Connection(gateway.host, gateway.port, account.key) for _ in bodies]
    gate = asyncio.Semaphore(DIALS_AT_ONCE)

    async def dial(connection: Connection) -> None:
        async with gate:
            await connection.dial()

    await asyncio.gather(*map(dial, connections))
    calls = (
        connection.call(body, leave_after=300 if at in leave else None)
        for at, (connection, body) in enumerate(zip(connections, bodies))
    )
    answers = await asyncio.gather(*calls)
    for connection in connections:
        connection.close()
    return answers


def price_of_one(gateway: Gateway, model: str, body: bytes) -> str:
    """The charge of one such call, as the gateway itself says it."""
    answer = asyncio.run(all_at_once(gateway.account("1000"), [body]))[0]
    assert answer.status == 200, answer.body
    assert amount(answer.headers["x-qingwave-charge"]) > 0, f"{model} is free: nothing to prove"
    return answer.headers["x-qingwave-charge"]


def settled(account: Account) -> dict:
    """The wallet, which must hold nothing for anyone."""
    wallet = account.wallet()
    assert amount(wallet["pending"]) == 0, f"a hold is left: {wallet}"
    assert wallet["available"] == wallet["posted"], wallet
    return wallet


def strict(gateway: Gateway, calls: int) -> None:
    worth = calls // 10
    body = chat(FIXED, "one of many", max_tokens=8)
    price = price_of_one(gateway, FIXED, body)
    account = gateway.account(shown(amount(price) * worth), policy="strict")
    answers = asyncio.run(all_at_once(account, [body] * calls))

    statuses = Counter(answer.status for answer in answers)
    assert statuses == {200: worth, 402: calls - worth}, f"statuses {dict(statuses)}, should be {worth} x 200"
    for answer in answers:
        if answer.status == 200:
            assert answer.headers["x-qingwave-charge"] == price
        else:
            assert answer.json()["error"]["code"] == "insufficient_balance", answer.body
    assert settled(account)["posted"] == "0"
    charged = [row for row in account.usage() if amount(row["charge"])]
    ids = {answer.id for answer in answers if answer.status == 200}
    assert len(charged) == worth and {row["id"] for row in charged} == ids, "one row for each call that was served"
    print(f"strict: {calls} at once on a wallet worth {worth}: {worth} served, {calls - worth} x 402, balance 0")


async def watch(account: Account, lowest: dict[str, str], stop: asyncio.Event) -> None:
    """Reads the wallet over and over and keeps the least of each figure. Amounts without a sign parse; a negative one fails."""
    while not stop.is_set():
        wallet = await asyncio.to_thread(account.wallet)
        for name in ("posted", "pending", "available"):
            lowest[name] = min(lowest.get(name, wallet[name]), wallet[name], key=amount)


async def clamp_wave(account: Account, bodies: list[bytes], leave: set[int], lowest: dict[str, str]) -> list[Answer]:
    stop = asyncio.Event()
    watcher = asyncio.create_task(watch(account, lowest, stop))
    try:
        return await all_at_once(account, bodies, leave)
    finally:
        stop.set()
        await watcher


def clamp(gateway: Gateway, calls: int, seed: int) -> None:
    rng = random.Random(seed)
    # Some ask for far more output than the wallet could pay, so that their limit must be lowered.
    bodies = [
        chat(BY_TOKENS, "word " * rng.randint(1, 60), stream=rng.random() < 0.5, max_tokens=rng.choice((8, 8, 32, 100_000)))
        for _ in range(calls)
    ]
    leave = {at for at in range(calls) if rng.random() < 0.2}
    price = price_of_one(gateway, BY_TOKENS, chat(BY_TOKENS, "word " * 30, max_tokens=32))
    account = gateway.account(shown(amount(price) * max(calls // 20, 1)), policy="clamp")
    funded = amount(account.wallet()["posted"])
    # Watched all the time, so that a dip below zero is seen while it lasts.
    lowest: dict[str, str] = {}
    answers = [answer for _ in range(WAVES) for answer in asyncio.run(clamp_wave(account, bodies, leave, lowest))]

    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 402}, f"statuses {dict(statuses)}"
    assert statuses[200] and statuses[402], f"some must be served and some refused: {dict(statuses)}"
    rows = {row["id"]: row for row in account.usage()}
    prices = Prices(BY_TOKENS)
    for answer in answers:
        if answer.status == 200 and answer.complete:
            charge = prices.charge(answer.usage()) if answer.is_stream else amount(answer.headers["x-qingwave-charge"])
            assert amount(rows[answer.id]["charge"]) == charge, rows[answer.id]
    spent = total(row["charge"] for row in rows.values())
    posted = amount(settled(account)["posted"])
    assert funded - posted == spent, f"{funded} - {posted} is not {spent}"
    clamped = sum(1 for answer in answers if "x-qingwave-clamped" in answer.headers)
    assert clamped, "no output limit was ever lowered: nothing was tried"
    print(
        f"clamp: {WAVES} x {calls} at once: {statuses[200]} served ({clamped} clamped), {statuses[402]} x 402, funded {funded},"
        f" spent {spent} = sum of the charges, lowest seen {lowest}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    raise_open_files()
    with Gateway() as gateway:
        strict(gateway, args.calls)
        clamp(gateway, args.calls, args.seed)
        gateway.verify()
    return 0


if __name__ == "__main__":
    sys.exit(main())
