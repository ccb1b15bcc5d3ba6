"""One scalar a call, beside tensorboardX: what a training loop pays. Clew's is kept through ``kill -9`` once the call has returned."""

import os
import tempfile
import time

from side_by_side import compare, header

CALLS = 50_000


def main() -> None:
    import tensorboardX

    import clew

    header(f"A logged scalar, {CALLS:,} calls", "clew-ml", "tensorboardX")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLEW_HOME"] = folder

        def ours() -> float:
            with clew.run("bench", capture=False) as run:
                began = time.perf_counter()
                for step in range(CALLS):
                    run.log(loss=0.5, step=step)
                return (time.perf_counter() - began) / CALLS

        def theirs() -> float:
            writer = tensorboardX.SummaryWriter(os.path.join(folder, "tensorboard"))
            began = time.perf_counter()
            for step in range(CALLS):
                writer.add_scalar("loss", 0.5, step)
            took = (time.perf_counter() - began) / CALLS
            writer.close()
            return took

        compare(ours, theirs, peer_name="tensorboardX", unit="µs a call", scale=1e6)
        print("  the limit: 28 bytes into a mapped page; a call of Python with one keyword costs about 0.1 µs of it")


if __name__ == "__main__":
    main()
