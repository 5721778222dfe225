# SPDX-License-Identifier: Apache-2.0
"""Compares the verdict of src/avro/compat.c with what fastavro does.

For random pairs of schemas (a writer's, and a reader's made from it by random changes), values of
the writer's schema are written with fastavro and read with the reader's. The rule that must hold:
where we say yes, every value is read. Where we say no and every value was read, the reason must be
one of STRICTER, in which we refuse more than fastavro on purpose; any other is a failure, unless
the pair just drew no value that shows it (checked by drawing many more).

    python compat_fastavro.py COMPAT_CLI [PAIRS] [SEED]

COMPAT_CLI is compat_cli.c built with src/avro and src/util. Exit 0: they agree.
"""

import copy
import io
import json
import random
import subprocess
import sys

import fastavro

# Words of our reasons -> why fastavro is laxer.
STRICTER = {
    "the logical type changes": "fastavro reads the number under the reader's logical type: misread",
    "the scale changes": "fastavro reads the unscaled number under the reader's scale: misread",
    " other.": "fastavro compares records, enums and fixed without their namespace",
}

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
LOGICAL = [
    {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 4},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "int", "logicalType": "date"},
]
SYMBOLS = ["A", "B", "C", "D"]


class Maker:
    """Random schemas; names are unique within one schema."""

    def __init__(self, rng):
        self.rng = rng
        self.count = 0

    def name(self, kind):
        self.count += 1
        return f"{kind}{self.count}"

    def leaf(self):
        rng = self.rng
        pick = rng.random()
        if pick < 0.6:
            return rng.choice(PRIMITIVES)
        if pick < 0.75:
            return copy.deepcopy(rng.choice(LOGICAL))
        if pick < 0.88:
            return self.enum()
        return {"type": "fixed", "name": self.name("F"), "size": rng.choice([1, 2, 4])}

    def enum(self):
        rng = self.rng
        e = {"type": "enum", "name": self.name("E"),
             "symbols": rng.sample(SYMBOLS, rng.randint(1, len(SYMBOLS)))}
        if rng.random() < 0.3:
            e["default"] = rng.choice(e["symbols"])
        return e

    def type(self, depth):
        rng = self.rng
        pick = rng.random()
        if depth == 0 or pick < 0.5:
            return self.leaf()
        if pick < 0.62:
            return {"type": "array", "items": self.type(depth - 1)}
        if pick < 0.7:
            return {"type": "map", "values": self.type(depth - 1)}
        if pick < 0.9:
            return self.union(depth - 1)
        return self.record(depth - 1)

    def union(self, depth):
        branches, seen = [], set()
        for _ in range(self.rng.randint(1, 3)):
            t = self.type(depth)
            if not isinstance(t, list) and kind_of(t) not in seen:
                seen.add(kind_of(t))
                branches.append(t)
        if "null" not in seen and self.rng.random() < 0.5:
            branches.insert(self.rng.choice([0, len(branches)]), "null")
        return branches or ["null"]

    def record(self, depth):
        return {"type": "record", "name": self.name("R"),
                "fields": [self.field(depth) for _ in range(self.rng.randint(0, 4))]}

    def field(self, depth):
        f = {"name": self.name("f"), "type": self.type(depth)}
        if self.rng.random() < 0.4:
            add_default(f)
        return f


def kind_of(t):
    """What a union may hold once."""
    if isinstance(t, str):
        return t
    return t["name"] if "name" in t else t["type"]


def add_default(field):
    t = field["type"]
    first = t[0] if isinstance(t, list) else t
    defaults = {"null": None, "boolean": False, "int": 1, "long": 1, "float": 1.5, "double": 1.5,
                "bytes": "", "string": "", "array": [], "map": {}}
    base = first if isinstance(first, str) else first["type"]
    if base in defaults and not (isinstance(first, dict) and first.get("logicalType") == "decimal"):
        field["default"] = defaults[base]
    elif base == "enum":
        field["default"] = first["symbols"][0]


def change(rng, maker, t, depth=0):
    """A copy of t with random changes, small ones more often."""
    t = copy.deepcopy(t)
    pick = rng.random()
    if pick < 0.05:
        return maker.type(1)
    if isinstance(t, list):
        return change_union(rng, maker, t, depth)
    if pick < 0.12 and t != "null":
        return ["null", t]
    if isinstance(t, str):
        if rng.random() < 0.25:
            return rng.choice(PRIMITIVES)
        return t
    if "logicalType" in t:
        if rng.random() < 0.2:
            return copy.deepcopy(rng.choice(LOGICAL))
        if rng.random() < 0.1:
            return t["type"]
        return t
    if t["type"] == "array":
        t["items"] = change(rng, maker, t["items"], depth + 1)
    elif t["type"] == "map":
        t["values"] = change(rng, maker, t["values"], depth + 1)
    elif t["type"] == "enum":
        if rng.random() < 0.3:
            t["symbols"] = rng.sample(SYMBOLS, rng.randint(1, len(SYMBOLS)))
            t.pop("default", None)
            if rng.random() < 0.4:
                t["default"] = t["symbols"][0]
    elif t["type"] == "fixed":
        if rng.random() < 0.2:
            t["size"] = rng.choice([1, 2, 4])
    elif t["type"] == "record":
        change_record(rng, maker, t, depth)
    if "name" in t and rng.random() < 0.08:
        if rng.random() < 0.5:
            t["aliases"] = [t["name"]]
        t["name"] = maker.name("N")
    elif "name" in t and rng.random() < 0.03:
        t["namespace"] = "other"
    return t


def change_union(rng, maker, t, depth):
    out, seen = [], set()
    for b in t:
        b = change(rng, maker, b, depth + 1)
        if rng.random() < 0.08 or isinstance(b, list) or kind_of(b) in seen:
            continue
        seen.add(kind_of(b))
        out.append(b)
    if rng.random() < 0.2:
        extra = maker.leaf()
        if kind_of(extra) not in seen:
            out.insert(rng.randint(0, len(out)), extra)
    if rng.random() < 0.1:
        rng.shuffle(out)
    if len(out) == 1 and rng.random() < 0.3:
        return out[0]
    return out or ["null"]


def change_record(rng, maker, t, depth):
    fields = []
    for f in t["fields"]:
        if rng.random() < 0.1:
            continue
        old = f["type"]
        f["type"] = change(rng, maker, old, depth + 1)
        if f["type"] != old:
            f.pop("default", None)
            if rng.random() < 0.4:
                add_default(f)
        if rng.random() < 0.06:
            f["aliases"] = [f["name"]]
            f["name"] = maker.name("g")
        fields.append(f)
    if rng.random() < 0.2:
        fields.insert(rng.randint(0, len(fields)), maker.field(1))
    rng.shuffle(fields)
    t["fields"] = fields


def value(rng, t):
    """A random value of t for fastavro's writer; logical types have been taken off."""
    if isinstance(t, list):
        b = rng.choice(t)
        return (branch_name(b), value(rng, b))
    base = t if isinstance(t, str) else t["type"]
    if base == "array":
        return [value(rng, t["items"]) for _ in range(rng.randint(0, 3))]
    if base == "map":
        return {f"k{i}": value(rng, t["values"]) for i in range(rng.randint(0, 2))}
    if base == "record":
        return {f["name"]: value(rng, f["type"]) for f in t["fields"]}
    if base == "enum":
        return rng.choice(t["symbols"])
    if base == "fixed":
        return bytes(t["size"])
    return {"null": None, "boolean": rng.random() < 0.5, "int": rng.randint(-9, 9),
            "long": rng.randint(-2**40, 2**40), "float": 0.5, "double": 1.25,
            "bytes": b"ab", "string": "cd"}[base]


def branch_name(t):
    if isinstance(t, str):
        return t
    return t["name"] if "name" in t else t["type"]


def without_logical(t):
    """fastavro's values are then the bare ones; the misreading is what our rule is about."""
    if isinstance(t, list):
        return [without_logical(b) for b in t]
    if isinstance(t, dict):
        if "logicalType" in t:
            return t["type"]
        return {k: without_logical(v) if k in ("items", "values", "type") and not isinstance(v, str)
                else [dict(f, type=without_logical(f["type"])) for f in v] if k == "fields"
                else v for k, v in t.items()}
    return t


def read_all(rng, writer, reader, draws):
    """None, or what fastavro said of the first value that it could not read."""
    bare_writer, bare_reader = without_logical(writer), without_logical(reader)
    w = fastavro.parse_schema(copy.deepcopy(bare_writer))
    r = fastavro.parse_schema(copy.deepcopy(bare_reader))
    for _ in range(draws):
        data = io.BytesIO()
        fastavro.schemaless_writer(data, w, value(rng, bare_writer))
        data.seek(0)
        try:
            fastavro.schemaless_reader(data, w, r)
        except Exception as e:  # whatever it raises means: not read
            return f"{type(e).__name__}: {e}"
    return None


def main():
    cli, pairs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    judge = subprocess.Popen([cli], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    counts = {"both yes": 0, "both no": 0}
    wrong = 0
    for i in range(pairs):
        maker = Maker(rng)
        writer = maker.record(3)
        reader = change(rng, maker, writer)
        judge.stdin.write(json.dumps(reader) + "\n" + json.dumps(writer) + "\n")
        judge.stdin.flush()
        verdict = judge.stdout.readline().strip()
        failed = read_all(rng, writer, reader, 15)
        if failed is None and verdict != "yes":
            failed = read_all(rng, writer, reader, 400)
        reason = next((w for w in STRICTER if w in verdict), None)
        if (verdict == "yes") == (failed is None):
            counts["both yes" if failed is None else "both no"] += 1
        elif verdict != "yes" and reason:
            counts[f"stricter: {reason}"] = counts.get(f"stricter: {reason}", 0) + 1
        else:
            wrong += 1
            if wrong <= 10:
                print(f"pair {i}\n writer {json.dumps(writer)}\n reader {json.dumps(reader)}\n"
                      f" ours: {verdict}\n fastavro: {failed or 'reads every value'}")
    judge.stdin.close()
    judge.wait()
    for k, n in sorted(counts.items()):
        print(f"{n:6} {k}")
    print(f"{wrong:6} disagreements")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
