# SPDX-License-Identifier: Apache-2.0
"""What a round does, made from (seed, round) and nothing else: the transactions of some sessions,
wishes for loads, and one trouble. Statements that depend on what a table is at that time are calls
of the functions in source.sql; running them is session.py's part."""
import random

KEYED = ("kv", "names", "docs", "parts", "kinds", "scratch", "swapped")
TABLES = (*KEYED, "lines")
EXTRA = ("extra_1", "extra_2", "extra_3")
MARKS = ("marks_a", "marks_b")

ALTER = {"add": 3, "add default": 4, "add not null": 3, "add volatile": 1, "drop": 4, "drop and add": 2,
         "rename": 3, "swap names": 2, "widen": 3, "type": 1, "null": 2, "default": 1, "storage": 1,
         "identity": 2, "rewrite": 1}
TROUBLES = {
    "none": 3, "kill": 8, "kill twice": 3, "kill, data.dir lost": 3, "stop": 2, "resync while stopped": 3,
    "pause": 3, "source link": 9, "warehouse link": 9, "terminate": 3, "source restart": 1,
    "source crash": 2, "warehouse restart": 1, "warehouse crash": 2, "warehouse locks": 2,
}
LINK = {"cut": 3, "reset": 3, "cut after": 6, "reset after": 3, "stall": 3, "slow": 3, "half-close": 2,
        "orphan": 2, "refuse": 2, "swallow": 2}


def pick(rnd, weights):
    return rnd.choices(list(weights), list(weights.values()))[0]


def call(function, *args):
    return f"SELECT chaos.{function}({', '.join(repr(a) for a in args)})"


class Round:
    """sessions: for each a list of transactions, each ({"pause", "end"}, [step, ..]); a step is SQL,
    SAVEPOINT, ROLLBACK TO or a number of seconds to wait. wishes: [(after seconds, tables or None)].
    trouble: a dict of "what" and its numbers."""

    def __init__(self, seed, number, kinds, heavy=1.0):
        self.rnd = random.Random(f"{seed}/{number}")
        self.number = number
        self.sessions = [self._session(heavy) for _ in range(self.rnd.randint(2, 4))]
        self.wishes = [self._wish() for _ in range(self.rnd.choice((0, 0, 0, 1, 1, 2)))]
        self.trouble = self._trouble(kinds)

    def lines(self):
        """The round as text."""
        out = [f"round {self.number}: trouble {self.trouble}, wishes {self.wishes}"]
        for i, s in enumerate(self.sessions):
            for how, steps in s:
                out.append(f"  session {i} {how}:")
                out += [f"    {step}" for step in steps]
        return out

    # --- sessions ---

    def _session(self, heavy):
        style = pick(self.rnd, {"mixed": 6, "few keys": 2, "alter": 3, "large": 1})
        n = max(1, int(self.rnd.randint(2, 9) * heavy))
        out = [self._transaction(style) for _ in range(n)]
        if style == "alter" and self.rnd.random() < 0.3:  # a name that is gone for a while
            table, at = self.rnd.choice(KEYED), self.rnd.randint(0, len(out))
            for a, b in ((table, table + "_away"), (table + "_away", table)):
                out.insert(at, ({"pause": 0.05, "end": "COMMIT"}, [f"ALTER TABLE {a} RENAME TO {b}"]))
                at = self.rnd.randint(at + 1, len(out))
        return out

    def _transaction(self, style):
        rnd = self.rnd
        focus = rnd.choice(TABLES)
        steps, depth = [], 0
        for _ in range(rnd.choice((1, 1, 2, 3, 5, 8))):
            chance = rnd.random()
            if chance < 0.15:
                depth += 1
                steps.append(f"SAVEPOINT s{depth}")
            elif chance < 0.22 and depth > 0:
                steps.append(f"ROLLBACK TO s{depth}")
            elif chance < 0.26:
                steps.append(round(rnd.random() ** 2, 3) * 0.4)
            steps.append(self._statement(style, focus))
        if rnd.random() < 0.6:
            steps.append(call("mark", rnd.randrange(10**6)))
        return {"pause": round(rnd.random() ** 3 * 0.3, 3),
                "end": "ROLLBACK" if rnd.random() < 0.07 else "COMMIT"}, steps

    def _statement(self, style, focus):
        rnd = self.rnd
        r = rnd.randrange(10**9)
        table = focus if style == "few keys" or rnd.random() < 0.5 else rnd.choice(TABLES)
        if style == "alter" and rnd.random() < 0.45:
            return self._alter(r, table)
        if style == "large" and rnd.random() < 0.4:
            return rnd.choice((call("insert", table, r, 600), call("update", table, r, 700),
                               call("move", table, r, 150), call("delete", table, r, 500)))
        few = rnd.choice((1, 1, 2, 3, 10, 40))
        what = pick(rnd, {"insert": 6, "update": 10, "delete": 4, "move": 3, "swap": 3, "truncate": 0.5,
                          "extra": 1})
        if what == "swap":
            return call("swap", table, r)
        if what == "truncate":
            return rnd.choice((f"TRUNCATE {table}", f"TRUNCATE {table}, {rnd.choice(TABLES)}"))
        if what == "extra":
            return call(rnd.choice(("insert", "update", "delete", "move")), rnd.choice(EXTRA), r, few)
        return call(what, table, r, few)

    def _alter(self, r, table):
        rnd = self.rnd
        what = pick(rnd, {"alter": 20, "code": 1, "key": 1, "leaf": 2, "recreate": 2, "extra": 3, "drop": 2,
                          "swap tables": 1, "away": 1, "marks": 2})
        if what in ("code", "key"):
            return call("alter", "kv" if what == "code" else "swapped", what, r)
        if what == "leaf":
            return call("leaf", rnd.choice(("truncate", "detach", "new")), r)
        if what == "recreate":
            return call("recreate", "scratch", r)
        if what == "extra":
            return call("recreate", rnd.choice(EXTRA), r)
        if what == "drop":
            return call("drop", rnd.choice(EXTRA))
        if what == "swap tables":
            return call("swap_tables", *rnd.sample(("docs", "kinds", "scratch", "extra_1"), 2))
        if what == "away":
            return f"ALTER TABLE {table} RENAME TO {table}_x; ALTER TABLE {table}_x RENAME TO {table}"
        if what == "marks":
            return call("alter", rnd.choice(MARKS),
                        rnd.choice(("add default", "add volatile", "identity", "rewrite")), r)
        return call("alter", table, pick(rnd, ALTER), r)

    # --- what is done to the program ---

    def _wish(self):
        rnd = self.rnd
        tables = None if rnd.random() < 0.25 else sorted(
            rnd.sample((*TABLES, *MARKS), rnd.choice((1, 1, 2, 4))))
        return round(rnd.random() * 1.2, 3), tables

    def _trouble(self, kinds):
        rnd = self.rnd
        t = {"what": pick(rnd, {k: v for k, v in TROUBLES.items()
                                if "postgres" in kinds or not k.startswith("warehouse")}),
             "after": round(rnd.random() * 1.2, 3), "for": round(rnd.random() ** 2 * 2.5, 3)}
        if t["what"].endswith(" link"):
            t["how"] = pick(rnd, LINK)
            t["way"] = rnd.choice(("up", "down"))
            t["bytes"] = int(2 ** rnd.uniform(3, 18))
            t["times"] = rnd.choice((1, 1, 2, 4))
            t["delay"] = round(rnd.random() * 0.03, 4)
        elif t["what"] == "kill twice":
            t["then"] = round(rnd.random() ** 2 * 0.8, 3)
        elif t["what"] == "resync while stopped":
            t["kill"] = rnd.random() < 0.5
            t["table"] = rnd.choice((None, *TABLES, *MARKS))
        elif t["what"] == "terminate":
            t["side"] = rnd.choice(("source", "warehouse"))
        elif t["what"] == "warehouse locks":
            t["tables"] = rnd.sample((*TABLES, *MARKS), 3)
            t["mode"] = rnd.choice(("ACCESS SHARE", "ACCESS EXCLUSIVE", "SHARE"))
        return t
