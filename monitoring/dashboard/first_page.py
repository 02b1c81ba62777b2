"""Serves the page that a browser loads first, with links to the scripts that it will need a moment later.

Streamlit loads the script of each kind of element when the first of that kind arrives. Until then the browser waits for the
websocket; linked as `modulepreload`, the scripts load meanwhile. The page itself stays Streamlit's own.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import streamlit
from starlette.responses import HTMLResponse
from starlette.routing import Route

STATIC: Final = Path(streamlit.__file__).parent / "static"
ELEMENTS: Final = ("Html", "BidiComponent", "Selectbox", "DownloadButton")  # kinds of elements on the overview
IMPORT: Final = re.compile(r"""(?:from|import)\s*["']\./([\w.-]+\.js)["']""")


def routes(paths: list[str]) -> list[Route]:
    """Return the routes of the pages at these paths."""

    async def page(_: object) -> HTMLResponse:
        return HTMLResponse(html(), headers={"cache-control": "no-cache"})

    return [Route(path, page) for path in paths]


@cache
def html() -> str:
    """Return Streamlit's page with the links in its head."""
    text = (STATIC / "index.html").read_text("utf-8")
    links = "".join(
        f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in scripts() if f"/{name}" not in text
    )
    return text.replace("</head>", f"{links}</head>", 1)


def scripts() -> list[str]:
    """Return the files of the scripts for `ELEMENTS` and of everything that they import."""
    folder = STATIC / "static" / "js"
    wanted = [path.name for element in ELEMENTS for path in folder.glob(f"{element}.*.js")]
    reached: dict[str, None] = {}
    while wanted:
        name = wanted.pop()
        if name not in reached:
            reached[name] = None
            wanted += IMPORT.findall((folder / name).read_text("utf-8"))
    return list(reached)
