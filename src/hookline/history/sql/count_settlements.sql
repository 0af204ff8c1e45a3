-- count_settlements: mark up to :most entries of the log as counted. Returns, for each hour, integration and
-- code, how many settlements they hold, and in each row how many entries there were.
with taken as (
    update settlements
    set counted = true
    where id in (select id from settlements where not counted order by id limit :most)
    returning id, settled_at, integrations, codes
)
select
    date_trunc('hour', settled_at at time zone 'utc') as hour, integration_id, code,
    count(*) as times, (select count(*) from taken) as batches
from taken
cross join lateral unnest(integrations, codes) as each (integration_id, code)
group by hour, integration_id, code
