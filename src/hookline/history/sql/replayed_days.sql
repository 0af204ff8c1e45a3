-- replayed_days: the days, in UTC, from :since on, on which replays may have queued deliveries; of one
-- integration, or of all. Ids are made by the clocks of processes, which differ by :slack at the most.
select distinct cast(day as date)
from jobs
cross join lateral generate_series(
    date_trunc(
        'day',
        greatest(created_at - cast(:slack as interval), cast(:since as timestamptz)),
        'UTC'
    ) at time zone 'UTC',
    (coalesce(finished_at, now()) + cast(:slack as interval)) at time zone 'UTC',
    interval '1 day'
) as day
where kind = 'replay'
    and (finished_at is null or finished_at >= cast(:since as timestamptz))
    and (cast(:integration_id as text) is null or integration_id = :integration_id)
