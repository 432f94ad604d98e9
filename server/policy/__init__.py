"""Policies: files that a person writes and reviews, compiled once into plain data that a request can match.

    document   YAML text -> plain data with lines
    schema     what a file may say; naming: what a rule may name; conditions: what its ``when`` may say
    diagnose   refusals as sentences, with the nearest valid key
    windows    time windows, rollout: a stable part of the users
    policies   Policy, PolicySet.matching
    load       files, or a folder of them -> PolicySet
    resolve    the conflict rule: rules in any order -> Plan
    describe   a policy in words, what is different between two sets
    cases      what a team expects of its policies
    check      warnings about a valid file: concepts a bundle lacks, attributes that look misspelt

Knows neither gRPC nor Prometheus nor logs.
"""

from server.errors import PolicyError, Problem
from server.policy.check import PolicyWarning, check_attributes, check_concepts, check_reach
from server.policy.describe import Change, changes, conditions, rule_in_words, unmet
from server.policy.load import compile_files, load_policies, read_folder, revision_of
from server.policy.naming import CUSTOM_EXPECTED, CustomEntry, is_custom_id
from server.policy.policies import NO_FOLDER, Policy, PolicySet
from server.policy.resolve import resolve
from server.policy.schema import PolicyEntry, PolicyFile, RuleEntry
from server.policy.windows import any_open

__all__ = [
    "CUSTOM_EXPECTED",
    "NO_FOLDER",
    "Change",
    "CustomEntry",
    "Policy",
    "PolicyEntry",
    "PolicyError",
    "PolicyFile",
    "PolicySet",
    "PolicyWarning",
    "Problem",
    "RuleEntry",
    "any_open",
    "changes",
    "check_attributes",
    "check_concepts",
    "check_reach",
    "compile_files",
    "conditions",
    "is_custom_id",
    "load_policies",
    "read_folder",
    "resolve",
    "revision_of",
    "rule_in_words",
    "unmet",
]
