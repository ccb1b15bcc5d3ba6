"""One served row over HTTP, one connection, beside FastAPI with the same ONNX model. Clew's answer is in the prediction log before it leaves."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import compare, header

FEATURES, REQUESTS = 20, 2_000

PEER = """
import sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI

session = onnxruntime.InferenceSession(sys.argv[1])
names = sys.argv[3].split(",")
app = FastAPI()


@app.post("/predict")
def predict(body: dict) -> dict:
    rows = np.array([[row[name] for name in names] for row in body["rows"]], dtype=np.float32)
    return {"predictions": session.run(None, {"X": rows})[1][:, 1].tolist()}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    header(f"A served row, {FEATURES} features, {REQUESTS:,} requests one after the other", "clew-ml", "fastapi", "uvicorn", "onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLEW_HOME"] = folder
        names = [f"x{number}" for number in range(FEATURES)]
        onnx = register(names)
        ours, peer = free_port(), free_port()
        processes = [
            subprocess.Popen([sys.executable, "-m", "clew.cli", "serve", "bench@1", "--port", str(ours)], stderr=subprocess.DEVNULL),
            subprocess.Popen([sys.executable, "-c", PEER, str(onnx), str(peer), ",".join(names)]),
        ]
        try:
            row = dict.fromkeys(names, 0.5)
            clew_url, peer_url = f"http://127.0.0.1:{ours}/endpoints/bench/predict", f"http://127.0.0.1:{peer}/predict"
            for url in (clew_url, peer_url):
                wait_until_it_answers(url, row)
            compare(lambda: ask(clew_url, row), lambda: ask(peer_url, row), peer_name="FastAPI", unit="µs a request", scale=1e6)
        finally:
            for process in processes:
                process.terminate()
                process.wait(20)


def register(names: list[str]) -> Path:
    """A boosted model on random rows, registered; the path of its ONNX file."""
    import numpy as np
    import polars as pl
    from sklearn.ensemble import HistGradientBoostingClassifier

    import clew
    from clew.backend import current
    from clew.registry.service import model_version

    rng = np.random.default_rng(0)
    rows = pl.DataFrame(rng.normal(size=(5_000, FEATURES)).astype(np.float32), schema=names)
    fitted = HistGradientBoostingClassifier(random_state=0).fit(rows, rows["x0"].to_numpy() > 0)
    with clew.run("bench", capture=False) as run:
        run.register("bench", fitted, example=rows)
    return current().download(current().call(model_version, "bench", 1).details.onnx)


def ask(url: str, row: dict[str, float]) -> float:
    import httpx

    content = json.dumps({"rows": [row]})
    with httpx.Client(headers={"content-type": "application/json"}) as client:
        client.post(url, content=content).raise_for_status()
        began = time.perf_counter()
        for _ in range(REQUESTS):
            client.post(url, content=content)
        return (time.perf_counter() - began) / REQUESTS


def wait_until_it_answers(url: str, row: dict[str, float]) -> None:
    import httpx

    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if httpx.post(url, json={"rows": [row]}).is_success:
                return
        except httpx.TransportError:
            pass  # it has not bound its port yet
        time.sleep(0.1)
    raise SystemExit(f"{url} did not answer within a minute")


if __name__ == "__main__":
    main()
