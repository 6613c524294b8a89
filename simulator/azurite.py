"""Azurite, Microsoft's storage emulator: the real table service of the demo and the tests."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import TableServiceClient

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Azurite:
    """A running Azurite table service that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connection_string(self) -> str:
        """How clients reach it; the key is the emulator's well-known one."""
        key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        return (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
            f"TableEndpoint=http://127.0.0.1:{self.port}/devstoreaccount1;"
        )

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._process is not None

    def start(self) -> None:
        """Start it, and wait until it answers; raises RuntimeError if it does not."""
        program = ROOT / "node_modules" / ".bin" / "azurite-table"
        if not program.exists() or not shutil.which("node"):
            raise RuntimeError("Azurite is missing: `npm ci` installs it")
        self._process = subprocess.Popen(
            [str(program), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
            + ["--location", str(self._folder), "--tablePort", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                # Somebody else may have taken the port meanwhile, and would answer in its place.
                raise RuntimeError(f"Azurite ended at once, with status {self._process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("Azurite did not start within 60 seconds")

    def stop(self) -> None:
        """Stop it; what it stored stays in its folder."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None

    def wipe(self) -> None:
        """Remove every table."""
        with TableServiceClient.from_connection_string(self.connection_string) as service:
            for table in service.list_tables():
                with contextlib.suppress(HttpResponseError):
                    service.delete_table(table.name)

    def fill(self, tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Put rows into tables, as rows() gave them."""
        with TableServiceClient.from_connection_string(self.connection_string) as service:
            for name, rows in tables.items():
                table = service.create_table_if_not_exists(name)
                for row in rows:
                    table.upsert_entity({key: value for key, value in row.items() if key != "etag"})

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table, with its ETag, as anybody with a table browser sees them."""
        with TableServiceClient.from_connection_string(self.connection_string) as service:
            try:
                found = list(service.get_table_client(table).list_entities())
            except ResourceNotFoundError:
                return []
        return [{**row, "etag": row.metadata["etag"]} for row in found]
