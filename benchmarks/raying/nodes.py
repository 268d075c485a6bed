"""Nodes: two of Ray on this machine, where the steps are that they run, and the end of one of them."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from director_diffusion.errors import DirectorError


class Nodes:
    """Two Ray nodes of this machine with a logical GPU each."""

    def __init__(self, folder: Path, environment: Mapping[str, str]):
        from ray.cluster_utils import Cluster
        from ray.job_submission import JobSubmissionClient

        os.environ |= environment  # of all processes of the cluster
        node = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": 100 * 2**20}
        head = node | {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": 8265}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.second = self.cluster.add_node(**node)
        self.address = f"http://{self.cluster.webui_url}"
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address
        deadline = time.monotonic() + 120
        while True:
            try:
                self.client = JobSubmissionClient(self.address)
                break
            except ConnectionError:
                assert time.monotonic() < deadline, "Ray's job server does not answer"
                time.sleep(1)

    def places(self, step: str) -> list[tuple[str, str]]:
        """Run and node of the jobs of a step that are at work."""
        return [
            (job.metadata["dagster/run-id"], job.driver_node_id)
            for job in self.client.list_jobs()
            if job.status == "RUNNING" and (job.metadata or {}).get("dagster/op") == step
        ]

    def gpus_shown(self) -> list[int]:
        """How many GPUs the process of each training step may use."""
        shown = []
        for node in (self.cluster.head_node, self.second):
            raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
            for process in raylet.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if process.cmdline()[-2:] == ["api", "execute_step"]:
                        shown.append(len([one for one in process.environ()["CUDA_VISIBLE_DEVICES"].split(",") if one]))
        return shown

    def kill_second(self) -> int:
        """End all processes of the second node at once, as a loss of power does.  Returns how many there were."""
        raylet = psutil.Process(self.second.all_processes["raylet"][0].process.pid)
        processes = [raylet, *raylet.children(recursive=True)]
        for process in processes:
            process.suspend()  # so that none sees another's end
        for process in processes:
            process.kill()
        return len(processes)


class TogetherError(DirectorError):
    """Trainings that are not on a node each: there is none to be killed."""

    def __init__(self, nodes: int, words: str):
        super().__init__("two trainings", words, "Run it again, with more --steps where one of them had ended.")
        self.nodes = nodes


def on_each(at: Sequence[tuple[str, str]], first: str, second: str) -> tuple[str, str]:
    """The director on the second node, which is to be killed, and the one on the first, of those at work and where.

    Raises TogetherError.
    """
    there = {node: [director for director, place in at if place == node] for node in (first, second)}
    if len(at) != len(there) or any(len(directors) != 1 for directors in there.values()):
        words = "; ".join(
            f"on the {name} node {' and '.join(there[node]) or 'none'}"
            for name, node in (("first", first), ("second", second))
        )
        raise TogetherError(len({node for _, node in at}), f"are not on a node each: {words}")
    return there[second][0], there[first][0]
