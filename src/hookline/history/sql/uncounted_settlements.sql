-- uncounted_settlements: what the log holds that no roll-up has yet, by hour, integration and code; of these
-- integrations, or of all where :integrations is null.
select
    date_trunc('hour', settled_at at time zone 'utc') as hour, integration_id, code,
    count(*) as times
from settlements
cross join lateral unnest(integrations, codes) as each (integration_id, code)
where not counted
    and (cast(:integrations as text[]) is null
        or integration_id = any(cast(:integrations as text[])))
group by hour, integration_id, code
