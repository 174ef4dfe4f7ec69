#!/usr/bin/env python3
"""Decides generated requests to AWS with our evaluator and with others, and explains every difference.

    python3 .ci/policy-peers.py [--cases N] [--seed N] [--show NAME]

The others are installed as their registries have them, into the target folder, and run as they are:

- `iam-simulate` (npm): all kinds of policies and all condition operators.
- `principalmapper` (PyPI): identity policies, boundaries, conditions.
- `moto` (PyPI): identity policies without conditions.
- `oslo.policy` (PyPI): rules of OpenStack; it is what the services themselves decide by.
- `policy_sentry` and `parliament` (PyPI): which actions there are, held against the table of capabilities.

A difference is either listed in EXPLAINED with the document that says who is right, or it fails the run.
"""

import argparse
import collections
import collections.abc
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "policy-peers"
PYTHON = WORK / "venv" / "bin" / "python"
PIP = ["moto==5.2.5", "parliament==1.6.4", "policy_sentry==0.15.2", "principalmapper==1.1.5", "oslo.policy==6.0.1"]
NPM = ["@cloud-copilot/iam-simulate@0.1.173"]
ACCOUNT, OTHER = "111122223333", "999988887777"
USERGUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"

SIMULATE = """
import { createInterface } from 'node:readline'
import { loadPolicy } from '@cloud-copilot/iam-policy'
// Its interface checks what a request may hold before it decides; here only deciding is asked for.
const engine = './node_modules/@cloud-copilot/iam-simulate/dist/esm/'
const { authorize } = await import(engine + 'core_engine/CoreSimulatorEngine.js')
const { AwsRequestImpl } = await import(engine + 'request/request.js')
const { RequestContextImpl } = await import(engine + 'requestContext.js')
const { DiscoveryContextKeyConstraints } = await import(engine + 'context_keys/discoveryContextKeyConstraints.js')
const named = (list) => list.map((policy, at) => loadPolicy(policy, { name: `p${at}` }))
const levels = (list) => (list ?? []).map((level, at) => ({ orgIdentifier: `o${at}`, policies: named(level) }))
for await (const line of createInterface({ input: process.stdin })) {
  const c = JSON.parse(line)
  const context = Object.fromEntries(Object.entries(c.context).map(([k, v]) => [k, c.multi.includes(k) ? v : v[0]]))
  const resource = { resource: c.resource, accountId: c.resource_account }
  let answer
  try {
    answer = authorize({
      request: new AwsRequestImpl(c.principal, resource, c.action, new RequestContextImpl(context)),
      identityPolicies: named(c.identity),
      permissionBoundaries: c.boundary ? named([c.boundary]) : undefined,
      sessionPolicy: c.session ? named(c.session)[0] : undefined,
      resourcePolicy: c.resource_policy ? named([c.resource_policy])[0] : undefined,
      serviceControlPolicies: levels(c.scps),
      resourceControlPolicies: levels(c.rcps),
      simulationParameters: { simulationMode: 'Strict', discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]) },
      serviceSettings: { s3: {} },
    }).result
  } catch (error) {
    answer = `error: ${error.message}`
  }
  console.log(JSON.stringify(answer))
}
"""


def install():
    WORK.mkdir(parents=True, exist_ok=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / "venv"], check=True)
    wanted = WORK / "installed"
    if not wanted.exists() or wanted.read_text() != "\n".join(PIP + NPM):
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", "--no-compile", *PIP], check=True)
        (WORK / "node").mkdir(exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", *NPM], cwd=WORK / "node", check=True)
        wanted.write_text("\n".join(PIP + NPM))
    (WORK / "node" / "simulate.mjs").write_text(SIMULATE)


# ---------------------------------------------------------------------------------------------------- cases

ACTIONS = ["ec2:CreateSnapshot", "ec2:ModifySnapshotAttribute", "ec2:DeleteSnapshot", "ec2:CreateImage", "ec2:DescribeSnapshots", "ecr:PutImage",
           "s3:GetObject", "sqs:SendMessage", "kms:Decrypt"]
RESOURCES = {
    "ec2": [f"arn:aws:ec2:eu-west-1:{ACCOUNT}:volume/vol-0a1", "arn:aws:ec2:eu-west-1::snapshot/snap-0b2", "arn:aws:ec2:us-east-1::image/ami-0c3"],
    "ecr": [f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/shop/web"],
    "s3": ["arn:aws:s3:::backups/ann/db.gz", "arn:aws:s3:::backups/Ann/*"],
    "sqs": [f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs"],
    "kms": [f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234"],
}
USERS = [f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:user/ops/bob"]
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/run-7"


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *items):
        return self.random.choice(items)

    def chance(self, share):
        return self.random.random() < share

    def wildcards(self, text, cut):
        """A pattern that may fit the text: parts of it become `*` or `?`."""
        if self.chance(0.15):
            return "*"
        letters = list(text)
        for _ in range(self.random.randrange(0, 3)):
            at = self.random.randrange(cut, len(letters))
            if letters[at] != ":":
                letters[at] = self.pick("*", "?", "*")
        if self.chance(0.4):
            letters = letters[: self.random.randrange(cut, len(letters) + 1)] + ["*"]
        out = "".join(letters)
        while "**" in out:
            out = out.replace("**", "*")
        return out

    def action(self, about):
        written = about if self.chance(0.7) else self.pick(*ACTIONS)
        written = "*" if self.chance(0.1) else self.wildcards(written, written.index(":") + 1)
        return self.pick(written, written, written.lower(), written.upper())

    def resource(self, about):
        if self.chance(0.25):
            return "*"
        service = about.split(":")[2]
        written = about if self.chance(0.7) else self.pick(*RESOURCES[service])
        parts = written.split(":")
        for at in (3, 4):
            if parts[at] and self.chance(0.4):
                parts[at] = self.pick("*", parts[at][:2] + "*", parts[at][:-1] + "?")
        # Wildcards in the type of a resource are no part of the language; a few are written all the same.
        named = 0 if "/" not in parts[5] or self.chance(0.05) else parts[5].index("/") + 1
        tail = ":".join(parts[:5]) + ":" + self.wildcards(parts[5], named)
        if "/ann/" in tail and self.chance(0.5):
            tail = tail.replace("/ann/", "/${aws:username}/")
        if self.chance(0.1):
            tail = tail[: tail.index(":", 12)] + ":*"
        return tail

    def listed(self, make, about):
        if self.chance(0.5):
            return make(about)
        return [make(about) for _ in range(self.random.randrange(1, 4))]

    VALUES = {
        "aws:username": ["ann", "Ann", "bob", "a*", "?nn", "${aws:username}"],
        "aws:PrincipalTag/team": ["dev", "ops", "DEV", "d*", "${aws:PrincipalTag/team}"],
        "aws:RequestTag/team": ["dev", "ops", "${aws:PrincipalTag/team}", "${aws:PrincipalTag/team, 'dev'}", "d${*}", "d?v"],
        "ec2:VolumeSize": ["8", "10", "10.0", "100"],
        "aws:CurrentTime": ["2026-01-01T00:00:00Z", "2026-06-01T12:00:00Z", "2025-12-31T23:59:59Z"],
        "aws:MultiFactorAuthPresent": ["true", "false"],
        "aws:SourceIp": ["203.0.113.0/24", "203.0.113.9/32", "198.51.100.0/25", "2001:db8::/32"],
        "aws:SourceArn": ["arn:aws:sns:eu-west-1:111122223333:topic", "arn:aws:sns:*:*:topic", "arn:aws:sns:eu-*:1111*:t?pic", "arn:aws:sqs:*:*:*"],
        "aws:TagKeys": ["team", "owner", "cost", "te*"],
    }
    REQUEST = {
        "aws:username": ["ann", "bob"],
        "aws:PrincipalTag/team": ["dev", "ops"],
        "aws:RequestTag/team": ["dev", "ops", "DEV", "d*"],
        "ec2:VolumeSize": ["8", "10", "12"],
        "aws:CurrentTime": ["2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"],
        "aws:MultiFactorAuthPresent": ["true", "false"],
        "aws:SourceIp": ["203.0.113.9", "198.51.100.200", "2001:db8::7"],
        "aws:SourceArn": ["arn:aws:sns:eu-west-1:111122223333:topic", "arn:aws:sqs:eu-west-1:999988887777:q"],
        "aws:TagKeys": ["team", "owner", "cost"],
    }
    OPERATORS = {
        "String": ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"],
        "ec2:VolumeSize": ["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"],
        "aws:CurrentTime": ["DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"],
        "aws:MultiFactorAuthPresent": ["Bool"],
        "aws:SourceIp": ["IpAddress", "NotIpAddress"],
        "aws:SourceArn": ["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"],
    }

    def condition(self):
        block = {}
        for _ in range(self.random.randrange(1, 3)):
            key = self.pick(*self.VALUES)
            operator = self.pick(*self.OPERATORS.get(key, self.OPERATORS["String"]))
            values = [self.pick(*self.VALUES[key]) for _ in range(self.random.randrange(1, 4))]
            if self.chance(0.1):
                operator, values = "Null", [self.pick("true", "false")]
            elif key == "aws:TagKeys":
                operator = self.pick("ForAllValues:", "ForAnyValue:") + operator
            elif self.chance(0.25):
                operator += "IfExists"
            block.setdefault(operator, {})[self.pick(key, key, key.lower())] = values if len(values) > 1 else values[0]
        return block

    def statement(self, case, kind, conditions=True):
        one = {"Effect": "Deny" if self.chance(0.25) else "Allow"}
        one["NotAction" if self.chance(0.12) else "Action"] = self.listed(self.action, case["action"])
        one["NotResource" if self.chance(0.1) else "Resource"] = self.listed(self.resource, case["resource"])
        if kind == "resource":
            who = self.pick("*", {"AWS": "*"}, {"AWS": case["principal"]}, {"AWS": ACCOUNT}, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, {"AWS": OTHER},
                            {"AWS": [USERS[0], f"arn:aws:iam::{ACCOUNT}:role/deploy"]}, {"Service": "ec2.amazonaws.com"})
            one["Principal"] = who
        if conditions and self.chance(0.4):
            one["Condition"] = self.condition()
        return one

    def policy(self, case, kind, conditions=True):
        return {"Version": "2012-10-17", "Statement": [self.statement(case, kind, conditions) for _ in range(self.random.randrange(1, 4))]}

    def case(self, group):
        """`identity`: policies of a user and no conditions; `conditions`: with them; `all`: every kind of policy."""
        action = self.pick(*(ACTIONS if group == "all" else ACTIONS[:-1]))
        principal = self.pick(*USERS, SESSION) if group == "all" else self.pick(*USERS)
        case = {"group": group, "principal": principal, "action": action, "resource": self.pick(*RESOURCES[action.split(":")[0]]),
                "resource_account": ACCOUNT}
        context, multi = {}, ["aws:TagKeys"]
        if group != "identity":
            for key, values in self.REQUEST.items():
                if key == "aws:username" and principal != SESSION:
                    context[key] = [principal.rsplit("/", 1)[1]]
                elif key != "aws:username" and self.chance(0.6):
                    count = self.random.randrange(1, 3) if key in multi else 1
                    context[key] = self.random.sample(values, count)
        else:
            context["aws:username"] = [principal.rsplit("/", 1)[1]]
        case |= {"context": context, "multi": multi}
        conditions = group != "identity"
        case["identity"] = [self.policy(case, "identity", conditions) for _ in range(self.random.randrange(1, 3))]
        if group == "all":
            if self.chance(0.4):
                case["boundary"] = self.policy(case, "boundary")
            if principal == SESSION and self.chance(0.4):
                case["session"] = [self.policy(case, "session")]
            if self.chance(0.6) or action.startswith("kms:"):
                case["resource_policy"] = self.policy(case, "resource")
            if self.chance(0.3):
                case["scps"] = [[self.policy(case, "scp")] for _ in range(self.random.randrange(1, 3))]
            if self.chance(0.2) and action.split(":")[0] in ("s3", "sqs", "kms", "ecr"):
                case["rcps"] = [[self.policy(case, "rcp")]]
            if self.chance(0.25) and "resource_policy" in case:
                case["resource_account"] = OTHER
                case["resource"] = case["resource"].replace(ACCOUNT, OTHER)
        return case


    def rule(self, depth=0):
        """A rule of oslo.policy; a few are none."""
        kind = self.random.random()
        if depth < 4 and kind < 0.45:
            return f" {self.pick('and', 'or', 'or', 'AND')} ".join(self.rule(depth + 1) for _ in range(self.random.randrange(2, 4)))
        if depth < 4 and kind < 0.6:
            return f"({self.rule(depth + 1)})"
        if depth < 4 and kind < 0.72:
            return f"not {self.rule(4)}"
        return self.pick("role:admin", "role:member", "role:Reader", "role:other", "project_id:%(project_id)s", "tenant_id:%(project_id)s", "rule:own", "rule:again",
                         "rule:missing", "system_scope:all", "@", "!", *(["role", "(role:admin", "role:member)"] if self.chance(0.1) else []))

    def openstack_case(self):
        roles = self.random.sample(["admin", "member", "reader", "other", "auditor"], self.random.randrange(1, 3))
        system = self.chance(0.2)
        rules = {"volume:create_snapshot": self.rule(), "own": self.rule(2), "again": self.pick("rule:own or role:auditor", "rule:again", "[]", ""),
                 "default": self.pick("!", "role:admin")}
        if self.chance(0.1):
            rules["volume:create_snapshot"] = [[self.pick("role:admin", "role:member"), "role:reader"], self.pick("role:other", "rule:own")]
        held = [{"Role": role, "User": "ann@Default", "Group": "", "Project": "" if system else "shop@Default", "Domain": "", "System": "all" if system else "",
                 "Inherited": False} for role in roles]
        return {"openstack": {"assignments": held, "rules": rules}}


# ---------------------------------------------------------------------------------------------------- deciders

def ours(cases):
    build = ["cargo", "build", "-q", "-p", "neph-posture", "--example", "decide", "--locked"]
    subprocess.run(build, cwd=ROOT, check=True)
    text = "\n".join(map(json.dumps, cases)) + "\n"
    out = subprocess.run([TARGET / "debug/examples/decide"], input=text, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def simulate(cases):
    text = "\n".join(map(json.dumps, cases)) + "\n"
    out = subprocess.run(["node", "simulate.mjs"], cwd=WORK / "node", input=text, capture_output=True, text=True, check=True).stdout
    return [{"Allowed": "allowed"}.get(answer := json.loads(line), "denied" if str(answer).endswith("Denied") else answer) for line in out.splitlines()]


def in_venv(what, cases):
    """Runs one of the two functions below with the interpreter that has the packages."""
    text = "\n".join(map(json.dumps, cases)) + "\n"
    run = subprocess.run([PYTHON, __file__, "--inside", what], input=text, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    return [json.loads(line) for line in run.stdout.splitlines()]


def moto_inside(cases):
    from moto.iam.access_control import IAMPolicy, PermissionResult
    for case in cases:
        # It compares actions with regard to case, which AWS does not, so it is given all of them in lower case.
        for statement in elements(case):
            for name in statement.keys() & {"Action", "NotAction"}:
                statement[name] = [value.lower() for value in as_list(statement[name])]
        policies = [IAMPolicy({"policy_document": json.dumps(policy)}) for policy in case["identity"]]
        results = [policy.is_action_permitted(case["action"].lower(), case["resource"]) for policy in policies]
        denied = PermissionResult.DENIED in results
        yield "denied" if denied or PermissionResult.PERMITTED not in results else "allowed"


def principalmapper_inside(cases):
    # Python moved these names; the package was written before.
    for name in ("Mapping", "MutableMapping", "OrderedDict"):
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    from principalmapper.common import Node, Policy
    from principalmapper.querying.local_policy_simulation import has_matching_statement
    from principalmapper.util.case_insensitive_dict import CaseInsensitiveDict
    for case in cases:
        policies = [Policy(f"{case['principal']}-{at}", f"p{at}", document) for at, document in enumerate(case["identity"])]
        node = Node(case["principal"], "AIDAX", policies, [], None, None, 0, False, False, None, False, None)
        context = CaseInsensitiveDict({key: values if key in case["multi"] else values[0] for key, values in case["context"].items()})
        matching = lambda effect: has_matching_statement(node, effect, case["action"], case["resource"], context)
        try:
            yield "denied" if matching("Deny") or not matching("Allow") else "allowed"
        except Exception as error:
            yield f"error: {error}"


def oslo_inside(cases):
    import logging
    from oslo_config import cfg
    from oslo_policy import policy
    logging.disable(logging.CRITICAL)
    implied = {"admin": ["manager", "member", "reader"], "member": ["reader"]}
    for case in cases:
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[])
        rules = policy.Rules.from_dict(case["openstack"]["rules"], "default")
        enforcer = policy.Enforcer(conf, use_conf=False, rules=rules, default_rule="default")
        held = case["openstack"]["assignments"]
        # Keystone adds the roles that are implied before a service is asked.
        roles = sorted({role for one in held for role in [one["Role"], *implied.get(one["Role"], [])]})
        system = bool(held[0]["System"])
        creds = {"roles": roles, "user_id": "u1", "system_scope": "all" if system else None, "project_id": None if system else "p1", "tenant_id": None if system else "p1"}
        try:
            yield "allowed" if enforcer.enforce("volume:create_snapshot", {"project_id": "p1"}, creds) else "denied"
        except (RecursionError, TypeError):
            # A rule that refers to itself: the service fails the request.
            yield "denied"


def tables_inside(_cases):
    """Rows of the table of capabilities that policy_sentry's and parliament's databases contradict: actions that they do not know, and
    kinds of resources that an action has to be allowed on as well."""
    from parliament import iam_definition
    from policy_sentry.querying.actions import get_action_data
    required = {}
    for service in iam_definition:
        arns = {one["resource"]: re.sub(r"\$\{\w+\}", "*", one["arn"].replace("${Partition}", "{p}").replace("${Account}", "{a}")) for one in service["resources"]}
        for privilege in service["privileges"]:
            kinds = [kind["resource_type"] for kind in privilege["resource_types"]]
            required[f"{service['prefix']}:{privilege['privilege']}"] = {arns[kind[:-1]] for kind in kinds if kind.endswith("*") and kind[:-1] in arns}
    source = (ROOT / "crates/posture/src/capability.rs").read_text()
    constants = dict(re.findall(r'const (\w+): &str = "([^"]+)"', source))
    rows = re.findall(r'AwsAction\(\s*"([^"]+)",\s*&\[([^\]]*)\]', source)
    for action, kinds in rows:
        ours = {constants.get(kind.strip(), kind.strip().strip('"')) for kind in kinds.split(",") if kind.strip()}
        data = get_action_data(*action.split(":"))
        problems = [] if data else ["policy_sentry does not know it"]
        if action not in required:
            problems.append("parliament does not know it")
        problems += [f"it has to be allowed on {kind} as well" for kind in required.get(action, set()) - ours]
        yield {"action": action, "problems": problems}


# ---------------------------------------------------------------------------------------------------- differences

def elements(case):
    lists = case["identity"] + [case[key] for key in ("boundary", "resource_policy") if case.get(key)] + (case.get("session") or [])
    for level in (case.get("scps") or []) + (case.get("rcps") or []):
        lists += level
    return [statement for policy in lists for statement in policy["Statement"]]


def as_list(value):
    return value if isinstance(value, list) else [value]


def values_of(case, *names):
    return [value for statement in elements(case) for name in names if name in statement for value in as_list(statement[name])]


def operators_of(case):
    return [(operator, key, as_list(value)) for statement in elements(case) for operator, keys in statement.get("Condition", {}).items() for key, value in keys.items()]


def resource_parts(case):
    """The last parts of all ARNs that have types before their names."""
    arns = [value.split(":", 5) for value in values_of(case, "Resource", "NotResource")]
    return [arn[5] for arn in arns if len(arn) == 6 and arn[2] != "s3"]


# Peer, why it differs, who is right by which document, and how such a case is told.
EXPLAINED = [
    ("iam-simulate", "wildcards in the type of a resource are not documented: we leave the answer open, it takes them as they are", "reference-arns.html",
     lambda case, ours, theirs: ours == "depends" and any(re.match(r"[^/:]*[*?][^/:]*[/:]|\\*.+[/:]", part) for part in resource_parts(case))),
    ("iam-simulate", "it compares what stands before the first `/` of a resource without wildcards", "reference_policies_elements_resource.html",
     lambda case, ours, theirs: any(re.match(r"[^/:]*[*?]", part) and part != "*" for part in resource_parts(case))),
    ("iam-simulate", "it does not know `${*}` where case is ignored", "reference_policies_variables.html#policy-vars-specialchars",
     lambda case, ours, theirs: any("IgnoreCase" in operator and any("${*}" in value for value in values) for operator, _, values in operators_of(case))),
    ("iam-simulate", "it gives `NotResource` with a pattern of fewer than six segments no effect", "reference_policies_elements_notresource.html",
     lambda case, ours, theirs: any(value != "*" and value.count(":") < 5 for value in values_of(case, "NotResource"))),
    ("principalmapper", "wildcards in the type of a resource are not documented: we leave the answer open, it takes them as they are", "reference-arns.html",
     lambda case, ours, theirs: ours == "depends"),
    ("principalmapper", "it knows `IfExists` with texts alone", "reference_policies_elements_condition_operators.html#Conditions_IfExists",
     lambda case, ours, theirs: any(operator.endswith("IfExists") and not operator.startswith("String") for operator, _, _ in operators_of(case))),
    ("principalmapper", "it does not let `ForAllValues` hold where the key is absent", "reference_policies_condition-single-vs-multi-valued-context-keys.html",
     lambda case, ours, theirs: "aws:TagKeys" not in case["context"] and any(operator.startswith("ForAllValues") for operator, _, _ in operators_of(case))),
    ("principalmapper", "it does not fill in variables in every operator of texts", "reference_policies_variables.html",
     lambda case, ours, theirs: any("String" in operator and any("${" in value for value in values) for operator, _, values in operators_of(case))),
    ("principalmapper", "it does not let `NotIpAddress` hold where the key is absent", "reference_policies_elements_condition_operators.html",
     lambda case, ours, theirs: "aws:SourceIp" not in case["context"] and any(operator == "NotIpAddress" for operator, _, _ in operators_of(case))),
    ("principalmapper", "of several dates or booleans it wants all to match, where one is enough", "reference_policies_condition-logic-multiple-context-keys-or-values.html",
     lambda case, ours, theirs: any(operator.startswith(("Date", "Bool")) and len(values) > 1 for operator, _, values in operators_of(case))),
    ("principalmapper", "it negates `ForAnyValue` as a whole, not for each value", "reference_policies_condition-single-vs-multi-valued-context-keys.html",
     lambda case, ours, theirs: any(operator.startswith("ForAnyValue:StringNot") for operator, _, _ in operators_of(case))),
    ("principalmapper", "it compares resources whatever their case", "reference_policies_elements_resource.html",
     lambda case, ours, theirs: any(value.lower() != value for value in [*values_of(case, "Resource", "NotResource"), case["resource"]])),
    ("moto", "its `?` is a quantifier of regular expressions; AWS's stands for one character", "reference_policies_elements_resource.html",
     lambda case, ours, theirs: any("?" in value for value in values_of(case, "Action", "NotAction", "Resource", "NotResource"))),
    ("moto", "it does not know `NotResource` and takes such a statement as one about everything, whatever its effect", "reference_policies_elements_notresource.html",
     lambda case, ours, theirs: any("NotResource" in statement for statement in elements(case))),
    ("moto", "it does not fill in policy variables", "reference_policies_variables.html",
     lambda case, ours, theirs: any("${" in value for value in values_of(case, "Resource"))),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=900)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--show", type=int, default=3, help="so many differences without an explanation are shown whole")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        cases = [json.loads(line) for line in sys.stdin if line.strip()]
        for answer in globals()[args.inside](cases):
            print(json.dumps(answer))
        return
    install()
    generator = Generator(args.seed)
    groups = ["identity", "conditions", "all"]
    cases = [generator.case(groups[at % 3]) for at in range(args.cases)]
    answers = ours(cases)
    broken = [answer for answer in answers if "error" in answer]
    if broken:
        sys.exit(f"{len(broken)} cases were not decided: {broken[0]}")
    verdicts = [answer["verdict"] for answer in answers]
    peers = {
        "iam-simulate": (cases, simulate),
        "principalmapper": ([case for case in cases if case["group"] != "all"], lambda some: in_venv("principalmapper_inside", some)),
        "moto": ([case for case in cases if case["group"] == "identity"], lambda some: in_venv("moto_inside", some)),
    }
    of_openstack = [generator.openstack_case() for _ in range(args.cases // 3)]
    of_ours = [answer.get("verdict", answer) for answer in ours(of_openstack)]
    cases, verdicts = cases + of_openstack, verdicts + of_ours
    peers["oslo.policy"] = (of_openstack, lambda some: in_venv("oslo_inside", some))
    print(f"{len(of_ours)} rules of OpenStack: {of_ours.count('allowed')} allowed, {of_ours.count('denied')} denied")
    by_case = {id(case): verdict for case, verdict in zip(cases, verdicts)}
    unexplained = 0
    print(f"{len(cases)} cases of seed {args.seed}: {verdicts.count('allowed')} allowed, {verdicts.count('denied')} denied, {verdicts.count('depends')} left open")
    for name, (some, decide) in peers.items():
        reasons, agreed = collections.Counter(), 0
        for case, theirs in zip(some, decide(some), strict=True):
            verdict = by_case[id(case)]
            if theirs == verdict:
                agreed += 1
                continue
            known = next((row for row in EXPLAINED if row[0] == name and row[3](case, verdict, theirs)), None)
            if known:
                reasons[f"{known[1]}: {USERGUIDE}{known[2]}"] += 1
                continue
            unexplained += 1
            if unexplained <= args.show:
                print(f"NOT EXPLAINED: {name} says {theirs}, we say {verdict}: {json.dumps(case)}")
        print(f"{name}: {agreed} of {len(some)} cases decided alike")
        for reason, count in reasons.most_common():
            print(f"    {count:4} × {reason}")
    rows = in_venv("tables_inside", [{}])
    wrong = [row for row in rows if row["problems"]]
    for row in wrong:
        print(f"table of capabilities: {row['action']}: {'; '.join(row['problems'])}")
    unexplained += len(wrong)
    print(f"policy_sentry, parliament: {len(rows) - len(wrong)} of {len(rows)} actions of the table of capabilities are as they say")
    sys.exit(f"{unexplained} differences are not explained") if unexplained else print("every difference is explained")


if __name__ == "__main__":
    main()
