"""Exact amounts, and what a call must cost: computed a second time, from the catalog's text, independently of the gateway."""

import re
from decimal import Decimal
from fractions import Fraction

import yaml

from .gateway import ROOT

_AMOUNT = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]{0,8}[1-9])?")
_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6}


def amount(text: str) -> Decimal:
    """Reads an amount of the API: a decimal string, no sign, no exponent, no trailing zeros, at most nine places."""
    assert isinstance(text, str) and _AMOUNT.fullmatch(text), f"not an amount: {text!r}"
    return Decimal(text)


def shown(value: Decimal) -> str:
    """Writes an amount as the API does."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def total(charges) -> Decimal:
    return sum((amount(charge) for charge in charges), Decimal(0))


def _per(text) -> int:
    digits, unit = re.fullmatch(r"([0-9]+)([kKM]?)", str(text)).groups()
    return int(digits) * _UNITS[unit]


class Prices:
    """The base price rows of a model of the shipped catalog: meter → USD per unit."""

    def __init__(self, model_id: str):
        texts = [path.read_text() for path in sorted((ROOT / "catalog/models").glob("*.yaml"))]
        model = next((m for text in texts for m in yaml.safe_load(text) if m["id"] == model_id), None)
        assert model is not None, f"catalog/models has no {model_id}"
        base = [row for row in model["price"] if "when" not in row]
        self.rows = {row["meter"]: Fraction(row["usd"]) / _per(row.get("per", 1)) for row in base}

    def charge(self, usage: dict) -> Decimal:
        """The charge for a usage object of OpenAI's: disjoint meters, one floor at the end. A part without a row of its
        own is priced as the whole that it is part of."""
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        counts = {"requests": 1, "input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
        for part, whole, count in (
            ("cache_read_tokens", "input_tokens", cached),
            ("reasoning_tokens", "output_tokens", reasoning),
        ):
            if part in self.rows:
                counts[whole] -= count
                counts[part] = count
        return self.charge_meters(counts)

    def charge_meters(self, counts: dict[str, int]) -> Decimal:
        """The charge for disjoint meters, as a usage record has them."""
        exact = sum(count * self.rows.get(meter, 0) for meter, count in counts.items())
        return Decimal(int(exact * 10**9 // 1)).scaleb(-9)
