-- backlog: how many deliveries of each integration are pending. Counted while the table has 8 MiB at
-- most (1,024 pages), which takes milliseconds; above, estimated from that many random pages of it.
-- Deliveries lie in the order in which they came in, so a tenant's share of the pages is its share of
-- the backlog. The sample's size needs no statistics, which are late, and which a crash forgets.
with pages as (
    select greatest(1.0, pg_relation_size('pending') / (1024 * 8192.0)) as per_sampled_page
)
select integration_id, (count(*) * (select per_sampled_page from pages))::bigint as waiting
from pending tablesample system ((select 100 / per_sampled_page from pages))
group by integration_id
