-- add_job_outcomes: add up to :most entries of what settlements noted of replays' deliveries to their jobs.
with taken as (
    delete from job_outcomes
    where id = any(array(
        select id from job_outcomes order by id limit :most for update skip locked
    ))
    returning *
),
sums as (
    select job_id, sum(delivered) as delivered, sum(failed) as failed, sum(skipped) as skipped
    from taken
    group by job_id
)
update jobs
set
    delivered = jobs.delivered + sums.delivered,
    failed = jobs.failed + sums.failed,
    skipped = jobs.skipped + sums.skipped
from sums
where jobs.id = sums.job_id
