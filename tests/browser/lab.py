"""A browser and a JupyterLab as context managers, without the user's own settings."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from miga_lib.viewer import SkeletonViewer

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
VIEWER = ".miga-viewer"
NEWS = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"


def lacking() -> str:
    """Why no browser can be used here; empty if one can."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "the package playwright is not installed (pip install playwright)"
    return "" if shutil.which("chromium") else "Chromium is not installed (Debian: apt-get install chromium)"


@contextmanager
def browser(width: int = 1000, height: int = 900, flags: tuple[str, ...] = (), scale: float = 1) -> Iterator:
    """A Chromium with a fresh profile, as playwright's context of it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=shutil.which("chromium"),
            args=[*FLAGS, *flags],
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
        )
        try:
            yield context
        finally:
            context.close()


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """A JupyterLab that serves a folder on a free port of this machine: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = folder / ".jupyter"
    settings = own / "settings" / NEWS
    settings.parent.mkdir(parents=True)
    settings.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    names = ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "JUPYTERLAB_WORKSPACES")
    homes = {f"{name}_DIR": str(own / name.partition("_")[2].lower()) for name in names}
    homes |= {"IPYTHONDIR": str(own / "ipython"), "JUPYTERLAB_SETTINGS_DIR": str(own / "settings")}
    environment = os.environ | homes | {"JUPYTER_PLATFORM_DIRS": "0"}
    options = f"""--ServerApp.root_dir={folder} --ServerApp.ip=127.0.0.1 --ServerApp.port={port}
        --ServerApp.port_retries=0 --IdentityProvider.token= --ServerApp.password=
        --ServerApp.allow_root=True --LabApp.expose_app_in_browser=True""".split()
    with (folder / "jupyterlab.log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", *options]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/api", server, folder / "jupyterlab.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells, without outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


def run_notebook(page, address: str, name: str, viewers: int = 1, view: str = "doc"):
    """Open a notebook, run all of its cells, and return the viewers that appear."""
    open_notebook(page, address, name, view)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(f"document.querySelectorAll('{VIEWER}').length >= {viewers}", timeout=120_000)
    return page.locator(VIEWER)


def open_notebook(page, address: str, name: str, view: str = "doc") -> None:
    """Open a notebook in JupyterLab: as the only document (``doc``), or beside the file browser (``lab``)."""
    page.goto(f"{address}/{view}/tree/{name}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=60_000,
    )


def call(page, function: str, *arguments):
    """What a JavaScript function gives, whose first argument is the module of the viewer."""
    script = """async ([source, ...values]) => {
        const file = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
        return (FUNCTION)(await import(file), ...values);
    }"""
    source = str(SkeletonViewer._esm)
    return page.evaluate(script.replace("FUNCTION", function), [source, *arguments])
