"""What the loopback Hub says about a card's metadata, after the rules of the Hub's /api/validate-yaml.

Belongs here: the rules (https://huggingface.co/docs/hub/model-cards) and their words.
"""

import re
from typing import Any

import yaml

LICENCES = frozenset(
    ("apache-2.0", "mit", "openrail", "creativeml-openrail-m", "openrail++", "bigscience-openrail-m", "cc-by-4.0")
) | {"cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "gpl-3.0", "bsd-3-clause", "unknown", "other"}
ARGUMENTS = {"task": ("type",), "dataset": ("type", "name")}


def faults_of_card(text: str) -> tuple[list[str], list[str]]:
    """Errors and warnings."""
    found = re.match(r"\s*---\r?\n(.*?)\r?\n---(\r?\n|$)", text, re.DOTALL)
    if found is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        metadata = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return [f"YAML metadata is invalid: {' '.join(str(error).split())}"], []
    if not isinstance(metadata, dict):
        return ['"metadata" must be of type object'], []
    errors = [f'"{name}" must be an array' for name in ("tags", "widget") if _is_no_list(metadata.get(name, []))]
    licence = metadata.get("license")
    if licence is not None and licence not in LICENCES:
        errors.append(f'"license" must be one of [{", ".join(sorted(LICENCES))}]')
    for name in ("base_model", "instance_prompt", "pipeline_tag", "library_name"):
        if not isinstance(metadata.get(name, ""), (str, list)):
            errors.append(f'"{name}" must be a string')
    return errors + _faults_of_index(metadata.get("model-index", [])), []


def _faults_of_index(index: Any) -> list[str]:
    if _is_no_list(index):
        return ['"model-index" must be an array']
    errors = []
    for place, model in enumerate(index):
        if not isinstance(model, dict) or not model.get("name") or _is_no_list(model.get("results")):
            errors.append(f'"model-index[{place}]" must have a name and results')
            continue
        for number, result in enumerate(model["results"]):
            where = f"model-index[{place}].results[{number}]"
            for part, required in ARGUMENTS.items():
                errors += [
                    f'"{where}.{part}.{key}" is required' for key in required if not result.get(part, {}).get(key)
                ]
            for at, metric in enumerate(result.get("metrics") or [{}]):
                errors += [
                    f'"{where}.metrics[{at}].{key}" is required' for key in ("type", "value") if key not in metric
                ]
    return errors


def _is_no_list(value: Any) -> bool:
    return not isinstance(value, list)
