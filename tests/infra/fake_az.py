"""A stand-in for `az` on the PATH: keeps its state in a JSON file, writes down each call, fails where told to."""

import json
import os
import shutil
import sys
from pathlib import Path

HERE = Path(os.environ["FAKE_AZ"])
STATE = HERE / "state.json"


def option(*names: str) -> str:
    """The value of an option of the call."""
    for name in names:
        if name in sys.argv:
            return sys.argv[sys.argv.index(name) + 1]
    return ""


def fail(text: str) -> None:
    """Ends as az does when a request is refused."""
    print(f"ERROR: {text}", file=sys.stderr)
    sys.exit(1)


def keep(path: str) -> None:
    """Keeps a copy of a file that the script removes."""
    shutil.copy(path, HERE / f"sent-{len(list(HERE.glob('sent-*')))}.json")


def main() -> None:
    """Answers one call."""
    state = json.loads(STATE.read_text())
    words = sys.argv[1:]
    command = " ".join(words[: next((i for i, word in enumerate(words) if word.startswith("-")), len(words))])
    url = option("--uri")
    call = f"{command} {option('--method')} {url.partition('?')[0]} {option('--name')}".strip()
    with (HERE / "calls").open("a") as log:
        log.write(json.dumps(words) + "\n")
    for pattern in list(state["fail"]):
        if pattern in f"{call} {option('--subscription')}" and state["fail"][pattern] > 0:
            state["fail"][pattern] -= 1
            STATE.write_text(json.dumps(state))
            fail(state.get("complaint") or f"told to fail at {pattern}")
    for word in words:
        if word.startswith("@"):
            keep(word[1:])
    answer(command, url, state)
    STATE.write_text(json.dumps(state))


def answer(command: str, url: str, state: dict) -> None:
    """Prints what az would, after the query."""
    subscription, name = option("--subscription"), option("--name")
    if command == "account show":
        print(state["tenant"])
    elif command == "rest" and "/permissions?" in url:
        for actions, not_actions in state["rights"].get(url.split("/")[2]) or state["rights"]["*"]:
            print(f"{actions}\t{not_actions}")
    elif command == "rest" and url.endswith("/sync?api-version=2025-03-01"):
        state["syncs"] += 1
    elif command == "rest" and option("--method") == "get" and "configreferences" in url:
        print("\n".join(state["unresolved"]))
    elif command == "eventgrid system-topic list":
        for row in state["topics"].get(subscription, []):
            print("\t".join(row))
    elif command == "eventgrid system-topic event-subscription show":
        if subscription not in state["events"]:
            fail("(ResourceNotFound) The Resource was not found.")
        print(state["events"][subscription])
    elif command == "eventgrid system-topic event-subscription delete":
        state["events"].pop(subscription, None)
    elif command == "deployment sub create" and name.endswith("-events"):
        outcomes = state["outcomes"]
        for one in state["subscriptions"]:
            if state["events"].get(one) != "Failed":
                state["events"][one] = outcomes.get(one, []).pop(0) if outcomes.get(one) else "Succeeded"
        STATE.write_text(json.dumps(state))
        if "Failed" in state["events"].values():
            fail("(DeploymentFailed) Destination endpoint not found")
    elif command == "deployment sub create":
        state["provisioned"] = True
    elif command == "deployment sub show":
        if not state["provisioned"]:
            fail("(DeploymentNotFound)")
        if "events" in option("--query"):
            print(json.dumps({"name": {"value": "fusewatch"}}))
        elif option("--query") == "properties.outputs.principalId.value":
            print("9" * 8)
        else:
            print(
                "rg-fusewatch\tfunc-x\t/subscriptions/h/resourceGroups/rg-fusewatch/providers/Microsoft.Web/sites/func-x\tkv-x\tprincipal-x"
            )
    elif command == "functionapp deployment source config-zip":
        shutil.copy(option("--src"), HERE / "package.zip")
    elif command == "functionapp function list":
        if state["syncs"] >= state["listed_after"]:
            print("func-x/scan_tenant\nfunc-x/on_role_change\nfunc-x/settle")
        else:
            print("func-x/WarmUp")
    elif command == "provider list":
        print("Microsoft.Web\nmicrosoft.insights")
    elif command == "keyvault list-deleted":
        print(state["deleted_vault"])
    elif command == "keyvault secret show":
        if state["webhook"] == "forbidden":
            fail("(Forbidden) Caller is not authorized")
        if not state["webhook"]:
            fail("(SecretNotFound) A secret with (name/id) teams-webhook-url was not found")
        print(state["webhook"])
    elif command == "group exists":
        print("true" if f"{subscription} {name}" in state["groups"] else "false")
    elif command == "group show":
        print(state["groups"][f"{subscription} {name}"])
    elif command == "group delete":
        del state["groups"][f"{subscription} {name}"]
    elif command == "resource show":
        print("func-x.azurewebsites.net")
    elif command == "functionapp keys list":
        print("master-key")
    elif command == "cloud show":
        print("https://graph.microsoft.com/")
    elif command == "rest" and "appRoleAssignments" in url and option("--method") == "get":
        role = option("--query").split("'")[1]
        print(f"assignment-{role}" if role in state["granted"] else "")
    elif command == "rest" and "appRoleAssignments" in url:
        state["granted"].append(json.loads(Path(option("--body")[1:]).read_text())["appRoleId"])
    elif command == "rest" and "servicePrincipals" in url:
        print("role-" + option("--query").split("'")[1] if "appRoles" in option("--query") else "graph-id")


if __name__ == "__main__":
    main()
