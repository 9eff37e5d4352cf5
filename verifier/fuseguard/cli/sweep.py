"""``fuseguard sweep``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from fuseguard.cli import exits, output
from fuseguard.cli.progress import long_progress
from fuseguard.cli.reports import parse_reports
from fuseguard.readers.trust import UntrustedFile
from fuseguard.sweep.fleet import FleetError, run_on
from fuseguard.sweep.items import Item, Outcome, plan
from fuseguard.sweep.manifest import TRUSTING, Manifest, load_manifest
from fuseguard.sweep.running import Limits, run_items
from fuseguard.sweep.store import Store, StoreError, in_order

EPILOG = """\b
Examples:
  fuseguard sweep sweep.toml --dry-run
  fuseguard sweep sweep.toml --trust -j 2
  fuseguard sweep sweep.toml --trust --report html=a.html --report json=a.json
  fuseguard sweep sweep.toml --trust --retry --release 1.5.1
  fuseguard sweep sweep.toml --trust --scheduler tcp://host:8786

Exit codes: 0 no item is worse; 1 findings, or a lowering that cannot be trusted;
2 a manifest or store that cannot be used, or an item that broke (failed, died, too
slow, out of memory, no environment); 3 a model could not be read, or --trust is
missing; 4 a repair that does not end. If several apply, it is the largest."""

_EVERY = 0.5  # seconds between two transactions
_MOST = 500  # results in one


@click.command("sweep", epilog=EPILOG, short_help="Check, prove and repair many models for many releases.")
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="List the items and whether they are done. Run nothing.")
@click.option(
    "--jobs", "-j", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Run this many items at once, each in a process of its own.",
)  # fmt: skip
@click.option(
    "--store", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="SQLite file for the results. Default: that of the manifest, or sweep.sqlite beside it.",
)  # fmt: skip
@click.option(
    "--scheduler", metavar="ADDRESS",
    help="Run the items on the workers of this Dask scheduler, as in tcp://host:8786; needs the extra 'fleet'.",
)  # fmt: skip
@click.option("--retry", is_flag=True, help="Also run those items again that broke in an earlier run.")
@click.option(
    "--release", "releases", multiple=True, metavar="VERSION",
    help="Use this ExecuTorch release instead of those of the manifest; repeat for more.",
)  # fmt: skip
@click.option(
    "--since", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json",
    help="Say what changed since this summary, which an earlier --report json=FILE.json wrote.",
)  # fmt: skip
@click.option("--trust", is_flag=True, help="The models are trusted: prove and repair run code from them.")
@click.option(
    "--report", "report", multiple=True, metavar="FORMAT=PATH",
    help="Write a summary of all items to a file: html, json or markdown; repeat for more.",
)  # fmt: skip
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    manifest: Path,
    dry_run: bool,
    jobs: int,
    store: Path | None,
    scheduler: str | None,
    retry: bool,
    releases: tuple[str, ...],
    since: Path | None,
    trust: bool,
    report: tuple[str, ...],
    color: str,
) -> None:
    """Check, prove and repair many models for many releases and targets.

    MANIFEST is a TOML file with the models, targets, releases and the Python of each release. Each result is stored at
    once, and a second run does only what is missing. An item that breaks does not stop the others.

    Read a manifest before you run it, like a script: it names the Pythons that are started.
    """
    read = load_manifest(manifest, releases)
    if not trust and not dry_run and set(read.steps) & set(TRUSTING):
        loading = ", ".join(step for step in read.steps if step in TRUSTING)
        raise UntrustedFile(
            f"{manifest}: refused without --trust. The steps {loading} load the models with torch, and that runs code "
            'from them. Pass --trust, or write steps = ["check"].'
        )
    path = store or read.store
    kept = {output.identity(manifest): "the manifest", output.identity(path): "the store"}
    reports = parse_reports(report, None, kept, formats=("html", "json", "markdown"))
    items = plan(read)
    if dry_run:
        output.write_text("".join(_listed(items, path, retry)))
        ctx.exit(exits.CLEAN)
    try:
        with Store(path) as opened:
            _run(items, opened, read, jobs, retry, scheduler)
            found = in_order(items, opened.outcomes(items))
    except (StoreError, FleetError) as error:
        raise exits.Failure(str(error)) from error
    from fuseguard.sweep import summary

    code = summary.exit_code(found)
    try:
        changed = None if since is None else summary.changes(found, since)
    except summary.SummaryError as error:
        raise exits.Refused(f"--since {error}") from error
    renderers = {"html": summary.html, "json": summary.json, "markdown": summary.markdown}
    for item in reports:
        output.write_file(item.path, renderers[item.format](found, str(manifest), code, changed))
    output.write_lines(summary.lines(found, changed), color)
    ctx.exit(code)


def _listed(items: Sequence[Item], path: Path, retry: bool) -> Iterator[str]:
    done: set[str] = set()
    if path.exists():
        try:
            with Store(path) as store:
                done = store.finished(items, retry=retry)
        except StoreError as error:
            raise exits.Failure(str(error)) from error
    for item in items:
        yield exits.clean_lines(f"{'done' if item.key in done else 'todo'}  {item.command}\n")
    yield f"{len(items)} items, {len(done)} of them done\n"


def _run(
    items: Sequence[Item], store: Store, manifest: Manifest, jobs: int, retry: bool, scheduler: str | None
) -> None:
    """Do what is missing. What was done is stored when this is left, by an interrupt too."""
    done = store.finished(items, retry=retry)
    missing = [item for item in items if item.key not in done]
    if done:
        exits.tell(f"{len(done)} of {len(items)} items are in the store; {len(missing)} are missing.")
    limits = Limits(manifest.seconds, manifest.memory_mib)
    with long_progress("sweep", len(missing)) as step:
        if scheduler is None:
            found = run_items(missing, manifest.folder, limits, jobs)
        else:
            found = run_on(scheduler, missing, manifest.folder, limits)
        # Closed at once if the store fails. Python 3.13 would only do so at the end of the process, and then wait
        # forever for threads that no longer run.
        with contextlib.closing(found):
            for results in _batches(found):
                store.put(results)
                for item, _ in results:
                    step(item.label)


def _batches(results: Iterable[tuple[Item, Outcome]]) -> Iterator[list[tuple[Item, Outcome]]]:
    """Results that came within half a second, together. An interrupt hands over what is there, and goes on."""
    batch: list[tuple[Item, Outcome]] = []
    since = time.monotonic()
    try:
        for result in results:
            batch.append(result)
            if len(batch) >= _MOST or time.monotonic() - since >= _EVERY:
                ready, batch, since = batch, [], time.monotonic()
                yield ready
    except KeyboardInterrupt:
        yield batch
        raise
    yield batch
