"""The OpenAPI 3.1 document: what the routers declare, and what is true of every operation."""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI

from emailsettings.api.problems import MEDIA_TYPE
from organizations.calls import BearerToken
from organizations.scopes import Scope

METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string", "description": "Where this kind of problem is explained."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened here, and what to do."},
        "scope": {"type": "string", "description": "The scope that is missing, with 403."},
        "earlier": {"type": "integer", "description": "The message that a reused key stands for, with 409."},
        "mailbox": {"type": "integer", "description": "The mailbox that is connected already, with 409."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}
SECURITY = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "ems_...",
    "description": BearerToken.openapi_description,
}
WITH_BODY = {
    "400": "The body is no JSON.",
    "413": "The body is too large.",
    "415": "The body is of another type.",
}
ALWAYS = {
    "401": "No token, or one that does not work.",
    "403": "The token lacks the scope, or you the right.",
    "429": "Too much at once; Retry-After says when.",
    "default": "Any other problem.",
}
TAGS = {
    "Mail servers": "Outgoing servers of the organization.",
    "Providers": "The catalog of email services, and whose domain is whose.",
    "Mailboxes": "Email accounts: their servers, folders, syncs, and who may use them.",
    "Messages": "Stored mail.",
    "Outbox": "Mail on its way out.",
    "Email log": "Everything that was sent.",
    "People": "People, their invitations, and roles.",
    "Organization": "Its email options, and its audit log.",
    "Profile": "Your own profile, and what you are told.",
    "Tokens": "Your own API tokens.",
}

Document = dict[str, Any]


def build_schema(api: NinjaAPI) -> Document:
    """Return the document as plain JSON values."""
    document: Document = dict(api.get_openapi_schema(path_prefix="/api/v1/"))
    document.pop("servers", None)
    document["paths"] = {path.replace("pk}", "id}"): item for path, item in document["paths"].items()}
    scopes = _scopes(api)
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                _complete(item[method], path, scopes[item[method]["operationId"]])
    components = document["components"]
    components["schemas"]["Problem"] = PROBLEM
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "ems_...",
            "description": BearerToken.openapi_description,
        }
    }
    document["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    return document


def _scopes(api: NinjaAPI) -> dict[str, Scope]:
    """Which scope each operation needs, by operation id."""
    return {
        str(operation.operation_id): auth.scope
        for router in api._get_bound_routers()
        for view in router.path_operations.values()
        for operation in view.operations
        for auth in operation.auth_callbacks
        if isinstance(auth, BearerToken)
    }


def _complete(operation: Document, path: str, scope: Scope) -> None:
    """Add the scope, the problems, and the shape of keys."""
    operation["security"] = [{"token": [scope.value]}]
    operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope.value}`.".strip()
    problems = dict(ALWAYS)
    if "{" in path:
        problems["404"] = "There is no such thing, or you may not know of it."
    if "requestBody" in operation:
        problems |= {
            "400": "The body is no JSON.",
            "413": "The body is too large.",
            "415": "The body is of another type.",
        }
    if "requestBody" in operation or operation.get("parameters"):
        problems["422"] = "Something has to be corrected; `errors` names each field."
    if operation["operationId"] in CONFLICTS:
        problems["409"] = CONFLICTS[operation["operationId"]]
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = {str(status): answer for status, answer in operation["responses"].items()}
    for status, description in sorted(problems.items()):
        operation["responses"].setdefault(status, {"description": description, "content": content})
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = parameter["name"].replace("pk", "id")
            if parameter["schema"].get("type") == "integer":
                parameter["schema"] |= {"minimum": 1, "maximum": 2**63 - 1}


LAST_ADMINISTRATOR = "It would leave nobody who administers the organization."
CONFLICTS = {
    "drafts_create": "There is no room for one more draft (`drafts-full`); discard some.",
    "drafts_update": "There is no room for more in your drafts (`drafts-full`); discard some.",
    "providers_update": "Somebody else was quicker.",
    "outbox_send": "The Idempotency-Key stands for another mail; or it is automatic and could begin a loop.",
    "outbox_resend": "The Idempotency-Key stands for another mail.",
    "outbox_cancel": "Nothing waits any more.",
    "outbox_decide": "It is in no state in which this means anything.",
    "people_remove": LAST_ADMINISTRATOR,
    "people_deactivate": LAST_ADMINISTRATOR,
    "roles_remove_member": LAST_ADMINISTRATOR,
    "invitations_renew": "It was accepted or withdrawn meanwhile.",
    "invitations_withdraw": "It was accepted or withdrawn meanwhile.",
    "mailboxes_connect": "You have connected this address already.",
    "mailboxes_estimate": "The mailbox only sends.",
    "mailboxes_download_again": "The mailbox only sends.",
    "providers_set_logo": "Somebody else was quicker.",
    "mailboxes_resume": "The server refused the password.",
    "mailboxes_sync": "The mailbox only sends.",
    "mailboxes_check": "A stored password can no longer be opened.",
    "mailboxes_update": "Somebody else was quicker.",
}
