"""What they run with: one pod, one Service each, in a namespace of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]

AUTH = Path(__file__).with_name("chat_auth.py")
NAMESPACE = "peers"
IMAGE = "localhost/avatar-test-peers:dev"
S3_IMAGE = "localhost/versitygw:1"
KEY = "sk-of-the-tests-and-nobody-else"
REPLY = "Hello! I am glad you asked. **Dr. Smith** paid 3.50 dollars for it. That is all."
BUCKET = "videos"
S3_KEYS = {"AWS_ACCESS_KEY_ID": "test-access", "AWS_SECRET_ACCESS_KEY": "test-secret"}
HANG_SECONDS = 600
CHAT_PORT, VOICE_PORT, S3_PORT = 4000, 9666, 7070


def chat() -> list[Json]:
    """LiteLLM, whose models answer, answer late, refuse for their rate, and fail."""
    answers: dict[str, Json] = {
        "good": {"mock_response": REPLY},
        "slow": {"mock_response": REPLY, "mock_delay": HANG_SECONDS},
        "limited": {"mock_response": "litellm.RateLimitError"},
    }
    models = [
        {"model_name": name, "litellm_params": {"model": "openai/any", "api_key": "x", **answer}}
        for name, answer in answers.items()
    ]
    config = {
        "model_list": models,
        "router_settings": {"num_retries": 0},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "general_settings": {"custom_auth": "chat_auth.user_api_key_auth"},
    }
    mounted = {"name": "config", "configMap": {"name": "chat"}}
    command = ["litellm", "--config", "/etc/chat/config.yaml", "--host", "0.0.0.0", "--port", str(CHAT_PORT)]
    key = {"secretKeyRef": {"name": "chat", "key": "key"}}
    return [
        _object("v1", "Secret", "chat", stringData={"key": KEY}),
        _object(
            "v1",
            "ConfigMap",
            "chat",
            data={"config.yaml": json.dumps(config), "chat_auth.py": AUTH.read_text()},
        ),
        *_server(
            "chat",
            IMAGE,
            command,
            CHAT_PORT,
            env=[{"name": name, "valueFrom": key} for name in ("CHAT_KEY", "LITELLM_MASTER_KEY")],
            mounts={"/etc/chat": mounted},
        ),
    ]


def voice() -> list[Json]:
    """A speech server, and espeak-ng behind it."""
    command = [
        "ovos-tts-server",
        "--engine",
        "voice-for-tests",
        "--host",
        "0.0.0.0",
        "--port",
        str(VOICE_PORT),
    ]
    return _server("voice", IMAGE, command, VOICE_PORT)


def s3() -> list[Json]:
    """An S3 server with one bucket, on a volume."""
    command = ["/versitygw", "--port", f":{S3_PORT}", "--quiet", "posix", "/data"]
    keys = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "s3", "key": key}}}
        for name, key in (
            ("ROOT_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            ("ROOT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        )
    ]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    bucket = {"name": "bucket", "persistentVolumeClaim": {"claimName": "s3"}}
    return [
        _object("v1", "Secret", "s3", stringData=S3_KEYS),
        _object("v1", "PersistentVolumeClaim", "s3", spec=claim),
        *_server(
            "s3",
            S3_IMAGE,
            command,
            S3_PORT,
            env=keys,
            mounts={"/data": bucket},
            first=["/toolbox", "mkdir", f"/data/{BUCKET}"],
        ),
    ]


def _server(
    name: str,
    image: str,
    command: Sequence[str],
    port: int,
    env: Sequence[Json] = (),
    mounts: dict[str, Json] | None = None,
    first: Sequence[str] = (),
) -> list[Json]:
    volumes = {"/tmp": {"name": "tmp", "emptyDir": {}}, **(mounts or {})}
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": list(env),
        "ports": [{"containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "volumeMounts": [{"name": volume["name"], "mountPath": path} for path, volume in volumes.items()],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    before = {**container, "name": "before", "command": list(first)}
    del before["readinessProbe"]
    pod = {
        "automountServiceAccountToken": False,
        "initContainers": [before] if first else [],
        "securityContext": security,
        "containers": [container],
        "volumes": list(volumes.values()),
        "terminationGracePeriodSeconds": 1,
    }
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"port": port}]}
    return [
        _object("apps/v1", "Deployment", name, spec=spec),
        _object("v1", "Service", name, spec=service),
    ]


def _object(version: str, kind: str, name: str, **parts: Any) -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **parts}
