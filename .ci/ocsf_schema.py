"""Checks events against a checkout of https://github.com/ocsf/ocsf-schema: names, types, requirements, enumerations, constraints.

    python3 .ci/ocsf_schema.py CHECKOUT FILE…    each line of a file is an event
"""

import json
import pathlib
import re
import sys

# Types of JSON by the type at the root of the schema's types.
PYTHON = {
    "boolean_t": bool,
    "float_t": (int, float),
    "integer_t": int,
    "long_t": int,
    "string_t": str,
}


class Schema:
    def __init__(self, checkout):
        root = pathlib.Path(checkout)
        self.version = json.loads((root / "version.json").read_text())["version"]
        dictionary = json.loads((root / "dictionary.json").read_text())
        self.dictionary, self.types = dictionary["attributes"], dictionary["types"]["attributes"]
        read = lambda folder: {
            item["name"]: item for path in sorted((root / folder).rglob("*.json")) for item in [json.loads(path.read_text())] if "name" in item
        }
        self.files = {"objects": read("objects"), "events": read("events")}
        self.profiles = {path: json.loads((root / path).read_text()) for path in (str(p.relative_to(root)) for p in (root / "profiles").glob("*.json"))}
        self.known = {}
        categories = json.loads((root / "categories.json").read_text())["attributes"]
        findings, own = categories["findings"]["uid"], self.files["events"]["detection_finding"]["uid"]
        # What the schema's compiler makes of other files: classes have the numbers of their categories in front, and the kinds of
        # observables are those of types, attributes and objects.
        self.made = {
            "category_uid": {str(findings): categories["findings"]},
            "class_uid": {str(findings * 1000 + own): self.files["events"]["detection_finding"]},
            "observables.type_id": {
                str(item["observable"]): item
                for items in (self.types, self.dictionary, self.files["objects"])
                for item in items.values()
                if "observable" in item
            },
        }

    def definition(self, folder, name):
        """The attributes and constraints of a class or object, with those of what it extends."""
        if (folder, name) not in self.known:
            own = self.files[folder][name]
            attributes, constraints = {}, {}
            if "extends" in own:
                attributes, constraints = self.definition(folder, own["extends"])
                attributes = {key: dict(value) for key, value in attributes.items()}
            included = own["attributes"].get("$include", [])
            for path in [included] if isinstance(included, str) else included:
                profile = self.profiles.get(path)
                for key, value in (profile or {}).get("attributes", {}).items():
                    if key != "$include":
                        attributes[key] = {**attributes.get(key, {}), "profile": profile["name"], **value}
            for key, value in own["attributes"].items():
                if key != "$include":
                    merged = {**attributes.get(key, {}), **value}
                    merged["enum"] = {**attributes.get(key, {}).get("enum", {}), **value.get("enum", {})}
                    attributes[key] = merged
            self.known[folder, name] = attributes, own.get("constraints", constraints)
        return self.known[folder, name]

    def check(self, event):
        name = next((name for name, item in self.files["events"].items() if name == "detection_finding"), None)
        if (event.get("class_uid"), event.get("category_uid")) != (2004, 2):
            return ["the event is no detection finding"]
        if event.get("type_uid") != 2004 * 100 + event.get("activity_id", -1):
            return ["type_uid is not made of class and activity"]
        faults = []
        if event["metadata"].get("version") != self.version:
            faults.append(f"metadata.version is not {self.version}")
        profiles = event["metadata"].get("profiles", [])
        self.check_object(event, self.definition("events", name), "", profiles, faults)
        self.check_places(event, faults)
        return faults

    def check_object(self, value, definition, place, profiles, faults):
        attributes, constraints = definition
        for key, inner in value.items():
            attribute, entry = attributes.get(key), self.dictionary.get(key)
            here = f"{place}.{key}".strip(".")
            if attribute is None or entry is None:
                faults.append(f"{here}: not in the schema")
                continue
            if attribute.get("profile") and attribute["profile"] not in profiles:
                faults.append(f"{here}: needs the profile {attribute['profile']}")
            if "@deprecated" in attribute or "@deprecated" in entry:
                faults.append(f"{here}: deprecated")
            several = inner if entry.get("is_array") else [inner]
            if entry.get("is_array") and not isinstance(inner, list):
                faults.append(f"{here}: no list")
                continue
            for one in several:
                enum = {**entry.get("enum", {}), **attribute.get("enum", {}), **self.made.get(here, {})}
                if enum and str(one) not in enum:
                    faults.append(f"{here}: {one!r} is not among the values")
                sibling = entry.get("sibling")
                if enum and str(one) not in ("0", "99") and sibling in value and value[sibling] != enum.get(str(one), {}).get("caption"):
                    faults.append(f"{here}: {value[sibling]!r} is not the caption of {one!r}")
                self.check_value(one, entry["type"], here, profiles, faults)
        for key, attribute in attributes.items():
            active = not attribute.get("profile") or attribute["profile"] in profiles
            if attribute.get("requirement") == "required" and active and key not in value:
                faults.append(f"{place}.{key}: missing".strip("."))
        for kind, names in constraints.items():
            count = sum(name in value for name in names)
            if (kind == "at_least_one" and count < 1) or (kind == "just_one" and count != 1):
                faults.append(f"{place or 'the event'}: {kind} of {names}")

    def check_value(self, value, kind, place, profiles, faults):
        if kind in ("object", "json_t"):
            return
        if kind not in self.types:
            if isinstance(value, dict):
                self.check_object(value, self.definition("objects", kind), place, profiles, faults)
            else:
                faults.append(f"{place}: no object")
            return
        patterns = []
        while True:
            entry = self.types[kind]
            if "regex" in entry:
                patterns.append(entry["regex"])
            if "range" in entry and isinstance(value, int) and not entry["range"][0] <= value <= entry["range"][1]:
                faults.append(f"{place}: {value} is out of range")
            if "max_len" in entry and isinstance(value, str) and len(value) > entry["max_len"]:
                faults.append(f"{place}: too long")
            if "type" not in entry:
                break
            kind = entry["type"]
        wanted = PYTHON[kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            faults.append(f"{place}: {value!r} is no {kind}")
        elif any(not re.search(pattern, value) for pattern in patterns):
            faults.append(f"{place}: {value!r} is not of its form")

    def check_places(self, event, faults):
        """What an observable names stands there."""
        for observable in event.get("observables", []):
            found = event
            for part in re.findall(r"[^.\[\]]+|\[\d+\]", observable["name"]):
                found = found[int(part[1:-1])] if part.startswith("[") else found.get(part)
                if found is None:
                    break
            if found != observable["value"]:
                faults.append(f"observable {observable['name']}: {found!r} stands there")


def main():
    schema = Schema(sys.argv[1])
    count, wrong = 0, 0
    for path in sys.argv[2:]:
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            faults = schema.check(json.loads(line))
            count, wrong = count + 1, wrong + bool(faults)
            for fault in faults:
                print(f"{path}:{number}: {fault}")
    print(f"{count} events against OCSF {schema.version}, {wrong} wrong")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())
