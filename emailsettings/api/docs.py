"""The documentation page, drawn from the OpenAPI document: nothing is fetched from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from emailsettings.api.problems import KINDS
from emailsettings.api.schema import METHODS, Document
from organizations.operations import Operation
from organizations.requests import SignedInRequest
from organizations.scopes import Scope

DEEPEST = 4  # levels of members that the page spells out


@dataclass(frozen=True, slots=True)
class Member:
    """A parameter, or a member of a JSON object.

    name:  with the names above it, as in `to[].address`.
    place: of a parameter: path, query or header.
    """

    name: str
    kind: str
    is_required: bool
    about: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    about: str
    scope: str
    parameters: list[Member]
    body: list[Member]
    answer_status: str
    answer_about: str
    answer: list[Member]
    problems: list[tuple[str, str]]
    curl: str
    example: str

    @property
    def short(self) -> str:
        return self.about.partition("\n")[0]

    @property
    def words(self) -> str:
        """What the search looks in."""
        return f"{self.method} {self.path} {self.id} {self.about} {self.scope}".lower()


@require_GET
def docs(request: SignedInRequest) -> HttpResponse:
    from emailsettings.api.urls import schema

    root = f"{request.scheme}://{request.get_host()}"
    document = schema()
    groups = [
        (tag["name"], tag["description"], [one for one, tags in _operations(document, root) if tag["name"] in tags])
        for tag in document["tags"]
    ]
    context = {
        "groups": [group for group in groups if group[2]],
        "root": root,
        "scopes": [(scope.value, scope.label) for scope in Scope],
        "problems": sorted(KINDS.items()),
    }
    return render(request, "emailsettings/api_docs.html", context)


def _operations(document: Document, root: str) -> Iterator[tuple[Described, list[str]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield _described(document, root, path, method), item[method]["tags"]


def _described(document: Document, root: str, path: str, method: str) -> Described:
    operation = document["paths"][path][method]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = _resolved(document, content.get("schema", {}))
    status, answer = next((status, one) for status, one in operation["responses"].items() if status.startswith("2"))
    answered = answer.get("content", {}).get("application/json", {}).get("schema", {})
    [scope] = operation["security"][0]["token"]
    return Described(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        about=operation["description"].rpartition("\n\nScope:")[0].replace("`", ""),
        scope=scope,
        parameters=[_parameter(document, one) for one in operation["parameters"]],
        body=list(_members(document, body)),
        answer_status=status,
        answer_about=answer["description"],
        answer=list(_members(document, _resolved(document, answered))),
        problems=[
            (status, one["description"]) for status, one in operation["responses"].items() if not status.startswith("2")
        ],
        curl=_curl(document, root, path, method),
        example=json.dumps(_example(body), indent=2) if body else "",
    )


def _parameter(document: Document, parameter: Document) -> Member:
    about = parameter.get("description", "").replace("`", "")
    kind = _kind(document, parameter["schema"])
    return Member(parameter["name"], kind, parameter["required"], about, parameter["in"])


def _members(document: Document, schema: Document, above: str = "", depth: int = 0) -> Iterator[Member]:
    """The members of an object, each with those below it."""
    required = set(schema.get("required", ()))
    for name, value in schema.get("properties", {}).items():
        yield Member(
            f"{above}{name}", _kind(document, value), name in required, value.get("description", "").replace("`", "")
        )
        inner, suffix = _inner(document, value)
        if inner and depth < DEEPEST:
            yield from _members(document, inner, f"{above}{name}{suffix}.", depth + 1)


def _inner(document: Document, schema: Document) -> tuple[Document, str]:
    """The object that a member holds, and what stands behind its name: "[]" for lists."""
    for one in [schema, *schema.get("anyOf", ()), *schema.get("allOf", ())]:
        if "$ref" in one:
            return _resolved(document, one), ""
        if one.get("type") == "array" and "$ref" in one.get("items", {}):
            return _resolved(document, one["items"]), "[]"
    return {}, ""


def _kind(document: Document, schema: Document) -> str:
    """The type of a value in words."""
    if "anyOf" in schema or "allOf" in schema:
        return " or ".join(dict.fromkeys(_kind(document, one) for one in schema.get("anyOf") or schema["allOf"]))
    if "$ref" in schema:
        return "object"
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any")


def _resolved(document: Document, schema: Document) -> Document:
    """What a reference stands for; of what may be null, what it is when it is not."""
    some = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(some) == 1:
        return _resolved(document, some[0])
    if "$ref" not in schema:
        return schema
    found: Document = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _curl(document: Document, root: str, path: str, method: str) -> str:
    """A command that works once the token and the numbers in it are one's own."""
    operation = document["paths"][path][method]
    address = re.sub(r"{\w+}", "1", path.replace("{operation}", Operation.VIEW_EMAIL_LOGS.value))
    lines = ["curl" if method == "get" else f"curl -X {method.upper()}", '-H "Authorization: Bearer $TOKEN"']
    query = [one for one in operation["parameters"] if one["in"] == "query" and one["required"]]
    lines += [f'-H "{one["name"]}: $(uuidgen)"' for one in operation["parameters"] if one["in"] == "header"]
    if "requestBody" in operation:
        schema = _resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(_example(schema))}'"]
    asked = "&".join(f"{one['name']}={_example_of(one)}" for one in query)
    lines.append(f'"{root}{address}?{asked}"' if asked else f"{root}{address}")
    return " \\\n  ".join(lines)


def _example(schema: Document) -> Any:
    if examples := schema.get("examples"):
        return examples[0]
    required = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    return {name: _example_of({"schema": value}) for name, value in properties.items() if name in required}


def _example_of(parameter: Document) -> Any:
    schema = parameter["schema"]
    if examples := parameter.get("examples") or schema.get("examples"):
        return examples[0]
    return schema.get("default", 1 if schema.get("type") == "integer" else "smtp.example.com")
