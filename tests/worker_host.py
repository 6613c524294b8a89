"""Plays the Functions host to Microsoft's worker library, in a process of its own: index, load, invoke.

`python -m tests.worker_host FOLDER FUNCTION...` prints one JSON object: the functions that the worker indexed, and how
each invocation ended; FUNCTION=FILE invokes it with the JSON of a file. Plain classes stand in for the protobuf messages, whose fields the library only reads and sets.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Message:
    """A protobuf message as far as the library looks at one."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class _Protos(type):
    """Every attribute is a message class or an enumeration's member, named as it was asked for."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made: Any = (
            type(
                name,
                (Message,),
                {},
            )
            if name[0].isupper() and cls is Protos
            else name
        )
        if name == "StatusResult":
            made = type(name, (Message,), {"Success": "Success", "Failure": "Failure"})
        elif name == "BindingInfo":
            # Directions and data types are told apart by number: `in` is the first of each.
            fields = {"in": 0, "out": 1, "inout": 2, "undefined": 0, "string": 1, "binary": 2, "stream": 3}
            made = type(name, (Message,), fields)
        setattr(cls, name, made)
        return made


class Protos(metaclass=_Protos):
    """The `protos` module that the host hands to the library."""


class Datum:
    """A TypedData that holds JSON."""

    def __init__(self, text: str) -> None:
        self.json = text

    def WhichOneof(self, _: str) -> str:
        return "json"


class Parameter:
    """A ParameterBinding with its data."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.data = Datum(text)

    def WhichOneof(self, _: str) -> str:
        return "data"


def request(**fields: Any) -> Any:
    """A request as the proxy worker passes it on."""
    return SimpleNamespace(request=SimpleNamespace(**fields), properties={"host": "127.0.0.1", "protos": Protos})


TIMER = json.dumps({"IsPastDue": False, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": None})


async def main(folder: str, wanted: list[str]) -> dict[str, Any]:
    """Index a folder and invoke functions by name, with the data that a timer sends."""
    from azure_functions_runtime import handle_event as worker

    started = await worker.worker_init_request(
        request(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=folder))
    )
    if started.result.status != "Success":
        return {"error": str(started.result.exception.message)}
    metadata = await worker.functions_metadata_request(request())
    functions = {one.name: one for one in metadata.function_metadata_results or []}
    ended = {}
    for number, asked in enumerate(wanted):
        name, _, file = asked.partition("=")
        data = Path(file).read_text(encoding="utf-8") if file else TIMER
        one = functions[name]
        load = SimpleNamespace(function_id=one.function_id, metadata=one)
        loaded = await worker.function_load_request(request(function_load_request=load))
        assert loaded.result.status == "Success"
        trigger = next(json.loads(text) for text in one.raw_bindings if "rigger" in json.loads(text)["type"])
        call = SimpleNamespace(
            invocation_id=f"call-{number}-of-{name}",
            function_id=one.function_id,
            input_data=[Parameter(trigger["name"], data)],
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await worker.invocation_request(request(invocation_request=call))
        failed = answer.result.status != "Success"
        ended[asked] = f"{answer.result.exception.message}\n{answer.result.exception.stack_trace}" if failed else ""
    bindings = {name: [json.loads(text) for text in one.raw_bindings] for name, one in functions.items()}
    return {"functions": bindings, "ended": ended}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2:]))))
