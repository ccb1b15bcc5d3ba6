"""Every executor passes the shipped suite."""

from collections.abc import Iterator

import pytest

from clew.pipelines.executors import Executor
from clew.pipelines.executors.in_process import InProcessExecutor
from clew.pipelines.executors.processes import ProcessExecutor
from clew.testing.executors import ExecutorConformance


class TestInProcess(ExecutorConformance):
    in_this_process = True

    @pytest.fixture
    def executor(self) -> Executor:
        return InProcessExecutor()


class TestProcesses(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        executor = ProcessExecutor(2)
        yield executor
        executor.close()


@pytest.mark.filterwarnings("ignore")  # Ray's own start-up warns of resources and futures; what it gives back is what counts here
class TestRay(ExecutorConformance):
    @pytest.fixture(scope="class")
    def shared(self) -> Iterator[Executor]:
        from clew.pipelines.executors.ray import RayExecutor

        executor = RayExecutor(2)
        yield executor
        executor.close()

    @pytest.fixture
    def executor(self, shared: Executor) -> Executor:
        return shared
