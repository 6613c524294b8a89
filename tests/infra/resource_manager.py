"""Azure's control plane as ./deploy meets it: sign-in, rights, deployments, code, functions, event subscriptions.

It keeps what was sent. What a deployment makes is read from the compiler's snapshot of the same template: nothing is
evaluated here. Answers follow the REST reference, https://learn.microsoft.com/rest/api/resources/deployments.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from .azure_proxy import Call, Reply

PRINCIPAL = "77777777-7777-4777-8777-777777777777"
"""The object id of the app's identity."""

TYPES = {"string": str, "securestring": str, "array": list, "object": dict, "bool": bool, "int": int}
DEPLOYMENT = (
    r"/(?:subscriptions/[^/]+(?:/resourcegroups/[^/]+)?|providers/microsoft.management/managementgroups/[^/]+)"
    r"/providers/microsoft.resources/deployments/[^/]+"
)
SITE = r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft.web/sites/[^/]+"

API_VERSIONS = {"Microsoft.Web": {"sites": ["2025-03-01"]}}
"""What `az resource show` looks up."""

GRAPH = {
    "id": "88888888-8888-4888-8888-888888888888",
    "appRoles": [
        {"id": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "value": "Application.Read.All"},
        {"id": "97235f07-e226-4f63-ace3-39588e11d3a1", "value": "User.ReadBasic.All"},
        {"id": "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9", "value": "Application.ReadWrite.All"},
    ],
}
"""Microsoft Graph's own service principal, with some of its permissions."""

STACKS = [
    {
        "name": "python",
        "properties": {
            "majorVersions": [
                {
                    "minorVersions": [
                        {
                            "value": "3.13",
                            "stackSettings": {
                                "linuxRuntimeSettings": {
                                    "appSettingsDictionary": {"FUNCTIONS_WORKER_RUNTIME": "python"},
                                    "appInsightsSettings": {"isSupported": True},
                                    "gitHubActionSettings": {"isSupported": True, "supportedVersion": "3.13"},
                                    "Sku": [{"skuCode": "FC1"}],
                                }
                            },
                        }
                    ]
                }
            ]
        },
    }
]
"""The part of https://learn.microsoft.com/rest/api/appservice/provider/get-function-app-stacks-for-location that `az` reads."""


class Azure:
    """One tenant with one subscription, and what was sent to it."""

    def __init__(self, tenant: str, subscription: str, templates: Mapping[str, tuple[Any, Any]]) -> None:
        """The templates by a name of their own, each with the snapshot of what it makes."""
        self.tenant, self.subscription, self.templates = tenant, subscription, templates
        self.calls: list[Call] = []
        self.resources: dict[str, dict[str, Any]] = {}
        self.deployments: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.registered = {
            *("Microsoft.ManagedIdentity", "Microsoft.Storage", "Microsoft.KeyVault", "Microsoft.OperationalInsights"),
            *("microsoft.insights", "Microsoft.AlertsManagement", "Microsoft.Web"),
        }
        self.rights: list[dict[str, Any]] = [{"actions": ["*"], "notActions": [], "dataActions": []}]
        self.secrets: dict[str, str] = {}
        self.granted: list[dict[str, str]] = []
        self.package: bytes = b""
        self.syncs, self.listed_after, self.failing_events = 0, 2, 0
        routes: list[tuple[str, str, str, Callable[[Call], Reply]]] = [
            ("GET", "login", r".*/openid-configuration", self._metadata),
            ("GET", "login", r"/common/discovery/instance", self._discovery),
            ("POST", "login", r".*/oauth2/v2.0/token", self._token),
            ("GET", "management", r"/subscriptions", lambda _: Reply({"value": [self._subscription()]})),
            ("GET", "management", r"/subscriptions/[^/]+/providers/microsoft.authorization/permissions", self._rights),
            ("GET", "management", r"/subscriptions/[^/]+/providers", self._providers),
            ("GET", "management", r"/subscriptions/[^/]+/providers/[^/]+", self._provider),
            ("POST", "management", r"/subscriptions/[^/]+/providers/[^/]+/register", self._register),
            ("GET", "management", r"/subscriptions/[^/]+/providers/microsoft.keyvault/deletedvaults", self._nothing),
            ("GET", "management", r"/subscriptions/[^/]+/providers/microsoft.eventgrid/systemtopics", self._topics),
            ("POST", "management", DEPLOYMENT + "/whatif", self._what_if),
            ("POST", "management", DEPLOYMENT + "/validate", self._validate),
            ("PUT", "management", DEPLOYMENT, self._deploy),
            ("GET", "management", DEPLOYMENT, self._deployment),
            ("GET", "management", r"/operations/.+", self._operation),
            ("POST", "management", SITE + "/config/configreferences/appsettings/refresh", lambda _: Reply({})),
            ("GET", "management", SITE + "/config/configreferences/appsettings", self._references),
            ("POST", "management", SITE + "/host/default/sync", self._sync),
            ("POST", "management", SITE + "/host/default/listkeys", lambda _: Reply({"masterKey": "master"})),
            ("GET", "management", SITE + "/functions", self._functions),
            ("GET", "management", r"/providers/microsoft.web/.+/functionAppStacks", lambda _: Reply({"value": STACKS})),
            ("POST", "management", SITE + "/config/appsettings/list", self._app_settings),
            ("GET", "management", r".+/providers/.+", self._resource),
            ("GET", "management", r"/subscriptions/[^/]+/resourcegroups/[^/]+", self._resource),
            ("HEAD", "management", r"/subscriptions/[^/]+/resourcegroups/[^/]+", self._group_exists),
            ("DELETE", "management", r".+", self._delete),
            ("POST", "func-", r"/api/publish", self._publish),
            ("GET", "func-", r"/api/deployments/latest", lambda _: Reply({"status": 4, "complete": True})),
            ("GET", "func-", r"/admin/host/status", lambda _: Reply({"state": "Running"})),
            ("POST", "func-", r"/admin/functions/[a-z_]+", lambda _: Reply(b"", 202)),
            ("GET", "kv-", r"/secrets/[^/]+/?", self._secret),
            ("GET", "graph", r"/v1.0/servicePrincipals\(appId='[0-9a-f-]+'\)", lambda _: Reply(GRAPH)),
            ("GET", "graph", rf"/v1.0/servicePrincipals/{GRAPH['id']}", lambda _: Reply(GRAPH)),
            ("GET", "graph", rf"/v1.0/servicePrincipals/{PRINCIPAL}/appRoleAssignments", self._granted),
            ("POST", "graph", rf"/v1.0/servicePrincipals/{PRINCIPAL}/appRoleAssignments", self._grant),
        ]
        self._routes = [(method, host, re.compile(path, re.IGNORECASE), do) for method, host, path, do in routes]

    def answer(self, call: Call) -> Reply:
        """The answer to a request; one without a token is refused as Resource Manager does."""
        self.calls.append(call)
        if call.host == "management.azure.com":
            if not self._audience(call).startswith("https://management."):
                return _error(401, "AuthenticationFailed", "Authentication failed.")
            if not call.query.get("api-version") and not call.path.startswith("/operations/"):
                return _error(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        for method, host, path, do in self._routes:
            if method == call.method and call.host.startswith(host) and path.fullmatch(call.path):
                return do(call)
        return _error(404, "NotFound", f"Not played: {call.method} {call.host}{call.path}")

    def sent(self, method: str, path: str) -> list[Call]:
        """The calls to a path, a pattern without regard to case."""
        return [
            one for one in self.calls if one.method == method and re.fullmatch(path, one.host + one.path, re.IGNORECASE)
        ]

    @property
    def indexed(self) -> list[str]:
        """The functions of the package that was sent, as a host finds them."""
        if not self.package or self.syncs < self.listed_after:
            return []
        source = zipfile.ZipFile(io.BytesIO(self.package)).read("function_app.py")
        return [
            node.name
            for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and any("trigger" in ast.unparse(one) for one in node.decorator_list)
        ]

    @staticmethod
    def _audience(call: Call) -> str:
        try:
            payload = call.headers["authorization"].removeprefix("Bearer ").split(".")[1]
            return str(json.loads(base64.urlsafe_b64decode(payload + "=="))["aud"])
        except (KeyError, IndexError, ValueError):
            return ""

    def _metadata(self, call: Call) -> Reply:
        base = f"https://{call.host}/{self.tenant}"
        return Reply(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            }
        )

    def _discovery(self, call: Call) -> Reply:
        metadata = {"preferred_network": call.host, "preferred_cache": call.host, "aliases": [call.host]}
        return Reply({"tenant_discovery_endpoint": f"https://{call.host}/{self.tenant}", "metadata": [metadata]})

    def _token(self, call: Call) -> Reply:
        form = dict(one.split("=", 1) for one in call.body.decode().split("&"))
        scope = form["scope"].replace("%3A", ":").replace("%2F", "/").split("+")[0]
        claims = {
            "aud": scope.removesuffix(".default"),
            "tid": self.tenant,
            "oid": PRINCIPAL,
            "exp": time.time() + 3600,
        }
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in ({"alg": "none"}, claims)
        )
        return Reply({"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": token + "."})

    def _subscription(self) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{self.subscription}",
            "subscriptionId": self.subscription,
            "tenantId": self.tenant,
            "displayName": "Contoso\" $(touch x) ; 'prod'\nsecond line",
            "state": "Enabled",
            "managedByTenants": [],
        }

    def _rights(self, call: Call) -> Reply:
        return Reply({"value": self.rights})

    def _nothing(self, call: Call) -> Reply:
        return Reply({"value": []})

    def _providers(self, call: Call) -> Reply:
        return Reply({"value": [{"namespace": one, "registrationState": "Registered"} for one in self.registered]})

    def _provider(self, call: Call) -> Reply:
        namespace = call.path.rpartition("/")[2]
        state = "Registered" if namespace in self.registered else "NotRegistered"
        types = [
            {"resourceType": kind, "apiVersions": versions, "locations": []}
            for kind, versions in API_VERSIONS.get(namespace, {}).items()
        ]
        return Reply({"namespace": namespace, "registrationState": state, "resourceTypes": types})

    def _register(self, call: Call) -> Reply:
        self.registered.add(call.path.split("/")[-2])
        return Reply({"namespace": call.path.split("/")[-2], "registrationState": "Registering"})

    def _topics(self, call: Call) -> Reply:
        return Reply({"value": [one for one in self.resources.values() if one["type"].endswith("/systemTopics")]})

    # Deployments

    def _known(self, call: Call) -> tuple[str, Any, Reply | None]:
        """The template that was sent, by its name, with its snapshot; or why Resource Manager refuses it."""
        properties = call.json["properties"]
        for name, (template, snapshot) in self.templates.items():
            if properties["template"] == template:
                wrong = _wrong_parameters(template["parameters"], properties.get("parameters") or {})
                return name, snapshot, _error(400, "InvalidTemplate", wrong) if wrong else None
        return "", None, _error(400, "InvalidTemplate", "This template is none of the compiled ones.")

    def _validate(self, call: Call) -> Reply:
        _, _, refusal = self._known(call)
        return refusal or Reply({"properties": {"provisioningState": "Succeeded"}})

    def _what_if(self, call: Call) -> Reply:
        _, snapshot, refusal = self._known(call)
        if refusal:
            return refusal
        changes = [
            {
                "resourceId": one["id"],
                "changeType": "NoChange" if one["id"].lower() in self.resources else "Create",
                "after": one,
            }
            for one in snapshot["predictedResources"]
            if not one["id"].startswith("[")
        ]
        return self._started({"status": "Succeeded", "properties": {"changes": changes}}, location=True)

    def _started(self, result: dict[str, Any], location: bool = False, body: Any = None) -> Reply:
        """A long-running operation: one look finds it running, the next one ended."""
        url = f"https://management.azure.com/operations/{len(self.operations)}?api-version=2022-09-01"
        self.operations[url.partition(".com")[2].partition("?")[0]] = {"looks": 0, "result": result}
        headers = {"Location" if location else "Azure-AsyncOperation": url, "Retry-After": "1"}
        return Reply(body or {}, 202 if location else 201, headers)

    def _operation(self, call: Call) -> Reply:
        operation = self.operations[call.path]
        operation["looks"] += 1
        if operation["looks"] == 1:
            return Reply(
                {"status": "Running"}, 202, {"Location": f"https://{call.host}{call.path}", "Retry-After": "1"}
            )
        return Reply(operation["result"])

    def _deploy(self, call: Call) -> Reply:
        name, snapshot, refusal = self._known(call)
        if refusal:
            return refusal
        sent = call.json["properties"]
        values = {key: one["value"] for key, one in (sent.get("parameters") or {}).items()}
        problem = None
        if name == "webhook":
            team = values["team"].lower().replace("_", "-")
            self.secrets["teams-webhook-url" + (f"-{team}" if team else "")] = values["url"]
        elif snapshot is None:
            pass
        elif name == "events":
            problem = self._wire(snapshot)
        else:
            self._make(snapshot)
        outputs = snapshot["outputs"] if snapshot else {}
        deployment = {
            "id": call.path,
            "name": call.path.rpartition("/")[2],
            "location": call.json.get("location"),
            "properties": {
                "provisioningState": "Failed" if problem else "Succeeded",
                "parameters": sent.get("parameters"),
                "outputs": {
                    key: {"type": "Object", "value": PRINCIPAL if str(value).startswith("[reference(") else value}
                    for key, value in outputs.items()
                },
                "error": problem,
            },
        }
        self.deployments[call.path.lower()] = deployment
        result = {"status": deployment["properties"]["provisioningState"]} | ({"error": problem} if problem else {})
        return self._started(result, body={**deployment, "properties": {"provisioningState": "Accepted"}})

    def _make(self, snapshot: Any) -> None:
        for one in snapshot["predictedResources"]:
            if one["id"].startswith("["):
                continue  # a role assignment: its name is known only at run time
            made = json.loads(json.dumps(one))
            made.setdefault("properties", {})["provisioningState"] = "Succeeded"
            if one["type"] == "Microsoft.Web/sites":
                made["properties"] |= self._site(one)
            self.resources[one["id"].lower()] = made

    def _wire(self, snapshot: Any) -> dict[str, Any] | None:
        """Event Grid validates the function when it is subscribed; what failed stays so."""
        stuck = {one for one, found in self.resources.items() if found["properties"]["provisioningState"] == "Failed"}
        self._make(snapshot)
        subscribed = [
            one
            for one in self.resources.values()
            if one["type"] == "Microsoft.EventGrid/systemTopics/eventSubscriptions"
        ]
        self.failing_events -= 1
        problem = None
        for one in subscribed:
            function = one["properties"]["destination"]["properties"]["resourceId"].rpartition("/")[2]
            if function not in self.indexed or self.failing_events >= 0 or one["id"].lower() in stuck:
                one["properties"]["provisioningState"] = "Failed"
                problem = {"code": "DeploymentFailed", "message": "Destination endpoint not found."}
        return problem

    def _deployment(self, call: Call) -> Reply:
        found = self.deployments.get(call.path.lower())
        return Reply(found) if found else _error(404, "DeploymentNotFound", "The deployment could not be found.")

    # The app

    @staticmethod
    def _site(one: dict[str, Any]) -> dict[str, Any]:
        hosts = [f"{one['name']}.azurewebsites.net", f"{one['name']}.scm.azurewebsites.net"]
        return {
            "sku": "FlexConsumption",
            "reserved": True,
            "state": "Running",
            "enabled": True,
            "defaultHostName": hosts[0],
            "enabledHostNames": hosts,
            "hostNameSslStates": [
                {"name": name, "hostType": kind, "sslState": "Disabled"}
                for name, kind in zip(hosts, ("Standard", "Repository"), strict=True)
            ],
        }

    def _site_of(self, call: Call) -> dict[str, Any]:
        match = re.match(SITE, call.path, re.IGNORECASE)
        assert match
        return self.resources[match[0].lower()]

    def _settings_of(self, call: Call) -> dict[str, str]:
        return {one["name"]: one["value"] for one in self._site_of(call)["properties"]["siteConfig"]["appSettings"]}

    def _app_settings(self, call: Call) -> Reply:
        return Reply({"id": call.path, "name": "appsettings", "properties": self._settings_of(call)})

    def _references(self, call: Call) -> Reply:
        found = []
        for name, value in self._settings_of(call).items():
            if "@Microsoft.KeyVault(" in value:
                secret = value.partition("secrets/")[2].partition(")")[0]
                # In a snapshot the address of the vault is left open, and with it the call that joins the parts.
                secret = secret.replace("{1}", re.findall(r"'([\w-]+)'", value)[-1])
                status = "Resolved" if secret in self.secrets else "SecretNotFound"
                found.append({"name": name, "properties": {"status": status, "secretName": secret}})
        return Reply({"value": found})

    def _publish(self, call: Call) -> Reply:
        self.package, self.syncs = call.body, 0
        return Reply(b"deployment-1", 202)

    def _sync(self, call: Call) -> Reply:
        self.syncs += 1
        return Reply(b"", 204)

    def _functions(self, call: Call) -> Reply:
        site = self._site_of(call)
        return Reply(
            {
                "value": [
                    {
                        "id": f"{site['id']}/functions/{one}",
                        "name": f"{site['name']}/{one}",
                        "type": "Microsoft.Web/sites/functions",
                    }
                    for one in self.indexed
                ]
            }
        )

    # Everything else

    def _granted(self, call: Call) -> Reply:
        return Reply({"value": self.granted})

    def _grant(self, call: Call) -> Reply:
        self.granted.append({"id": str(len(self.granted)), **call.json})
        return Reply(self.granted[-1], 201)

    def _resource(self, call: Call) -> Reply:
        found = self.resources.get(call.path.lower())
        return Reply(found) if found else _error(404, "ResourceNotFound", f"The Resource '{call.path}' was not found.")

    def _group_exists(self, call: Call) -> Reply:
        return Reply(b"", 204 if call.path.lower() in self.resources else 404)

    def _delete(self, call: Call) -> Reply:
        below = call.path.lower()
        gone = [one for one in self.resources if one == below or one.startswith(below + "/")]
        for one in gone:
            del self.resources[one]
        return Reply(b"", 200 if gone else 204)

    def _secret(self, call: Call) -> Reply:
        name = call.path.strip("/").split("/")[1]
        if self._audience(call).rstrip("/") != "https://vault.azure.net":
            challenge = f'Bearer authorization="https://login.microsoftonline.com/{self.tenant}", resource="https://vault.azure.net"'
            return Reply({"error": {"code": "Unauthorized"}}, 401, {"WWW-Authenticate": challenge})
        if name not in self.secrets:
            return _error(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        return Reply(
            {
                "value": self.secrets[name],
                "id": f"https://{call.host}/secrets/{name}/0",
                "attributes": {"enabled": True},
            }
        )


def _wrong_parameters(declared: dict[str, Any], given: dict[str, Any]) -> str:
    """What Resource Manager has against the parameters of a deployment."""
    for name, one in given.items():
        if name not in declared:
            return f"The template parameters '{name}' in the parameters file are not valid."
        kind, value = TYPES[declared[name]["type"].lower()], one.get("value")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return f"The provided value for the template parameter '{name}' is not of type '{declared[name]['type']}'."
        if value not in declared[name].get("allowedValues", [value]):
            return f"The provided value for the template parameter '{name}' is not part of the allowed values."
    missing = [name for name, one in declared.items() if "defaultValue" not in one and name not in given]
    return f"The value for the template parameter '{missing[0]}' is not provided." if missing else ""


def _error(status: int, code: str, message: str) -> Reply:
    return Reply({"error": {"code": code, "message": message}}, status)
