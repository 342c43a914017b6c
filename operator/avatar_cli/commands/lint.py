"""`avatar lint`: checks manifests before a cluster does."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avatar_core.errors import REASONS, AvatarError, Reason
from avatar_core.limits import MANIFEST_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avatar_cli.linting import Checked, Finding, Report


@click.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, allow_dash=True)
)
@click.option("--server", is_flag=True, help="Also ask the cluster, by a dry run that changes nothing.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="As kubectl's.")
@click.option("--context", help="As kubectl's.")
@click.option(
    "-n", "--namespace", help="Of manifests that name none, for --server.  [default: the context's]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[str, ...],
    server: bool,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    as_json: bool,
) -> None:
    """Check the AvatarSessions, Avatars and AvatarProviders in each FILE.

    "-" is standard input; of a folder its YAML files are read. The same models, limits and rules hold as in
    a cluster, and nothing is sent anywhere without --server. Documents of other kinds are passed over. Exit
    code 0 when nothing is wrong, else 2.

    \b
    Examples:
      avatar lint examples/hello.yaml
      avatar lint --server -n demo examples/
      kubectl get avs -o yaml hello | avatar lint -
    """
    from avatar_cli.linting import lint

    reports = {_called(name): lint(_read(name), _called(name)) for name in _all_of(files)}
    findings = [finding for report in reports.values() for finding in report.findings]
    if server:
        good = [checked for report in reports.values() for checked in report.good]
        findings += _ask_server(good, kubeconfig, context, namespace)
    _tell(reports, findings, as_json=as_json)
    ctx.exit(REASONS[Reason.INVALID_SPEC].exit_code if findings else 0)


def _all_of(files: Sequence[str]) -> list[str]:
    """Each file, and the YAML files directly in each folder."""
    found: list[str] = []
    for name in files:
        path = Path(name)
        if not path.is_dir():
            found.append(name)
        elif inside := sorted(str(one) for one in path.iterdir() if one.suffix in (".yaml", ".yml")):
            found += inside
        else:
            raise click.BadParameter(f"{name} holds no .yaml file", param_hint="FILE")
    return list(dict.fromkeys(found))


def _read(name: str) -> bytes:
    """What is in a file; of one that is too large only as much as it takes to see that."""
    if name == "-":
        return sys.stdin.buffer.read(MANIFEST_BYTES_MAX + 1)
    with Path(name).open("rb") as file:
        return file.read(MANIFEST_BYTES_MAX + 1)


def _called(name: str) -> str:
    return "stdin" if name == "-" else name


def _ask_server(
    good: Sequence[Checked], kubeconfig: Path | None, context: str | None, namespace: str | None
) -> list[Finding]:
    try:
        from avatar_cli.dry_run import connect, dry_run
    except ImportError:
        message = "--server needs the Kubernetes client: pip install 'avatar-operator[operator]'"
        raise AvatarError(Reason.MISSING_DEPENDENCY, message) from None
    return list(dry_run(connect(kubeconfig, context, namespace), good))


def _tell(reports: dict[str, Report], findings: Sequence[Finding], *, as_json: bool) -> None:
    for finding in findings:
        click.echo(_as_json(finding) if as_json else _as_text(finding))
    if as_json:
        return
    wrong = {finding.source for finding in findings}
    for name, report in reports.items():
        if name not in wrong:
            number = len(report.good)
            passed = f", {len(report.foreign)} of others passed over" if report.foreign else ""
            click.echo(f"{name}: {number} {'resource is' if number == 1 else 'resources are'} fine{passed}")


def _as_json(finding: Finding) -> str:
    return json.dumps({"event": "finding", **asdict(finding)}, ensure_ascii=False)


def _as_text(finding: Finding) -> str:
    """One line, whatever a manifest or a server says."""
    from avatar_core.mistakes import printable

    message = printable(finding.message)
    if finding.line is None:
        return message
    place = f"{finding.source}:{finding.line}"
    return f"{place}: {finding.field}: {message}" if finding.field else f"{place}: {message}"
