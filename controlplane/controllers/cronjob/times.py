"""When a schedule fires next, and what was missed: pure. Times are Unix seconds.

As upstream's cron: in the hour that summer time skips nothing fires; what lies in the hour that comes twice fires
twice.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from controlplane.kinds.batch.schedule import Schedule

# Upstream gives up after five years: a line like `0 0 30 2 *` never fires.
_HORIZON_DAYS = 5 * 366
# From this many missed starts on upstream warns.
MANY = 100


def next_after(schedule: Schedule, after: float, zone: str) -> float | None:
    """The first time after `after`; None when there is none. `zone` is used unless the line names its own."""
    if schedule.every_seconds:
        return float(int(after) + schedule.every_seconds)
    place = ZoneInfo(schedule.zone or zone or "UTC")
    day = datetime.fromtimestamp(after, place).date()
    for _ in range(_HORIZON_DAYS):
        if _is_day(schedule, day):
            found = [stamp for stamp in _stamps(schedule, day, place) if stamp > after]
            if found:
                return min(found)
        day += timedelta(days=1)
    return None


def _is_day(schedule: Schedule, day: date) -> bool:
    if day.month not in schedule.months:
        return False
    of_month = day.day in schedule.days_of_month
    of_week = day.isoweekday() % 7 in schedule.days_of_week
    if schedule.is_any_day_of_month or schedule.is_any_day_of_week:
        return of_month and of_week
    return of_month or of_week


def _stamps(schedule: Schedule, day: date, place: ZoneInfo) -> list[float]:
    found = []
    for hour in sorted(schedule.hours):
        for minute in sorted(schedule.minutes):
            for fold in (0, 1):
                local = datetime(
                    day.year, day.month, day.day, hour, minute, tzinfo=place, fold=fold
                )
                stamp = local.timestamp()
                there = datetime.fromtimestamp(stamp, place)
                if (there.hour, there.minute) == (hour, minute) and stamp not in found:
                    found.append(stamp)
    return found


def most_recent(
    schedule: Schedule, zone: str, earliest: float, now: float
) -> tuple[float | None, bool]:
    """The last time after `earliest` and not after `now`, and whether more than a hundred were missed."""
    first = next_after(schedule, earliest, zone)
    if first is None or first > now:
        return None, False
    second = next_after(schedule, first, zone)
    if second is None or second > now:
        return first, False
    between = round(second - first)
    missed = int(now - first) // between + 1
    # Near the end at once: years of missed minutes are not walked one by one.
    latest = first
    following = next_after(schedule, first + max(0, missed - 2) * between, zone)
    while following is not None and following <= now:
        latest = following
        following = next_after(schedule, following, zone)
    return latest, missed > MANY
