#!/usr/bin/env python3
"""Whether the shipped rules are valid by Elastic's own rules: python3 .ci/elastic-validity.py CHECKOUT [RULES]

CHECKOUT is a checkout of https://github.com/elastic/detection-rules whose dependencies are installed; its loader checks the
keys and types of each rule, the ATT&CK mapping, and parses the queries with the packages `eql` and `kql`. Field types are not
compared, as the integrations of Elastic do not know the fields of sources that they do not read. Without a checkout that can
be loaded the check is skipped, and says why.
"""

import os
import sys
import tomllib
from pathlib import Path


def main() -> int:
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DETECTION_RULES", ""))
    rules = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent.parent / "rules").resolve()
    if not (checkout / "detection_rules").is_dir():
        print("skipped: no checkout of elastic/detection-rules is named")
        return 0
    # Its modules read files by paths from its root.
    checkout = checkout.resolve()
    sys.path[:0] = [str(checkout), str(checkout / "lib/kql"), str(checkout / "lib/kibana")]
    os.chdir(checkout)
    try:
        from detection_rules.rule import TOMLRuleContents
    except (ImportError, SyntaxError, FileNotFoundError) as problem:
        print(f"skipped: the checkout cannot be loaded: {problem}")
        return 0
    valid, wrong, kinds = 0, 0, {}
    for path in sorted(rules.rglob("*.toml")):
        contents = tomllib.loads(path.read_text(encoding="utf-8"))
        if "rule" not in contents:
            continue
        contents.setdefault("metadata", {})["query_schema_validation"] = False
        try:
            data = TOMLRuleContents.from_dict(contents).data
            # Parsing is put off until somebody asks for the tree.
            validator = getattr(data, "validator", None)
            if validator is None or validator.ast is None:
                raise ValueError("the query has no parser")
        except Exception as problem:  # its checks raise errors of many kinds
            wrong += 1
            print(f"{path.relative_to(rules)}: {problem}")
            continue
        valid += 1
        kind = contents["rule"]["type"]
        kinds[kind] = kinds.get(kind, 0) + 1
    told = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
    print(f"{valid} rules are valid ({told}), {wrong} are not")
    return 1 if wrong or not valid else 0


if __name__ == "__main__":
    sys.exit(main())
