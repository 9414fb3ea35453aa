"""CronJobs: a Job by the clock.

Sources: pkg/apis/batch/validation/validation.go, pkg/apis/batch/v1/defaults.go, pkg/registry/batch/cronjob.
"""

from __future__ import annotations

from controlplane.api import meta, names, times
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Cell
from controlplane.api.table.standard import boolean, or_text, plain_bool, text
from controlplane.api.validation import amounts, selector
from controlplane.api.validation import causes as fields
from controlplane.kinds.batch import schedule
from controlplane.kinds.batch.job.kind import spec_warnings
from controlplane.kinds.batch.job.spec import validate_job_spec
from controlplane.kinds.core import workload
from controlplane.kinds.core.pod.warnings import is_new_spec, name_warning

CRON_JOBS = Resource(
    "batch",
    "v1",
    "CronJob",
    "cronjobs",
    short_names=("cj",),
    categories=("all",),
    subresources=(STATUS,),
)

# The controller appends `-` and ten digits to make a Job's name, which is a label's length at most.
_MAX_NAME = 63 - 11
_POLICIES = ("Allow", "Forbid", "Replace")
_LIMITS = ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    set_missing(spec, "schedule", "")
    set_missing(spec, "concurrencyPolicy", "Allow")
    if spec.get("suspend") is None:
        spec["suspend"] = False
    set_missing(spec, "successfulJobsHistoryLimit", 3)
    set_missing(spec, "failedJobsHistoryLimit", 1)
    template = part(spec, "jobTemplate")
    meta.ensure_metadata(template)
    job = part(template, "spec")
    workload.default_template(job)
    for rule in (job.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            set_missing(pattern, "status", "True")
    part(obj, "status")


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new CronJob."""
    causes = _spec(meta.spec(obj), None)
    if len(meta.name(obj)) > _MAX_NAME:
        detail = "must be no more than 52 characters"
        causes.append(fields.invalid("metadata.name", meta.name(obj), detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed CronJob; a name that was too long once stays good."""
    return _spec(meta.spec(new), meta.spec(old))


def _spec(spec: Obj, old: Obj | None) -> list[Cause]:
    causes: list[Cause] = []
    line, zone = spec.get("schedule") or "", spec.get("timeZone")
    if not line:
        causes.append(fields.required("spec.schedule"))
    else:
        causes += _schedule(line, zone, "TZ" in str((old or {}).get("schedule") or ""))
    key = "startingDeadlineSeconds"
    causes += fields.non_negative(f"spec.{key}", spec.get(key))
    if zone is not None and (old is None or old.get("timeZone") != zone):
        problem = schedule.zone_problem(zone)
        if problem:
            causes.append(fields.invalid("spec.timeZone", zone, problem))
    policy = spec.get("concurrencyPolicy")
    if not policy:
        causes.append(fields.required("spec.concurrencyPolicy"))
    elif policy not in _POLICIES:
        causes.append(fields.not_supported("spec.concurrencyPolicy", policy, _POLICIES))
    causes += _job_template(meta.spec(spec.get("jobTemplate") or {}), "spec.jobTemplate.spec")
    return causes + amounts.all_non_negative("spec", spec, _LIMITS)


def _schedule(line: str, zone: str | None, allows_zone: bool) -> list[Cause]:
    causes: list[Cause] = []
    problem = schedule.problem_of(line)
    if problem:
        causes.append(fields.invalid("spec.schedule", line, problem))
    if "TZ" in line and allows_zone and zone is not None:
        detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        causes.append(fields.invalid("spec.schedule", line, detail))
    elif "TZ" in line and not allows_zone:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        causes.append(fields.invalid("spec.schedule", line, detail))
    return causes


def _job_template(job: Obj, path: str) -> list[Cause]:
    causes = validate_job_spec(job, path)
    given = job.get("selector")
    if given is not None:
        detail = "`selector` will be auto-generated"
        causes.append(fields.invalid(f"{path}.selector", selector.shown(given), detail))
    if job.get("manualSelector"):
        causes.append(fields.not_supported(f"{path}.manualSelector", True, ("nil", "false")))
    return causes


def _of_job(cell: Cell) -> Cell:
    """A cell of a Job, made of the template."""
    return lambda obj, now: cell(meta.spec(obj).get("jobTemplate") or {}, now)


def _suspend(obj: Obj, now: float) -> str:
    return plain_bool(meta.spec(obj).get("suspend"))


def _active(obj: Obj, now: float) -> int:
    return len(meta.status(obj).get("active") or ())


def _last_schedule(obj: Obj, now: float) -> str:
    last = meta.status(obj).get("lastScheduleTime")
    return times.age(last, now) if last else "<none>"


COLUMNS = (
    NAME,
    text("Schedule", cells.field("spec.schedule"), "The cron line."),
    text("Timezone", or_text("spec.timeZone", "<none>"), "The zone the line is read in."),
    boolean("Suspend", _suspend, "Whether no Jobs are made for now."),
    workload.count("Active", _active, "Jobs that run."),
    text("Last Schedule", _last_schedule, "When a Job was made last."),
    AGE,
    text("Containers", _of_job(workload.container_names), "Names of the containers.", is_wide=True),
    text("Images", _of_job(workload.container_images), "Images of the containers.", is_wide=True),
    text("Selector", _of_job(workload.selector), "Label selector of the pods.", is_wide=True),
)


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and is hardly meant."""
    job = meta.spec(meta.spec(obj).get("jobTemplate") or {})
    found = name_warning(obj, old)
    if is_new_spec(obj, old):
        found += spec_warnings(job, "spec.jobTemplate.spec")
    if old is not None and "TZ" in str(meta.spec(obj).get("schedule")):
        found.append(
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
    return found


class CronJobStrategy(SpecStrategy):
    """The rules of CronJobs."""

    def prepare_for_create(self, obj: Obj) -> None:
        """A new one has made no Jobs."""
        super().prepare_for_create(obj)
        obj["status"] = {}


KIND = Kind(
    CRON_JOBS,
    strategy=CronJobStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_name=names.dns_subdomain,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
