"""What the chart makes of values: configurations that are read, rights as the files say, bounded pods."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.chart.charts import DIGEST, MATRIX, NAMESPACE, ROLE, TOLERATIONS, Json, find, pods, render
from tests.cluster.operators import CHART, CRDS

from avatar_core.links import KEY_BYTES_MIN
from avatar_gateway.configuration import Configuration as Gateway
from avatar_gateway.configuration import read_configuration as read_gateway
from avatar_inference.server import LIVENESS
from avatar_operator.cleanup_jobs import build_cleanup
from avatar_operator.configuration import Configuration as Operator
from avatar_operator.configuration import read_configuration as read_operator

OURS = "avatar-operator"


@pytest.fixture(scope="module", params=MATRIX)
def objects(request: pytest.FixtureRequest) -> list[Json]:
    return render(MATRIX[request.param])


def configuration(objects: list[Json], part: str, folder: Path) -> Path:
    texts = [
        each["data"][f"{part}.yaml"]
        for each in objects
        if each["kind"] == "ConfigMap" and f"{part}.yaml" in each["data"]
    ]
    (text,) = texts
    file = folder / f"{part}.yaml"
    file.write_text(text)
    return file


def operator_of(values: Json, folder: Path) -> Operator:
    return read_operator(configuration(render(values), "operator", folder))


def gateway_of(values: Json, folder: Path) -> Gateway:
    return read_gateway(configuration(render(values), "gateway", folder))


def test_the_operator_reads_its_configuration(objects: list[Json], tmp_path: Path) -> None:
    read = read_operator(configuration(objects, "operator", tmp_path))
    key = tmp_path / "key"
    key.write_bytes(b"k" * KEY_BYTES_MIN)
    links = read.links.model_copy(update={"key_file": key})
    read = read.model_copy(update={"links": links})
    assert read.settings(read.link_key()).service_account == "default"
    assert read.sessions.inference_address.endswith(f"-inference.{NAMESPACE}.svc:50051")


def test_the_gateway_reads_its_configuration(objects: list[Json], tmp_path: Path) -> None:
    read = read_gateway(configuration(objects, "gateway", tmp_path))
    accounts = {each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"}
    assert {each.split(":")[1] for each in read.readers} <= accounts


def test_values_reach_the_configurations(tmp_path: Path) -> None:
    operator = operator_of(MATRIX["all elsewhere"], tmp_path)
    assert operator.sessions.image == f"registry.example/a@{DIGEST}"
    assert operator.sessions.node_selector == {"pool": "one"}
    assert operator.sessions.pull_secrets == ("pulling",)
    assert operator.sessions.gateway_url == "http://faces-gateway.avatars.svc:8082"
    assert operator_of(MATRIX["one namespace"], tmp_path).namespaces == ("team",)


def test_values_reach_the_gateway(tmp_path: Path) -> None:
    gateway = gateway_of({**MATRIX["s3"], **MATRIX["rotated key"]}, tmp_path)
    assert gateway.store == "s3://videos/avatars"
    assert [key["id"] for key in gateway.model_dump()["links"]["keys"]] == ["2", "1"]


def test_traces_go_where_the_values_say(tmp_path: Path) -> None:
    rendered = render(MATRIX["traced"])
    telemetry = read_operator(configuration(rendered, "operator", tmp_path)).telemetry
    assert (telemetry.endpoint, telemetry.headers_secret) == ("http://collector:4318", "otlp")
    for part in ("inference", "gateway"):
        pod = find(rendered, "Deployment", f"{OURS}-{part}")["spec"]["template"]["spec"]
        told = {each["name"]: each for each in pod["containers"][0]["env"]}
        assert told["OTEL_EXPORTER_OTLP_ENDPOINT"]["value"] == "http://collector:4318", part
        key = told["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]
        assert key == {"name": "otlp", "key": "headers"}, part
    assert "OTEL" not in str(render())


def test_values_of_an_earlier_version_will_do(tmp_path: Path) -> None:
    """`helm upgrade --reuse-values` keeps them, without what the new version has besides."""
    rendered = render({"telemetry": None})
    assert not read_operator(configuration(rendered, "operator", tmp_path)).telemetry.endpoint


def test_clean_up_is_where_the_volume_is(tmp_path: Path) -> None:
    assert operator_of({}, tmp_path).cleanup.placement["affinity"]
    assert not operator_of(MATRIX["own claim of many"], tmp_path).cleanup.placement
    assert not operator_of(MATRIX["s3"], tmp_path).cleanup_settings.placement


@pytest.mark.parametrize("release", [OURS, "mine"])
def test_rights_are_those_of_the_files(release: str) -> None:
    fullname = OURS if release == OURS else f"mine-{OURS}"
    rendered = render(release=release)
    for file in sorted((CHART / "files/rbac").glob("*.yaml")):
        for role in yaml.safe_load_all(file.read_text()):
            name = fullname + role["metadata"]["name"].removeprefix(OURS).removeprefix("avatar")
            rules = yaml.safe_load(
                yaml.safe_dump(role["rules"]).replace(f"\n  - {OURS}\n", f"\n  - {fullname}\n")
            )
            assert find(rendered, "ClusterRole", name)["rules"] == rules


def test_definitions_are_those_of_the_files_and_stay() -> None:
    rendered = render()
    for file in sorted(CRDS.iterdir()):
        definition = yaml.safe_load(file.read_text())
        found = find(rendered, "CustomResourceDefinition", definition["metadata"]["name"])
        assert found["metadata"].pop("annotations")["helm.sh/resource-policy"] == "keep"
        assert found == definition
    given_up = render({"crds": {"keep": False}})
    assert "annotations" not in find(given_up, "CustomResourceDefinition", "avatars.avatars.dev")["metadata"]


def test_every_reference_leads_somewhere(objects: list[Json]) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for name, pod in pods(objects):
        assert ("ServiceAccount", pod["serviceAccountName"]) in there, name
        mounted = {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}, name
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there, name


def test_pods_are_bounded_and_say_whether_they_ask_the_api_server(objects: list[Json]) -> None:
    for name, pod in pods(objects):
        assert "automountServiceAccountToken" in pod, name
        for each in [*pod["containers"], *pod.get("initContainers", ())]:
            assert "memory" in each["resources"]["limits"], name
            assert "cpu" in each["resources"]["requests"], name
            assert each["securityContext"]["readOnlyRootFilesystem"] is True, name
        for volume in pod["volumes"]:
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), name


def test_a_gpu_is_asked_for_only_by_the_engine_that_wants_one() -> None:
    pod = find(render(MATRIX["musetalk"]), "Deployment", f"{OURS}-inference")["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert server["image"] == "localhost/avatar-inference-cuda:dev"
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["initContainers"][0]["command"][:3] == ["avatar", "weights", "fetch"]
    plain = find(render(), "Deployment", f"{OURS}-inference")["spec"]["template"]["spec"]
    assert "nvidia.com/gpu" not in plain["containers"][0]["resources"]["limits"]
    assert plain["containers"][0]["image"] == "localhost/avatar-inference:dev"


def test_what_is_said_of_all_pods_reaches_every_one(tmp_path: Path) -> None:
    rendered = render(MATRIX["all elsewhere"])
    found = dict(pods(rendered))
    assert len(found) == 7
    for name, pod in found.items():
        assert pod["imagePullSecrets"] == [{"name": "pulling"}], name
        assert pod["priorityClassName"] == "system-cluster-critical", name
        assert pod["nodeSelector"] == {"pool": "one"}, name
        assert pod["tolerations"] == TOLERATIONS, name
    read = operator_of(MATRIX["all elsewhere"], tmp_path)
    assert read.sessions.priority_class == "system-cluster-critical"
    assert read.sessions.env == ({"name": "LOG", "value": "1"},)
    cleanup = build_cleanup("c", [], read.cleanup_settings)["spec"]["template"]["spec"]
    assert cleanup["imagePullSecrets"] == [{"name": "pulling"}]
    assert cleanup["priorityClassName"] == "system-cluster-critical"
    assert cleanup["containers"][0]["imagePullPolicy"] == "Always"


def test_a_cloud_knows_those_who_hold_the_store_and_nobody_else() -> None:
    accounts = [each for each in render(MATRIX["s3"]) if each["kind"] == "ServiceAccount"]
    known = {each["metadata"]["name"] for each in accounts if each["metadata"].get("annotations") == ROLE}
    assert known == {f"{OURS}-gateway", f"{OURS}-cleanup", f"{OURS}-sweeper"}


def test_more_environment_reaches_every_container() -> None:
    rendered = render({**MATRIX["all elsewhere"], "engine": "musetalk"})
    for part in ("", "-gateway", "-inference"):
        pod = find(rendered, "Deployment", f"faces{part}")["spec"]["template"]["spec"]
        for each in [*pod["containers"], *pod.get("initContainers", ())]:
            assert {"name": "LOG", "value": "1"} in each["env"], each["name"]


@pytest.mark.parametrize(
    ("engine", "limit"),
    [("preview", {"memory": "4Gi"}), ("musetalk", {"memory": "16Gi", "nvidia.com/gpu": 1})],
)
def test_an_engine_gets_what_it_needs_unless_told_otherwise(engine: str, limit: Json) -> None:
    def resources(**said: Json) -> Json:
        rendered = render({"engine": engine, "inference": {"resources": said}})
        pod = find(rendered, "Deployment", f"{OURS}-inference")["spec"]["template"]["spec"]
        return dict(pod["containers"][0]["resources"])

    plain = resources()
    assert plain["limits"] == limit
    other = resources(limits={"memory": "32Gi"}, requests={"cpu": 8})
    assert other["limits"] == {**limit, "memory": "32Gi"}
    assert other["requests"] == {**plain["requests"], "cpu": 8}


def test_a_server_ends_after_its_drain() -> None:
    pod = find(render(), "Deployment", f"{OURS}-inference")["spec"]["template"]["spec"]
    (drain,) = [each for each in pod["containers"][0]["command"] if each.startswith("--drain-seconds=")]
    assert pod["terminationGracePeriodSeconds"] > int(drain.split("=")[1])


def test_a_busy_or_draining_server_is_not_restarted() -> None:
    pod = find(render(), "Deployment", f"{OURS}-inference")["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert server["livenessProbe"]["grpc"]["service"] == LIVENESS
    assert "service" not in server["readinessProbe"]["grpc"]


def test_another_configuration_restarts_pods() -> None:
    def stamp(values: Json) -> str:
        template = find(render(values), "Deployment", OURS)["spec"]["template"]
        return str(template["metadata"]["annotations"]["avatars.dev/configuration"])

    assert stamp({}) == stamp({})
    assert stamp({}) != stamp({"operator": {"sessionsInCluster": 7}})
