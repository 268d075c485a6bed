"""Executors: the deployment chooses, a stage says once what it needs, and each executor is told so in its own words."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import reconstructable
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.executor.init import InitExecutorContext
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from director_diffusion.errors import SpecError
from pipelines.build import build_definitions
from pipelines.surroundings import CHECKOUT, Surroundings, read_surroundings
from pipelines.sweep import sweep_dead_runs
from resources.interrupts import begun_again_where_machines_go
from resources.needs import GPU
from resources.process_tags import PID, process_tags
from tests.deploy.dockerfile import stages
from tests.pipelines.lost_steps import FOLDER, ended, steps
from tests.small_configs import CONFIGS, change, surroundings_of

ADAPTER, CAPTIONS, STILLS = ("mini_lora__adapter", "captions", "stills")


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """The shipped ones with links to what nobody edits here."""
    configs = tmp_path / "configs"
    for folder in CONFIGS.iterdir():
        (configs / folder.name).mkdir(parents=True)
        for file in folder.iterdir():
            if folder.name == "deployments":
                (configs / folder.name / file.name).write_bytes(file.read_bytes())
            else:
                (configs / folder.name / file.name).symlink_to(file)
    return configs


def at(configs: Path, deployment: str, **values: object) -> Surroundings:
    """The shipped deployment with other values, read."""
    if values:
        change(configs, f"deployments/{deployment}", **values)
    return read_surroundings(surroundings_of(configs.parent, DIRECTOR_PROJECT="demo", DIRECTOR_DEPLOYMENT=deployment))


def tags_of(definitions: dg.Definitions) -> dict[str, Mapping[str, str]]:
    graph = definitions.resolve_asset_graph()
    return {asset.op.name: asset.op.tags for asset in graph.assets_defs if asset.is_executable}


def test_the_shipped_deployments_choose_their_executors(configs: Path) -> None:
    names = {}
    for deployment in ("local", "gpu", "ray", "kubernetes"):
        definitions = build_definitions(at(configs, deployment))
        names[deployment] = definitions.resolve_job_def("make_mini_lora").executor_def.name
    assert names == {"local": "in_process", "gpu": "multiprocess", "ray": "ray", "kubernetes": "kubernetes"}


def test_an_executor_changes_no_key(configs: Path) -> None:
    def versions(deployment: str) -> dict[str, str | None]:
        graph = build_definitions(at(configs, deployment)).resolve_asset_graph()
        return {key.to_user_string(): graph.get(key).code_version for key in graph.get_all_asset_keys()}

    assert versions("local") == versions("kubernetes")


@pytest.mark.parametrize(("deployment", "module"), [("ray", "dagster_ray"), ("kubernetes", "dagster_k8s")])
def test_a_library_that_is_not_installed_is_named_with_the_way_out(
    configs: Path, monkeypatch: pytest.MonkeyPatch, deployment: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SpecError, match=rf"{module} is not installed. Install director-diffusion with \["):
        build_definitions(at(configs, deployment))
    build_definitions(at(configs, "local"))


def test_settings_of_a_cluster_that_is_not_used_are_an_error(configs: Path) -> None:
    with pytest.raises(SpecError, match="key ray is only read with executor: ray"):
        at(configs, "local", ray={"cpus": 2})


@pytest.mark.parametrize("cores", ["4Gi", "4k", "-1"])
def test_cores_are_not_counted_as_memory_is(configs: Path, cores: str) -> None:
    with pytest.raises(SpecError, match="gpu_cpus"):
        at(configs, "kubernetes", kubernetes={"gpu_cpus": cores})


def test_on_ray_a_step_takes_the_gpus_that_its_stage_needs(configs: Path) -> None:
    from dagster_ray.configs import RayExecutionConfig

    def asked(**values: object) -> dict[str, tuple[float | None, float | None]]:
        found = tags_of(build_definitions(at(configs, "ray", **values)))
        wanted = {name: RayExecutionConfig.from_tags(found[name]) for name in (STILLS, CAPTIONS, ADAPTER)}
        return {name: (one.num_cpus, one.num_gpus) for name, one in wanted.items()}

    assert asked() == {STILLS: (2, None), CAPTIONS: (2, 1), ADAPTER: (2, 1)}
    assert asked(training_processes=2) == {STILLS: (2, None), CAPTIONS: (2, 1), ADAPTER: (2, 2)}
    assert asked(device="cpu", training_processes=1) == asked(), "Ray's GPUs may be logical ones"
    assert asked(gpus=0) == {STILLS: (2, None), CAPTIONS: (2, None), ADAPTER: (2, None)}


def test_steps_on_ray_are_told_where_they_are_and_no_secret(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.executors.on_ray import GRACE, ray_executor

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    surroundings = at(configs, "ray")
    with dg.instance_for_test() as instance:
        made = ray_executor(surroundings).executor_creation_fn
        assert made is not None
        with pytest.raises(ConnectionError, match="Failed to connect to Ray"):  # it looks who answers there
            made(_context(instance))
    assert surroundings.retold == {
        "DIRECTOR_PROJECT": "demo",
        "DIRECTOR_DEPLOYMENT": "ray",
        "DIRECTOR_CONFIGS": str(configs),
        "DIRECTOR_STORE": str(configs.parent / "store"),
    }
    assert "hf_secret" not in str({**surroundings.retold, **GRACE})


def test_the_kubernetes_job_of_a_step_asks_for_what_its_stage_needs(configs: Path, tmp_path: Path) -> None:
    jobs = kubernetes_jobs(at(configs, "kubernetes"), tmp_path, (STILLS, CAPTIONS, ADAPTER))
    for name in (CAPTIONS, ADAPTER):
        pod = jobs[name]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == "director-diffusion:1"
        assert container["resources"] == {
            "limits": {"nvidia.com/gpu": "1", "memory": "48Gi"},
            "requests": {"cpu": "4", "memory": "48Gi"},
        }
        assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
        assert pod["tolerations"] == [{"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}]
        assert pod["terminationGracePeriodSeconds"] == 120
        env = {one["name"]: one.get("value") for one in container["env"]}
        assert env["DIRECTOR_PROJECT"] == "demo"
        assert env["DIRECTOR_DEPLOYMENT"] == "kubernetes"
        assert env["DIRECTOR_CONFIGS"] == str(configs)
        assert container["envFrom"] == [{"secretRef": {"name": "director-secrets"}}]
    pod = jobs[STILLS]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {
        "limits": {"memory": "8Gi"},
        "requests": {"cpu": "2", "memory": "8Gi"},
    }
    assert "nodeSelector" not in pod
    assert "tolerations" not in pod


def test_a_training_of_two_processes_is_a_pod_with_two_gpus_and_memory_to_share(configs: Path, tmp_path: Path) -> None:
    values = {"gpu_nodes": {"pool": "a100"}, "cpu_nodes": {"pool": "cpu"}, "image": "ours:2", "namespace": "films"}
    surroundings = at(configs, "kubernetes", training_processes=2, kubernetes=values)
    jobs = kubernetes_jobs(surroundings, tmp_path, (STILLS, CAPTIONS, ADAPTER))
    pods = {name: job["spec"]["template"]["spec"] for name, job in jobs.items()}
    assert [pod["containers"][0]["resources"].get("limits") for pod in pods.values()] == [
        None,
        {"nvidia.com/gpu": "1"},
        {"nvidia.com/gpu": "2"},
    ]
    assert {pod["containers"][0]["image"] for pod in pods.values()} == {"ours:2"}
    assert [pod["nodeSelector"]["pool"] for pod in pods.values()] == ["cpu", "a100", "a100"]
    assert pods[ADAPTER]["volumes"][-1] == {"name": "shared-memory", "emptyDir": {"medium": "Memory"}}
    assert pods[ADAPTER]["containers"][0]["volumeMounts"][-1]["mountPath"] == "/dev/shm"


def test_a_run_of_another_launcher_is_told_that_kubernetes_wants_its_own(configs: Path) -> None:
    from pipelines.executors.on_kubernetes import kubernetes_executor

    made = kubernetes_executor(at(configs, "kubernetes")).executor_creation_fn
    assert made is not None
    with dg.instance_for_test() as instance, pytest.raises(SpecError, match="launches its runs by DefaultRunLauncher"):
        made(_context(instance))


def test_a_step_that_is_lost_or_told_to_end_is_tried_again_one_that_failed_is_not_and_the_run_lives_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of a cluster come and go on any machine: were one to say that the run lived in it, its end would be taken
    for the run's."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with dg.instance_for_test() as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
        with dg.execute_job(reconstructable(steps), instance, raise_on_error=False) as result:
            assert not result.success
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.tags[PID] == str(os.getpid())
        assert not instance.event_log_storage.get_concurrency_info("gpu").active_slot_count
    marks = {name: (tmp_path / name).read_text() for name in ("lost", "drained", "broken")}
    assert marks == {"lost": "xx", "drained": "xx", "broken": "x"}


def test_a_run_that_is_terminated_takes_its_steps_along_though_others_would_be_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    overrides = {
        "run_launcher": {"module": "tests.pipelines.lost_steps", "class": "Resuming"},
        "run_monitoring": {"enabled": True, "max_resume_run_attempts": 3},
    }
    with dg.instance_for_test(overrides=overrides) as instance:
        began = time.monotonic()
        with dg.execute_job(reconstructable(ended), instance, raise_on_error=False) as result:
            run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.CANCELED
        deadline = time.monotonic() + 30
        while not (tmp_path / "told").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (tmp_path / "told").read_text() == "x"
        assert time.monotonic() - began < 100


@pytest.mark.parametrize(
    ("executor", "status", "again"),
    [
        ("kubernetes", dg.DagsterRunStatus.STARTED, True),
        ("kubernetes", dg.DagsterRunStatus.CANCELING, False),
        ("multiprocess", dg.DagsterRunStatus.STARTED, False),
    ],
)
def test_a_step_told_to_end_is_asked_for_again_where_its_run_goes_on_without_that_machine(
    executor: str, status: dg.DagsterRunStatus, again: bool
) -> None:
    with dg.instance_for_test() as instance:
        run = dg.DagsterRun(job_name="make", status=status)
        instance.add_run(run)
        job = SimpleNamespace(executor_def=SimpleNamespace(name=executor))
        context: Any = SimpleNamespace(job_def=job, instance=instance, run_id=run.run_id)
        with (
            pytest.raises(dg.RetryRequested if again else DagsterExecutionInterruptedError),
            begun_again_where_machines_go(context),
        ):
            raise DagsterExecutionInterruptedError


def test_a_run_that_a_cluster_launched_is_left_to_those_who_watch_it_there() -> None:
    """Its process may be gone from this machine while its steps go on: Dagster's run monitoring has it taken up."""
    settings = yaml.safe_load((CONFIGS / "dagster" / "ray.yaml").read_text())
    overrides = {"run_launcher": settings["run_launcher"], "run_monitoring": settings["run_monitoring"]}
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("director-diffusion"), "__repository__"), "make"
    )
    with dg.instance_for_test(overrides=overrides) as instance:
        assert instance.run_monitoring_max_resume_run_attempts == 3
        ids = {}
        for name, by in (("launched", origin), ("of a command", None)):
            run = dg.DagsterRun(job_name="make", status=dg.DagsterRunStatus.STARTED, remote_job_origin=by)
            instance.add_run(run)
            instance.add_run_tags(run.run_id, {**process_tags(run.run_id, os.getpid()), PID: str(2**22 + 1)})
            ids[name] = run.run_id
        assert sweep_dead_runs(instance) == [ids["of a command"]]


def test_what_is_deployed_to_kubernetes_goes_with_the_deployment(configs: Path) -> None:
    folder = CHECKOUT / "deploy" / "kubernetes"
    values = yaml.safe_load((folder / "values.yaml").read_text())
    pool = yaml.safe_load((folder / "pool.yaml").read_text())["spec"]["template"]["spec"]["containers"][0]
    (code,) = values["dagster-user-deployments"]["deployments"]
    surroundings = read_surroundings({one["name"]: one["value"] for one in code["env"]})
    deployment = surroundings.deployment
    assert deployment.executor == "kubernetes"
    assert deployment.device == "cuda"
    assert pool["command"][-2:] == [GPU, str(deployment.gpus)]
    assert pool["image"] == f"{code['image']['repository']}:{code['image']['tag']}"
    assert code["includeConfigInLaunchedRuns"] == {"enabled": True}
    user = int(stages((CHECKOUT / "Dockerfile").read_text())[-1].user.partition(":")[0])
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    assert code["podSecurityContext"] == {"fsGroup": user}, "who may write to the volume"
    assert launcher["runK8sConfig"]["podSpecConfig"]["securityContext"] == {"fsGroup": user}
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["maxConcurrentRuns"] == 2 * deployment.gpus + 1


def _context(instance: dg.DagsterInstance) -> InitExecutorContext:
    """What Dagster gives an executor that is to run a job."""
    return InitExecutorContext(InMemoryJob(steps), steps.executor_def, {}, instance)


def kubernetes_jobs(surroundings: Surroundings, folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The Jobs that dagster-k8s makes of some steps, as they are sent to the cluster."""
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job, get_user_defined_k8s_config
    from dagster_k8s.launcher import K8sRunLauncher
    from kubernetes.client import ApiClient

    from pipelines.executors.on_kubernetes import container_context

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "none",
        "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
        "users": [{"name": "none", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    launcher = K8sRunLauncher(
        service_account_name="dagster",
        instance_config_map="dagster-instance",
        dagster_home="/opt/dagster/dagster_home",
        job_image="director-diffusion:1",
        load_incluster_config=False,
        kubeconfig_file=str(folder / "kubeconfig"),
        env_secrets=["director-secrets"],
    )
    found = tags_of(build_definitions(surroundings))
    image = surroundings.deployment.kubernetes.image if surroundings.deployment.kubernetes else None
    run = dg.DagsterRun(job_name="make_mini_lora")
    made = {}
    for name in names:
        context = K8sContainerContext.create_for_run(run, launcher, include_run_tags=False)
        context = context.merge(container_context(surroundings))
        context = context.merge(K8sContainerContext(run_k8s_config=get_user_defined_k8s_config(found[name])))
        job = construct_dagster_k8s_job(
            context.get_k8s_job_config(image, launcher),
            args=["dagster", "api", "execute_step"],
            job_name="dagster-step-1",
            user_defined_k8s_config=context.run_k8s_config,
        )
        made[name] = ApiClient().sanitize_for_serialization(job)
    return made
