-- count_replayed: note what became of deliveries that replays queued (`replayed`: replay, status), for
-- their jobs to add up. What was retried by hand since has been counted.
counted as (
    insert into job_outcomes (job_id, delivered, failed, skipped)
    select
        replay,
        count(*) filter (where status = 'delivered'),
        count(*) filter (where status = 'failed'),
        count(*) filter (where status = 'skipped')
    from replayed
    where replay is not null
    group by replay
)
