"""Drives a headless Chromium by its DevTools protocol: real keys, real media, and everything that it asks for.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowDown": 40, "ArrowUp": 38}


class Page:
    """A page that is open, and what it did: its errors, and every request."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.errors: list[str] = []
        self.requests: list[str] = []

    async def listen(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            method, details = event.get("method", ""), event.get("params", {})
            if "id" in event:
                waiting = self._waiting.pop(event["id"])
                if not waiting.done():
                    waiting.set_result(event)
            elif method == "Page.loadEventFired":
                self._loaded.set()
            elif method == "Runtime.exceptionThrown":
                self.errors.append(str(details["exceptionDetails"]))
            elif method == "Log.entryAdded":
                self.errors.append(details["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning", "assert"):
                self.errors.append(str(details["args"]))
            elif method == "Network.requestWillBeSent":
                self.requests.append(details["request"]["url"])

    async def send(self, method: str, **details: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": details})
        answer = await asyncio.wait_for(self._waiting[number], 60)
        assert "error" not in answer, answer
        return answer["result"]

    async def open(self, path: Path) -> None:
        self._loaded.clear()
        await self.send("Page.navigate", url=path.as_uri())
        await asyncio.wait_for(self._loaded.wait(), 60)

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        answer = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def press(self, key: str, *, shift: bool = False) -> None:
        """One key, down and up, as a person presses it."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        fields = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper())), "modifiers": 8 * shift}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **fields)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **fields)

    async def type(self, text: str) -> None:
        for letter in text:
            await self.press(letter)

    async def media(self, **features: str) -> None:
        """`prefers_color_scheme="dark"`, or `type="print"`."""
        kind = features.pop("type", "screen")
        pairs = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.send("Emulation.setEmulatedMedia", media=kind, features=pairs)

    async def width(self, width: int, height: int = 900) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def screenshot(self, path: Path) -> None:
        """The whole of the page."""
        answer = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """A browser with one empty page, ended when it is left."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not program:
        pytest.skip("no Chromium is installed: the report is not opened")
    profile = folder / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    process = await asyncio.create_subprocess_exec(
        program,
        *_QUIET,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                address = next(one for one in await answer.json() if one["type"] == "page")["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await page.send(f"{domain}.enable")
                yield page
                listening.cancel()
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


async def _port(file: Path) -> str:
    for _ in range(300):
        if file.exists() and (lines := file.read_text().splitlines()):
            return lines[0]
        await asyncio.sleep(0.1)
    raise AssertionError("Chromium did not start")
