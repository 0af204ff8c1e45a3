-- backlog_by_state: how many deliveries of each integration are pending, and of those how many are
-- leased, due or waiting for their time; counted or estimated as backlog is.
with pages as (
    select greatest(1.0, pg_relation_size('pending') / (1024 * 8192.0)) as per_sampled_page
)
select
    integration_id,
    (count(*) * per_sampled_page)::bigint as pending,
    (count(*) filter (where leased_until > now()) * per_sampled_page)::bigint as leased,
    (
        count(*) filter (where due_at > now() and leased_until is null) * per_sampled_page
    )::bigint as scheduled,
    per_sampled_page > 1 as estimated
from pending tablesample system ((select 100 / per_sampled_page from pages))
cross join pages
group by integration_id, per_sampled_page
