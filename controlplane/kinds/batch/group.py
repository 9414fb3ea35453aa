"""The kinds of the group batch, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.batch import cron_job
from controlplane.kinds.batch.job import kind as job

KINDS: tuple[Kind, ...] = (cron_job.KIND, job.KIND)
